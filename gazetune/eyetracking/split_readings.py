"""One reader's showings of pages to readings: going back to a page is one reading, a trial shown again is another.

    shown       1.1_p1   1.1_p2   1.1_p1             1.1_p1   1.2   1.1_p1      (p1, p2: the pages of one trial)
    reading       0        0        0                  0       0      1

A trial that comes again after another one was read a second time. So was one whose only page is shown again at once,
and one whose pages are all shown again from the first to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gazetune.eyetracking.recording import Fixations


@dataclass(frozen=True, slots=True)
class PageShowing:
    """A page that stood on the screen for a while."""

    trial: str
    page: int
    """Counted from 0."""
    begins_anew: bool
    """Whether the recording marks a beginning: a message, or fixations that are counted from the first again."""


def split_readings(showings: Sequence[PageShowing], page_counts: dict[str, int]) -> list[int]:
    """Return [showings] the reading of its trial that each belongs to, counted from 0.

    Parameters
    ----------
    showings
        In the order of time.
    page_counts
        Number of pages of each trial.

    Examples
    --------
    >>> shown = [PageShowing("a", page, True) for page in (0, 1, 0)]
    >>> split_readings(shown, {"a": 2})
    [0, 0, 0]
    >>> split_readings([*shown, PageShowing("b", 0, True), PageShowing("a", 0, True)], {"a": 2, "b": 1})
    [0, 0, 0, 0, 1]
    """
    readings: list[int] = []
    latest: dict[str, int] = {}
    seen: set[int] = set()  # pages of the reading that goes on
    for index, showing in enumerate(showings):
        before = showings[index - 1] if index else None
        if before is None or before.trial != showing.trial:
            latest[showing.trial] = latest.get(showing.trial, -1) + 1
            seen = set()
        elif showing.begins_anew and _is_shown_again(showings, index, seen, page_counts[showing.trial]):
            latest[showing.trial] += 1
            seen = set()
        seen.add(showing.page)
        readings.append(latest[showing.trial])
    return readings


def describe_overlaps(fixations: Fixations) -> str | None:
    """Return how many fixations begin before the one before them ends, None where none does."""
    count = fixations.count_overlaps()
    return f"{count} fixations begin before the one before them ends" if count else None


def describe_page_turns(pages: Sequence[int]) -> str | None:
    """Return the pages in the order in which they were shown, where one was shown twice; None where none was.

    Examples
    --------
    >>> describe_page_turns([0, 1, 0])
    'pages shown in the order 1 2 1 are one reading'
    """
    turned = [page for index, page in enumerate(pages) if index == 0 or page != pages[index - 1]]
    if len(turned) == len(set(turned)):
        return None
    return f"pages shown in the order {' '.join(str(page + 1) for page in turned)} are one reading"


def _is_shown_again(showings: Sequence[PageShowing], index: int, seen: set[int], page_count: int) -> bool:
    """Return whether the trial begins from its first page again, once all of its pages were seen."""
    showing = showings[index]
    if page_count == 1:
        return True
    if showing.page == showings[index - 1].page:
        return True
    if showing.page != 0 or len(seen) < page_count:
        return False
    following = []
    for each in showings[index:]:
        if each.trial != showing.trial or not each.begins_anew:
            break
        following.append(each.page)
    return following[:page_count] == list(range(page_count))
