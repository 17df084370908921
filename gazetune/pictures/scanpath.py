"""A scanpath: fixations as circles in their order over the words that were on the screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from gazetune.eyetracking.line_layout import printable
from gazetune.eyetracking.screen import Fixation, WordBox
from gazetune.pictures.canvas import SOFT, font, png, sheet, text_width, write
from gazetune.pictures.colours import LIGHT, STEPS
from gazetune.pictures.page import escape, page, table

_WIDTH = 9.0  # inches of a PNG; a tall screen is narrower
_TALLEST = 11.0
_HEADER = 0.95
_MARGIN = 0.25
_PATH = "#b34700"
_LEGEND = (0.1, 0.25, 0.5)  # seconds
_FIRST = 25  # step of the colour scale of the first fixation: lighter ones are lost on white


@dataclass(frozen=True, slots=True)
class Scanpath:
    """What is drawn, in pixels of the screen that was read."""

    fixations: Sequence[Fixation]
    boxes: Sequence[WordBox]

    @property
    def title(self) -> str:
        """One line that says what is seen."""
        seconds = sum(each.duration for each in self.fixations)
        return f"Scanpath: {len(self.fixations)} fixations, {seconds:.1f} s, over {len(self.boxes)} words"

    @property
    def line(self) -> float:
        """The height of a line of words."""
        return median(box.y2 - box.y1 for box in self.boxes)

    def radius(self, seconds: float) -> float:
        """Return the radius of a fixation: its area is as its duration, a quarter of a second as high as a line."""
        return 0.5 * self.line * math.sqrt(seconds / 0.25)

    def steps(self) -> list[int]:
        """Return the step of the colour scale of each fixation: light for the first, dark for the last."""
        last = max(len(self.fixations) - 1, 1)
        return [_FIRST + round((STEPS - 1 - _FIRST) * place / last) for place in range(len(self.fixations))]

    def bounds(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of all boxes and circles."""
        edges = [(box.x1, box.y1, box.x2, box.y2) for box in self.boxes]
        for each in self.fixations:
            size = self.radius(each.duration)
            edges.append((each.x - size, each.y - size, each.x + size, each.y + size))
        left, top, right, bottom = zip(*edges, strict=True)
        return min(left), min(top), max(right), max(bottom)


def scanpath_png(picture: Scanpath) -> bytes:
    """Return the picture as a PNG file."""
    left, top, right, bottom = picture.bounds()
    scale = min((_WIDTH - 2 * _MARGIN) / (right - left), _TALLEST / (bottom - top))
    figure, axes = sheet(_WIDTH, (bottom - top) * scale + _HEADER + _MARGIN)
    write(axes, _MARGIN, 0.35, picture.title, 10.5, weight="bold")
    write(axes, _MARGIN, 0.58, "area: duration; colour: order, from light to dark", colour=SOFT)
    _legend(axes, picture, scale)

    def place(x: float, y: float) -> tuple[float, float]:
        return _MARGIN + (x - left) * scale, _HEADER + (y - top) * scale

    for box in picture.boxes:
        corner = place(box.x1, box.y1)
        _box(axes, corner, (box.x2 - box.x1) * scale, (box.y2 - box.y1) * scale, printable(box.text))
    points = [place(each.x, each.y) for each in picture.fixations]
    axes.plot(*zip(*points, strict=True), color=_PATH, linewidth=0.9, alpha=0.75, zorder=3)
    for number, (point, each, step) in enumerate(zip(points, picture.fixations, picture.steps(), strict=True), start=1):
        size = picture.radius(each.duration) * scale
        look = {"facecolor": LIGHT[step], "edgecolor": "white", "linewidth": 0.5, "alpha": 0.5}
        axes.add_patch(Circle(point, size, zorder=4, **look))
        axes.text(
            *point,
            str(number),
            fontproperties=font(6.0),
            ha="center",
            va="center",
            zorder=5,
            path_effects=[withStroke(linewidth=1.4, foreground="white")],
        )
    return png(figure, picture.title)


