"""openbmb/UltraFeedback: four completions of an instruction, each scored by a model (arXiv 2310.01377)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.sources.registry import Dropped, preference_source
from gazetune.preferences.sources.rows import Row, RowError, abbreviate_value
from gazetune.preferences.sources.shapes import make_pair

_SCORES = ("overall_score", "fine-grained_score")


def _compare_best_and_worst(row: Row) -> PreferencePair | Dropped:
    scored = _read_scored_replies(row)
    if len(scored) < 2:
        return Dropped(row.origin, "fewer than two scored replies")
    best, worst = (pick(scored, key=lambda reply: reply[0]) for pick in (max, min))
    if best[0] == worst[0]:
        return Dropped(row.origin, "tie")
    prompt = (Message("user", row.get_text("instruction")),)
    return make_pair(row.origin, prompt, best[1], worst[1], margin=best[0] - worst[0])


@preference_source("openbmb/UltraFeedback", columns=("instruction", "completions"), check=_compare_best_and_worst)
def ultrafeedback_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield for each instruction its best completion against its worst; ties give no pair.

    The score is `overall_score`, or `fine-grained_score` (the mean over the rated aspects) when a completion lacks it;
    the margin is the difference of scores.

    Raises
    ------
    InputError
        For a missing column or a wrong type.
    """
    return map(_compare_best_and_worst, rows)


def _read_scored_replies(row: Row) -> list[tuple[float, str]]:
    completions = row.get_value("completions")
    if not isinstance(completions, list) or not all(isinstance(item, dict) for item in completions):
        expected = "key 'completions' must be a list of completions"
        raise RowError(row.origin, expected, f", got {abbreviate_value(completions)}")
    # One row compares its completions by one kind of score: the two kinds have different ranges.
    for key in _SCORES:
        if all(_is_finite_number(item.get(key)) for item in completions):
            return [(float(item[key]), Row(row.origin, item).get_text("response")) for item in completions]
    return []


def _is_finite_number(score: object) -> bool:
    return isinstance(score, int | float) and math.isfinite(score)
