"""A scanpath: fixations as circles in their order over the words that were on the screen.

The HTML twin is drawn by hand for what matplotlib's SVG cannot do (see `html_page`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from gazetune.eyetracking.recording import (
    BOX_COLUMNS,
    FIXATION_COLUMNS,
    Fixations,
    WordBoxes,
    read_fixations,
    read_word_boxes,
)
from gazetune.eyetracking.text_lines import replace_unprintable
from gazetune.files.delimited import FARTHEST_PIXEL, TableRow, read_table
from gazetune.pictures.colours import LIGHT, STEPS
from gazetune.pictures.html_page import escape_html, html_page, html_table
from gazetune.pictures.png_sheet import (
    CAPTION_COLOUR,
    encode_png,
    font_of_size,
    make_text_ruler,
    new_sheet,
    write_text,
)

_WIDTH = 9.0  # inches of a PNG; a tall screen is narrower
_TALLEST = 11.0
_HEADER_HEIGHT = 0.95
_MARGIN = 0.25
_PATH_COLOUR = "#b34700"
_LEGEND_DURATIONS = (0.1, 0.25, 0.5)  # seconds
_FIRST_STEP = 25  # of the colour scale, for the first fixation: lighter ones are lost on white


@dataclass(frozen=True, slots=True)
class Scanpath:
    """What is drawn, in pixels of the screen that was read."""

    fixations: Fixations
    boxes: WordBoxes

    @property
    def title(self) -> str:
        """One line that says what is seen."""
        seconds = sum(self.fixations.duration.tolist())
        return f"Scanpath: {len(self.fixations)} fixations, {seconds:.1f} s, over {len(self.boxes.words)} words"

    @property
    def circles(self) -> list[tuple[float, float, float]]:
        """The middle (x, y) and the radius of each fixation, in pixels."""
        fixations = self.fixations
        rows = zip(fixations.x.tolist(), fixations.y.tolist(), fixations.duration.tolist(), strict=True)
        return [(x, y, self.circle_radius(duration)) for x, y, duration in rows]

    @property
    def line_height(self) -> float:
        """The height of a line of words in pixels."""
        return float(np.median(self.boxes.corners[:, 3] - self.boxes.corners[:, 1]))

    def circle_radius(self, seconds: float) -> float:
        """Return the radius in pixels of a fixation: its area is as its duration, 250 ms as high as a line."""
        return 0.5 * self.line_height * math.sqrt(seconds / 0.25)

    def colour_steps(self) -> list[int]:
        """Return the step of the colour scale of each fixation: light for the first, dark for the last."""
        last = max(len(self.fixations) - 1, 1)
        span = STEPS - 1 - _FIRST_STEP
        return [_FIRST_STEP + round(span * index / last) for index in range(len(self.fixations))]

    def bounding_box(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of all boxes and circles, in pixels."""
        edges = [*self.boxes.corners.tolist(), *([x - r, y - r, x + r, y + r] for x, y, r in self.circles)]
        left, top, right, bottom = zip(*edges, strict=True)
        return min(left), min(top), max(right), max(bottom)

    def to_png(self) -> list[bytes]:
        """Return one PNG file."""
        left, top, right, bottom = self.bounding_box()
        scale = min((_WIDTH - 2 * _MARGIN) / (right - left), _TALLEST / (bottom - top))  # inches of a pixel
        figure, axes = new_sheet(_WIDTH, (bottom - top) * scale + _HEADER_HEIGHT + _MARGIN)
        write_text(axes, _MARGIN, 0.35, self.title, 10.5, weight="bold")
        write_text(axes, _MARGIN, 0.58, "area: duration; colour: order, from light to dark", colour=CAPTION_COLOUR)
        _draw_legend(axes, self, scale)

        def to_sheet(x: float, y: float) -> tuple[float, float]:
            return _MARGIN + (x - left) * scale, _HEADER_HEIGHT + (y - top) * scale

        for word, (x1, y1, x2, y2) in zip(self.boxes.words, self.boxes.corners.tolist(), strict=True):
            _draw_box(axes, to_sheet(x1, y1), (x2 - x1) * scale, (y2 - y1) * scale, replace_unprintable(word))
        points = [to_sheet(x, y) for x, y, _ in self.circles]
        axes.plot(*zip(*points, strict=True), color=_PATH_COLOUR, linewidth=0.9, alpha=0.75, zorder=3)
        drawn = zip(points, self.circles, self.colour_steps(), strict=True)
        for number, (point, (_, _, radius), step) in enumerate(drawn, start=1):
            _draw_fixation(axes, point, radius * scale, LIGHT[step], number)
        return [encode_png(figure, self.title)]

    def to_html(self) -> str:
        """Return an HTML document; the fixations stand in a table too."""
        left, top, right, bottom = self.bounding_box()
        size = self.line_height
        corners = self.boxes.corners.tolist()
        boxes = "\n".join(_box_svg(word, *each) for word, each in zip(self.boxes.words, corners, strict=True))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in self.circles)
        ms = [duration * 1000 for duration in self.fixations.duration.tolist()]
        circles = "\n".join(
            f'<g><title>{number}: {each_ms:.0f} ms</title><circle class="v{step}" cx="{x:.1f}" '
            f'cy="{y:.1f}" r="{radius:.1f}" fill-opacity=".55"/>'
            f'<text x="{x:.1f}" y="{y + 0.2 * size:.1f}" text-anchor="middle" font-size="{0.55 * size:.1f}" '
            f'stroke="var(--page)" stroke-width="{0.14 * size:.1f}" paint-order="stroke">{number}</text></g>'
            for number, ((x, y, radius), each_ms, step) in enumerate(
                zip(self.circles, ms, self.colour_steps(), strict=True), start=1
            )
        )
        rows = [
            [str(number), f"{x:.0f}", f"{y:.0f}", f"{each_ms:.0f}"]
            for number, ((x, y, _), each_ms) in enumerate(zip(self.circles, ms, strict=True), start=1)
        ]
        return html_page(
            self.title,
            f"<h1>{escape_html(self.title)}</h1>\n"
            '<p class="soft">Circles are fixations, numbered and shaded in their order; the area is the duration, '
            "and a circle as high as a line of words is 250 ms.</p>\n"
            f'<svg viewBox="{left - 5:.1f} {top - 5:.1f} {right - left + 10:.1f} {bottom - top + 10:.1f}" role="img" '
            f'aria-label="{escape_html(self.title)}">\n{boxes}\n'
            f'<polyline points="{points}" fill="none" stroke="var(--mark)" stroke-width="1.5" stroke-opacity=".75"/>\n'
            f"{circles}\n</svg>\n<details>\n<summary>Fixations</summary>\n"
            f"{html_table(('number', 'x (pixels)', 'y (pixels)', 'duration (ms)'), rows)}\n</details>",
        )


