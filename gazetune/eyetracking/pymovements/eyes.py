"""Which eye each fixation is of, and which count where both eyes were recorded.

The right eye counts, and the left one where the right has no fixation. That is looked at in each block of a recording
and each showing of a page, since the tracked eye may change between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazetune.eyetracking.pymovements.asc_blocks import AscBlocks

if TYPE_CHECKING:
    import polars
    from pymovements import Gaze


def copy_single_eyes(gaze: Gaze, blocks: AscBlocks) -> None:
    """Let samples of blocks with one eye have its place as that of both, in a file that has blocks with both.

    pymovements takes them for the left eye, whichever they are of.
    """
    if not blocks.mixes_eyes or gaze.n_components != 4 or "pixel" not in gaze.samples.columns:
        return
    both = np.array([eyes == "both" for eyes in blocks.block_eyes])
    single = ~both[np.maximum(blocks.find_block(gaze.samples["time"].cast(float).to_numpy()), 0)]
    xy = np.stack([gaze.samples["pixel"].list.get(each).cast(float).to_numpy() for each in range(4)], axis=1)
    xy[single, 2:] = xy[single, :2]
    columns = gaze.samples.columns
    frame = gaze.samples.drop("pixel")
    gaze.samples = frame.insert_column(columns.index("pixel"), type(gaze.samples["pixel"])("pixel", xy.tolist()))


def find_places(frame: polars.DataFrame, blocks: AscBlocks | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return [events] the block and the showing of each, zeros where the file has none."""
    if blocks is None:
        return np.zeros(len(frame), dtype=np.int64), np.zeros(len(frame), dtype=np.int64)
    onset = frame["onset"].cast(float).to_numpy()
    by_time = np.stack([blocks.find_block(onset), blocks.find_showing(onset)], axis=1)
    if "eye" in frame.columns:
        # Lines stand in the order of time, and of equal times the order of the lines says what came first.
        for row, key in enumerate(zip(frame["eye"].to_list(), onset.tolist(), strict=True)):
            by_time[row] = blocks.places.get(key, tuple(by_time[row].tolist()))
    return by_time[:, 0], by_time[:, 1]


def choose_eyes(
    frame: polars.DataFrame, block: NDArray[np.int64], showing: NDArray[np.int64], page_names: Sequence[str | None]
) -> NDArray[np.bool_]:
    """Return [events] whether to keep each: those of the right eye, and of the left where the right one has none."""
    eye = np.array([each or "" for each in frame["eye"].to_list()])
    groups = list(zip(block.tolist(), showing.tolist(), page_names, strict=True))
    with_right = {group for group, each in zip(groups, eye.tolist(), strict=True) if each == "right"}
    return np.array([each != "left" or group not in with_right for group, each in zip(groups, eye, strict=True)])


def name_eyes(frame: polars.DataFrame, blocks: AscBlocks | None, block: NDArray[np.int64]) -> tuple[str, ...]:
    """Return [events] `left` or `right`."""
    if "eye" in frame.columns and frame["eye"].is_not_null().all():
        return tuple(frame["eye"].to_list())
    if blocks is None:
        return ("right",) * len(frame)
    return tuple("left" if eyes == "left" else "right" for eyes in blocks.list_eyes(block))


def describe_eyes(path: Path, eyes: Sequence[str]) -> tuple[str, ...]:
    """Return what the report says of a file that has fixations of both eyes, at different times."""
    left, right = (sum(each == eye for each in eyes) for eye in ("left", "right"))
    if not left or not right:
        return ()
    return (f"{path}: the tracked eye changes: {left} fixations of the left eye and {right} of the right are read",)