def _box(axes: Axes, corner: tuple[float, float], width: float, height: float, text: str) -> None:
    axes.add_patch(Rectangle(corner, width, height, facecolor="#f3f4f6", edgecolor="#c4c9d1", linewidth=0.5, zorder=1))
    # As large as the box holds: its height in points, less where the word is wide.
    points = min(0.8 * height * 72.0, 10.0 * 0.94 * width / max(text_width(10.0)(text), 1e-6))
    axes.text(
        corner[0] + width / 2,
        corner[1] + height / 2,
        text,
        fontproperties=font(points),
        color="#1a1a1a",
        ha="center",
        va="center_baseline",
        parse_math=False,
        zorder=2,
    )


def _legend(axes: Axes, picture: Scanpath, scale: float) -> None:
    right = _WIDTH - _MARGIN
    for seconds in reversed(_LEGEND):
        size = picture.radius(seconds) * scale
        if size > 0.3:  # words so large that the circle would leave the header
            continue
        axes.add_patch(Circle((right - 0.3, 0.35), size, facecolor=LIGHT[60], linewidth=0.0, alpha=0.6))
        write(axes, right - 0.3, 0.78, f"{seconds * 1000:.0f} ms", 7.5, SOFT, align="center")
        right -= 0.75


def _word(box: WordBox) -> str:
    """Return a box and its word in it as SVG; the browser's font is another one, so the word's width is given."""
    width, height = box.x2 - box.x1, box.y2 - box.y1
    text = printable(box.text)
    points = max(text_width(10.0)(text) * 7.2, 1e-6)  # width at a size of 1: inches at 10 points to points at one
    size = min(0.8 * height, 0.94 * width / points)
    return (
        f'<rect x="{box.x1:g}" y="{box.y1:g}" width="{width:g}" height="{height:g}" fill="none" stroke="var(--line)"/>'
        f'<text x="{box.x1 + width / 2:g}" y="{box.y1 + height / 2 + 0.35 * size:g}" text-anchor="middle" '
        f'textLength="{size * points:.1f}" lengthAdjust="spacingAndGlyphs" font-size="{size:.1f}">{escape(text)}</text>'
    )


def scanpath_html(picture: Scanpath) -> str:
    """Return the picture as an HTML document; the fixations stand in a table too."""
    left, top, right, bottom = picture.bounds()
    size = picture.line
    boxes = "\n".join(map(_word, picture.boxes))
    points = " ".join(f"{each.x:.1f},{each.y:.1f}" for each in picture.fixations)
    circles = "\n".join(
        f'<g><title>{number}: {each.duration * 1000:.0f} ms</title><circle class="v{step}" cx="{each.x:.1f}" '
        f'cy="{each.y:.1f}" r="{picture.radius(each.duration):.1f}" fill-opacity=".55"/>'
        f'<text x="{each.x:.1f}" y="{each.y + 0.2 * size:.1f}" text-anchor="middle" font-size="{0.55 * size:.1f}" '
        f'stroke="var(--page)" stroke-width="{0.14 * size:.1f}" paint-order="stroke">{number}</text></g>'
        for number, (each, step) in enumerate(zip(picture.fixations, picture.steps(), strict=True), start=1)
    )
    rows = [
        [str(number), f"{each.x:.0f}", f"{each.y:.0f}", f"{each.duration * 1000:.0f}"]
        for number, each in enumerate(picture.fixations, start=1)
    ]
    return page(
        picture.title,
        f"<h1>{escape(picture.title)}</h1>\n"
        '<p class="soft">Circles are fixations, numbered and shaded in their order; the area is the duration, '
        "and a circle as high as a line of words is 250 ms.</p>\n"
        f'<svg viewBox="{left - 5:.1f} {top - 5:.1f} {right - left + 10:.1f} {bottom - top + 10:.1f}" role="img" '
        f'aria-label="{escape(picture.title)}">\n{boxes}\n'
        f'<polyline points="{points}" fill="none" stroke="var(--mark)" stroke-width="1.5" stroke-opacity=".75"/>\n'
        f"{circles}\n</svg>\n<details>\n<summary>Fixations</summary>\n"
        f"{table(('number', 'x (pixels)', 'y (pixels)', 'duration (ms)'), rows)}\n</details>",
    )