def read_scanpath(fixations_csv: Path, boxes_csv: Path) -> Scanpath:
    """Read fixations and word boxes of one screen, from CSV files separated by `;` or `,`.

    Parameters
    ----------
    fixations_csv
        Columns x, y (pixels) and duration (seconds), in the order of time.
    boxes_csv
        Columns text, x1, y1, x2, y2 (pixels).

    Raises
    ------
    InputError
        If a file cannot be read, lacks a column or has no rows, or a row has no word, no number, a duration that is
        negative or not in seconds, a box without area, or a position that is far from any screen.
    """
    # What lies far outside would shrink all the rest to a dot, so it is refused here; an import leaves it out.
    fixation_rows = read_table(fixations_csv, FIXATION_COLUMNS)
    _check_drawable(fixation_rows, ("x", "y"), -FARTHEST_PIXEL)
    box_rows = read_table(boxes_csv, BOX_COLUMNS)
    _check_drawable(box_rows, BOX_COLUMNS[1:], 0.0)
    return Scanpath(read_fixations(fixation_rows), read_word_boxes(box_rows))


def _check_drawable(rows: Sequence[TableRow], columns: Sequence[str], least: float) -> None:
    for row in rows:
        for name in columns:
            row.get_pixels(name, least)


def _draw_fixation(axes: Axes, point: tuple[float, float], radius: float, colour: str, number: int) -> None:
    axes.add_patch(Circle(point, radius, zorder=4, facecolor=colour, edgecolor="white", linewidth=0.5, alpha=0.5))
    axes.text(
        *point,
        str(number),
        fontproperties=font_of_size(6.0),
        ha="center",
        va="center",
        zorder=5,
        path_effects=[withStroke(linewidth=1.4, foreground="white")],
    )


def _draw_box(axes: Axes, corner: tuple[float, float], width: float, height: float, text: str) -> None:
    axes.add_patch(Rectangle(corner, width, height, facecolor="#f3f4f6", edgecolor="#c4c9d1", linewidth=0.5, zorder=1))
    # As large as the box holds: its height in points, less where the word is wide.
    points = min(0.8 * height * 72.0, 10.0 * 0.94 * width / max(make_text_ruler(10.0)(text), 1e-6))
    axes.text(
        corner[0] + width / 2,
        corner[1] + height / 2,
        text,
        fontproperties=font_of_size(points),
        color="#1a1a1a",
        ha="center",
        va="center_baseline",
        parse_math=False,
        zorder=2,
    )


def _draw_legend(axes: Axes, scanpath: Scanpath, scale: float) -> None:
    right = _WIDTH - _MARGIN
    for seconds in reversed(_LEGEND_DURATIONS):
        radius = scanpath.circle_radius(seconds) * scale
        if radius > 0.3:  # words so large that the circle would leave the header
            continue
        axes.add_patch(Circle((right - 0.3, 0.35), radius, facecolor=LIGHT[60], linewidth=0.0, alpha=0.6))
        write_text(axes, right - 0.3, 0.78, f"{seconds * 1000:.0f} ms", 7.5, CAPTION_COLOUR, align="center")
        right -= 0.75


def _box_svg(word: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a box and its word in it as SVG; the browser's font is another one, so the word's width is given."""
    width, height = x2 - x1, y2 - y1
    text = replace_unprintable(word)
    points = max(make_text_ruler(10.0)(text) * 7.2, 1e-6)  # width at a size of 1: inches at 10 points to points at one
    size = min(0.8 * height, 0.94 * width / points)
    return (
        f'<rect x="{x1:g}" y="{y1:g}" width="{width:g}" height="{height:g}" fill="none" stroke="var(--line)"/>'
        f'<text x="{x1 + width / 2:g}" y="{y1 + height / 2 + 0.35 * size:g}" text-anchor="middle" '
        f'textLength="{size * points:.1f}" lengthAdjust="spacingAndGlyphs" font-size="{size:.1f}">'
        f"{escape_html(text)}</text>"
    )
