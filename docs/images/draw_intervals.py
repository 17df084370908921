"""Draw docs/images/demo_intervals.svg: test accuracies of a finished search and what the winner gains, with intervals.

python docs/images/draw_intervals.py gazetune_runs/demo/search.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

INK, FAINT, WINNER, BASELINE = "#1f2328", "#57606a", "#c2410c", "#1d4ed8"
NAMES = {"no_gaze": "no gaze", "shorter": "prefer the shorter reply"}


def draw_interval(axes: Axes, row: int, value: float, interval: list[float], colour: str) -> None:
    """Draw a value with its 95 % interval, both in points, and write them beside it."""
    low, high = (100 * end for end in interval)
    axes.plot([low, high], [row, row], color=colour, linewidth=3, solid_capstyle="round")
    axes.plot(100 * value, row, "o", color=colour, markersize=7)
    axes.text(
        100 * value, row - 0.18, f"{100 * value:.1f} ({low:.1f} to {high:.1f})", ha="center", color=INK, fontsize=8.5
    )


def draw(document: dict[str, Any], path: Path) -> None:
    """Draw the accuracies on the left, the paired differences on the right."""
    plt.rcParams["svg.hashsalt"] = "gazetune"
    best = document["best"]
    baselines = {NAMES[key]: value for key, value in document["baselines"].items() if value is not None}
    arms = (document.get("confirmation") or {"arms": {}})["arms"]
    baselines |= {
        f"control: {name.removeprefix('control-')}": arm["compared"]
        for name, arm in arms.items()
        if name.startswith("control-")
    }
    height = 0.9 + 0.55 * (1 + len(baselines))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, height), sharey=True, layout="constrained")
    rows = ["the winner", *baselines]
    draw_interval(left, 0, best["test"]["accuracy"], best["test"]["ci95"], WINNER)
    for row, baseline in enumerate(baselines.values(), start=1):
        draw_interval(left, row, baseline["accuracy"], baseline["ci95"], BASELINE)
        draw_interval(right, row, baseline["difference"], baseline["difference_ci95"], WINNER)
    left.set_yticks(range(len(rows)), rows)
    left.set_ylim(len(rows) - 0.6, -0.6)
    left.set_title(f"accuracy on {best['test']['n']} test pairs, %", fontsize=9.5, color=FAINT, loc="left")
    right.set_title("winner minus baseline, points, paired", fontsize=9.5, color=FAINT, loc="left")
    left.axvline(50, color=FAINT, linewidth=0.8, linestyle=":")
    right.axvline(0, color=FAINT, linewidth=0.8, linestyle=":")
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
    metadata = {"Date": None} if path.suffix == ".svg" else {}  # the same bytes on every day
    figure.savefig(path, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("demo_intervals.svg")
    draw(json.loads(Path(sys.argv[1]).read_text()), out)
