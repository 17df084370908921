"""Draw docs/images/overview.svg: words with their reading measures, the fusion, the backbone and the reward.

    python docs/images/draw_overview.py

The shades are the total reading times that the lexical predictor gives these two replies.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PROMPT = "Why is the sky blue?"
REPLIES = {"chosen": "Air scatters short wavelengths most.", "rejected": "It mirrors the sea, I think."}
INK, FAINT, GAZE, TEXT, MODEL = "#1f2328", "#57606a", "#c2410c", "#1d4ed8", "#f3f4f6"


def reading_times(text: str) -> list[tuple[str, float]]:
    """Return each word with its predicted total reading time (TRT, 0 to 100)."""
    command = [sys.executable, "-m", "gazetune.cli.main", "gaze", "predict", "--text", text, "--json"]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    words: list[dict[str, Any]] = document["words"]
    return [(word["word"], word["TRT"]) for word in words]


def draw_box(axes: Axes, x: float, y: float, width: float, height: float, text: str, edge: str = INK) -> None:
    """Draw a rounded box with centred text; x and y are its lower left corner."""
    style = "round,pad=0,rounding_size=1.2"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=MODEL, edgecolor=edge, linewidth=1.2)
    )
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=INK, fontsize=9)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = FAINT) -> None:
    """Draw an arrow between two points."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.2))


def draw_reply(axes: Axes, role: str, text: str, y: float) -> None:
    """Draw a reply as a heat map of its reading times, one row of words."""
    axes.text(1, y + 6.6, f"{role} reply", color=FAINT, fontsize=9)
    words = reading_times(text)
    longest = max(value for _, value in words)
    x = 1.0
    for word, value in words:
        width = 1.18 * len(word) + 1.2
        shade = 0.06 + 0.6 * value / longest
        axes.add_patch(
            FancyBboxPatch(
                (x, y), width, 5, boxstyle="round,pad=0,rounding_size=0.8", facecolor=GAZE, alpha=shade, linewidth=0
            )
        )
        axes.text(x + width / 2, y + 2.5, word, ha="center", va="center", color=INK, fontsize=9.5)
        x += width + 0.5


def draw(path: Path) -> None:
    """Draw the whole picture."""
    plt.rcParams["svg.hashsalt"] = "gazetune"
    figure, axes = plt.subplots(figsize=(11.2, 3.7))
    axes.set(xlim=(0, 118), ylim=(0, 42))
    axes.axis("off")
    axes.text(1, 38.5, f"prompt: {PROMPT}", color=INK, fontsize=10)
    draw_reply(axes, "chosen", REPLIES["chosen"], 25)
    draw_reply(axes, "rejected", REPLIES["rejected"], 11)
    axes.text(1, 5.5, "the darker, the longer readers look (predicted TRT)", color=GAZE, fontsize=8.5)
    searched = FancyBboxPatch(
        (51, 4.5),
        52,
        33,
        boxstyle="round,pad=0,rounding_size=1.6",
        facecolor="none",
        edgecolor=FAINT,
        linewidth=1,
        linestyle=(0, (4, 3)),
    )
    axes.add_patch(searched)
    axes.text(77, 39, "one trial of a search", color=FAINT, fontsize=9, ha="center")
    axes.text(
        77,
        1.6,
        "searched together: learning rate, dropouts, measures, fusion, backbone",
        color=FAINT,
        fontsize=8.5,
        ha="center",
    )
    draw_arrow(axes, (44, 21), (53, 30), TEXT)
    draw_arrow(axes, (44, 21), (53, 12), GAZE)
    draw_box(axes, 53.5, 26, 19, 8, "token embeddings", TEXT)
    draw_box(axes, 53.5, 8, 19, 8, "gaze predictor\nand projector", GAZE)
    draw_arrow(axes, (73, 30), (76, 23), TEXT)
    draw_arrow(axes, (73, 12), (76, 19), GAZE)
    draw_box(axes, 76.5, 17, 10, 8, "fusion")
    draw_arrow(axes, (87, 21), (89, 21))
    draw_box(axes, 89.5, 17, 12, 8, "backbone\nand head")
    draw_arrow(axes, (102, 21), (106, 21))
    axes.text(106.5, 21, "reward$_{chosen}$\n      >\nreward$_{rejected}$", color=INK, fontsize=10, va="center")
    metadata = {"Date": None} if path.suffix == ".svg" else {}  # the same bytes on every day
    figure.savefig(path, facecolor="white", bbox_inches="tight", pad_inches=0.1, metadata=metadata)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("overview.svg"))
