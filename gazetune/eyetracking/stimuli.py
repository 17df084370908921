"""Texts to screen pages for an experiment: PNG files, the boxes of their words, and the order each reader sees them in.

    out/screens/TRIAL_p1.png      the pages of a text
    out/words/TRIAL_p1.csv        text;x1;y1;x2;y2;line, as an import reads it beside what the tracker exports
    out/order.csv                 reader;position;trial;page;image

A trial is named PAIR.0 (prompt), PAIR.1 (chosen) or PAIR.2 (rejected), pairs counted from 1. A reader sees the pairs in
random order, in each the prompt first and the two replies in random order; the names of the images are for the
experimenter and are not shown.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from gazetune.config import LARGEST_SEED
from gazetune.errors import InputError
from gazetune.eyetracking.recording import BOX_COLUMNS, DEFAULT_SCREEN, ScreenSize
from gazetune.eyetracking.text_lines import PlacedWord, break_lines, replace_unprintable
from gazetune.files.new_folder import create_folder

_WIDEST = 16_384  # twice an 8K screen; a page of it takes 256 MB of memory


@dataclass(frozen=True, slots=True)
class StimuliSettings:
    """How a page looks and how many orders are drawn."""

    screen: ScreenSize = DEFAULT_SCREEN
    """Width and height in pixels."""
    font: Path | None = None
    """A TrueType or OpenType file; unset: DejaVu Sans Mono."""
    font_size: int = 24
    """Pixels."""
    readers: int = 1
    """Orders to draw."""
    seed: int = 0

    def __post_init__(self) -> None:
        if max(self.screen) > _WIDEST:
            raise InputError(f"screen: {self.screen[0]}x{self.screen[1]}; accepted: at most {_WIDEST} pixels each way")
        # A page must hold four characters across and one line down.
        column = min(self.screen[0] - 2 * self.margin, self.line_height * 2)
        if self.font_size < 6 or column < 4 * self.font_size or self.screen[1] < 2 * self.margin + self.line_height:
            raise InputError(
                f"font_size: {self.font_size}; accepted: 6 or more, small enough for some words of "
                f"{self.screen[0]}x{self.screen[1]} pixels"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"seed: {self.seed}; accepted: 0 to {LARGEST_SEED}")
        if self.readers < 1:
            raise InputError(f"readers: {self.readers}; accepted: 1 or more")

    @property
    def margin(self) -> int:
        """Pixels on each side, where a tracker is least precise."""
        return min(self.screen) // 10

    @property
    def line_height(self) -> int:
        """Pixels from one line to the next: enough to tell which line a fixation is on."""
        return 3 * self.font_size

    @property
    def lines_per_page(self) -> int:
        """Lines of a page."""
        return (self.screen[1] - 2 * self.margin) // self.line_height


@dataclass(frozen=True, slots=True)
class StimuliReport:
    """What was rendered."""

    out: str
    """The folder."""
    pairs: int
    texts: int
    pages: int
    readers: int
    """Orders that were drawn."""

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        return asdict(self)


def name_trials(number: int, prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    """Return the texts of a pair by trial name, the one that is shown first in front.

    Examples
    --------
    >>> name_trials(3, prompt="Why?", chosen="So.", rejected="No.")
    {'3.0': 'Why?', '3.1': 'So.', '3.2': 'No.'}
    """
    return {f"{number}.0": prompt, f"{number}.1": chosen, f"{number}.2": rejected}


def render_stimuli(
    pairs: Iterable[Mapping[str, str]], out: Path, settings: StimuliSettings | None = None
) -> StimuliReport:
    """Render every text and write the folder `out`, which appears whole or not at all.

    Parameters
    ----------
    pairs
        For each pair its texts by trial name, as `name_trials` gives them.

    Raises
    ------
    InputError
        If a text has no words or a character that the font lacks, there is no text, or `out` holds something or
        cannot be written.
    """
    settings = settings or StimuliSettings()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; accepted: a folder to make")
    renderer = _PageRenderer(settings)
    trials = [dict(pair) for pair in pairs]
    if not any(trials):
        raise InputError(f"{out}: there is no text to render")
    try:
        with create_folder(out) as folder:
            pages = {trial: renderer.render_text(folder, trial, pair[trial]) for pair in trials for trial in pair}
            _write_order(folder / "order.csv", [list(pair) for pair in trials], pages, settings)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return StimuliReport(str(out), len(trials), len(pages), sum(pages.values()), settings.readers)


class _PageRenderer:
    """Draws texts in one font.

    Raises
    ------
    InputError
        If the font cannot be read.
    """

    def __init__(self, settings: StimuliSettings) -> None:
        self._settings = settings
        path = settings.font or Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
        try:
            self._font = ImageFont.truetype(str(path), settings.font_size)
            self._known = frozenset(FT2Font(str(path)).get_charmap())
        except (OSError, RuntimeError):
            raise InputError(f"font: '{path}' cannot be read; accepted: a TrueType or OpenType file") from None

    def render_text(self, folder: Path, trial: str, text: str) -> int:
        """Write the pages of one text, as PNG and as word boxes, and return their number.

        Raises
        ------
        InputError
            If the text has no words, or a character that the font lacks.
        """
        self._check_text(trial, text)
        lines = break_lines(text, self._settings.screen[0] - 2 * self._settings.margin, self._font.getlength)
        for name in ("screens", "words"):
            (folder / name).mkdir(exist_ok=True)
        pages = list(_split_pages(lines, self._settings.lines_per_page))
        for number, page in enumerate(pages, start=1):
            self._render_page(folder, f"{trial}_p{number}", page)
        return len(pages)

    def _check_text(self, trial: str, text: str) -> None:
        if not text.strip():
            raise InputError(f"trial {trial}: the text has no words")
        strange = next((each for each in text if not each.isspace() and not self._can_draw(each)), None)
        if strange is not None:
            raise InputError(
                f"trial {trial}: the font lacks {strange!r} (U+{ord(strange):04X}); accepted: a font that has "
                "it, or a text without it"
            )

    def _can_draw(self, character: str) -> bool:
        return ord(character) in self._known and replace_unprintable(character) == character

    def _render_page(self, folder: Path, name: str, lines: Sequence[list[PlacedWord]]) -> None:
        settings = self._settings
        ascent, descent = self._font.getmetrics()
        above = (settings.line_height - ascent - descent) // 2
        image = Image.new("L", settings.screen, 255)
        draw = ImageDraw.Draw(image)
        with (folder / "words" / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            boxes = csv.writer(stream, delimiter=";", lineterminator="\n")
            boxes.writerow((*BOX_COLUMNS, "line"))
            for line, words in enumerate(lines):
                top = settings.margin + line * settings.line_height + above
                for word in words:
                    left = round(settings.margin + word.left)
                    draw.text((left, top), word.text, font=self._font, fill=0)
                    boxes.writerow((word.text, left, top, left + math.ceil(word.width), top + ascent + descent, line))
        image.save(folder / "screens" / f"{name}.png")


def _split_pages(lines: Sequence[list[PlacedWord]], lines_per_page: int) -> Iterator[list[list[PlacedWord]]]:
    """Yield pages of at most `lines_per_page` lines. No page begins with blank lines, so each has a word."""
    page: list[list[PlacedWord]] = []
    for words in lines:
        if len(page) == lines_per_page:
            yield page
            page = []
        if words or page:
            page.append(words)
    if page:
        yield page


def _write_order(
    path: Path, pairs: Sequence[Sequence[str]], pages: Mapping[str, int], settings: StimuliSettings
) -> None:
    """Write the order of each reader, which depends on the seed and the reader's number alone."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, delimiter=";", lineterminator="\n")
        rows.writerow(("reader", "position", "trial", "page", "image"))
        for reader in range(1, settings.readers + 1):
            draw = random.Random(f"{settings.seed} {reader}")  # the order of a reader stays when others join
            shown = []
            for first, *replies in draw.sample(pairs, len(pairs)):
                shown += [first, *draw.sample(replies, len(replies))]
            screens = [(trial, page) for trial in shown for page in range(1, pages[trial] + 1)]
            for position, (trial, page) in enumerate(screens, start=1):
                rows.writerow((reader, position, trial, page, f"screens/{trial}_p{page}.png"))
