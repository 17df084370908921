"""Texts to screen pages for an experiment: PNG files, the boxes of their words, and the order each reader sees them in.

    out/screens/TRIAL_p1.png      the pages of a text
    out/words/TRIAL_p1.csv        text;x1;y1;x2;y2;line, as `gazepoint` reads it beside what the tracker exports
    out/order.csv                 reader;position;trial;page;image

A trial is named PAIR.0 (prompt), PAIR.1 (chosen) or PAIR.2 (rejected), pairs counted from 1. A reader sees the pairs in
random order, in each the prompt first and the two replies in random order; the names of the images are for the
experimenter and are not shown.
"""

from __future__ import annotations

import csv
import math
import os
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from gazetune.config import LARGEST_SEED
from gazetune.errors import InputError
from gazetune.eyetracking.line_layout import Piece, printable, wrap

_WIDEST = 16_384  # twice an 8K screen; a page of it takes 256 MB of memory


@dataclass(frozen=True, slots=True)
class StimuliSettings:
    """How a page looks and how many orders are drawn."""

    screen: tuple[int, int] = (1280, 1024)
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
        room = min(self.screen[0] - 2 * self.margin, self.line_height * 2)
        if self.font_size < 6 or room < 4 * self.font_size or self.screen[1] < 2 * self.margin + self.line_height:
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
    def lines(self) -> int:
        """Lines of a page."""
        return (self.screen[1] - 2 * self.margin) // self.line_height


def render_stimuli(
    pairs: Iterable[Mapping[str, str]], out: Path, settings: StimuliSettings | None = None
) -> dict[str, Any]:
    """Render every text and write the folder `out`, which appears whole or not at all.

    Parameters
    ----------
    pairs
        For each pair its texts by trial name, the one that is shown first in front.

    Returns
    -------
    report
        `{out, pairs, texts, pages, readers}`.

    Raises
    ------
    InputError
        If a text has no words or a character that the font lacks, there is no text, or `out` holds something or
        cannot be written.
    """
    settings = settings or StimuliSettings()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; accepted: a folder to make")
    font, known = _font(settings)
    texts = [dict(pair) for pair in pairs]
    if not any(texts):
        raise InputError(f"{out}: there is no text to render")
    try:
        pages = _write(out, texts, font, known, settings)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return {
        "out": str(out),
        "pairs": len(texts),
        "texts": len(pages),
        "pages": sum(pages.values()),
        "readers": settings.readers,
    }


def _font(settings: StimuliSettings) -> tuple[ImageFont.FreeTypeFont, frozenset[int]]:
    path = settings.font or Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    try:
        return ImageFont.truetype(str(path), settings.font_size), frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):
        raise InputError(f"font: '{path}' cannot be read; accepted: a TrueType or OpenType file") from None


def _write(
    out: Path,
    pairs: Sequence[Mapping[str, str]],
    font: ImageFont.FreeTypeFont,
    known: frozenset[int],
    settings: StimuliSettings,
) -> dict[str, int]:
    """Write the folder beside its place, rename it, and return the number of pages of each trial."""
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        shown = [item for pair in pairs for item in pair.items()]
        pages = {trial: _render(work, trial, text, font, known, settings) for trial, text in shown}
        _write_order(work / "order.csv", [list(pair) for pair in pairs], pages, settings)
        work.chmod(0o755)
        os.replace(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return pages


def _render(
    folder: Path, trial: str, text: str, font: ImageFont.FreeTypeFont, known: frozenset[int], settings: StimuliSettings
) -> int:
    """Write the pages of one text and return their number."""
    if not text.strip():
        raise InputError(f"trial {trial}: the text has no words")
    strange = next((each for each in text if not each.isspace() and not _has(known, each)), None)
    if strange is not None:
        raise InputError(
            f"trial {trial}: the font lacks {strange!r} (U+{ord(strange):04X}); accepted: a font that has "
            "it, or a text without it"
        )
    lines = wrap(text, settings.screen[0] - 2 * settings.margin, font.getlength)
    ascent, descent = font.getmetrics()
    for name in ("screens", "words"):
        (folder / name).mkdir(exist_ok=True)
    pages = list(_pages(lines, settings.lines))
    for number, page in enumerate(pages, start=1):
        image = Image.new("L", settings.screen, 255)
        draw = ImageDraw.Draw(image)
        with (folder / "words" / f"{trial}_p{number}.csv").open("w", encoding="utf-8", newline="") as stream:
            boxes = csv.writer(stream, delimiter=";", lineterminator="\n")
            boxes.writerow(("text", "x1", "y1", "x2", "y2", "line"))
            for line, pieces in enumerate(page):
                top = settings.margin + line * settings.line_height + (settings.line_height - ascent - descent) // 2
                for piece in pieces:
                    left = round(settings.margin + piece.left)
                    draw.text((left, top), piece.text, font=font, fill=0)
                    boxes.writerow((piece.text, left, top, left + math.ceil(piece.width), top + ascent + descent, line))
        image.save(folder / "screens" / f"{trial}_p{number}.png")
    return len(pages)


def _has(known: frozenset[int], character: str) -> bool:
    return ord(character) in known and printable(character) == character


def _pages(lines: Sequence[list[Piece]], room: int) -> Iterator[list[list[Piece]]]:
    """Yield pages of at most `room` lines. No page begins with blank lines, so each has a word."""
    page: list[list[Piece]] = []
    for pieces in lines:
        if len(page) == room:
            yield page
            page = []
        if pieces or page:
            page.append(pieces)
    if page:
        yield page


def _write_order(
    path: Path, pairs: Sequence[Sequence[str]], pages: Mapping[str, int], settings: StimuliSettings
) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, delimiter=";", lineterminator="\n")
        rows.writerow(("reader", "position", "trial", "page", "image"))
        for reader in range(1, settings.readers + 1):
            draw = random.Random(f"{settings.seed} {reader}")
            shown = []
            for first, *replies in draw.sample(pairs, len(pairs)):
                shown += [first, *draw.sample(replies, len(replies))]
            screens = [(trial, page) for trial in shown for page in range(1, pages[trial] + 1)]
            for position, (trial, page) in enumerate(screens, start=1):
                rows.writerow((reader, position, trial, page, f"screens/{trial}_p{page}.png"))
