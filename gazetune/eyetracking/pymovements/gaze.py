"""Samples and events that pymovements loaded, to the fixations of one reader with the screen each was made on.

Where both eyes are recorded, the right one is taken; the eye may change from block to block of a recording. The
position of a fixation is the mean of its samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.pymovements.asc_blocks import AscBlocks
from gazetune.eyetracking.pymovements.eyes import (
    choose_eyes,
    copy_single_eyes,
    describe_eyes,
    find_places,
    name_eyes,
)
from gazetune.eyetracking.pymovements.settings import PymovementsSettings, import_pymovements, name_reading_errors
from gazetune.eyetracking.recording import PIXEL_TOLERANCE, Fixations, ScreenSize

if TYPE_CHECKING:
    import polars
    from pymovements import Experiment, Gaze

# The components of a sample that are x and y of each eye, by how many components a sample has. Of six, the last two
# are the mean of both eyes.
_EYE_COMPONENTS = {2: {"right": (0, 1), "left": (0, 1)}, 4: {"left": (0, 1), "right": (2, 3)}}
_EYE_COMPONENTS[6] = _EYE_COMPONENTS[4]


@dataclass(frozen=True, slots=True)
class ReaderFixations:
    """The fixations of one reader in one file."""

    path: Path
    reader: str
    screen: ScreenSize
    page_names: tuple[str | None, ...]
    """[fixations] name of the page that each was made on; None outside of the trials."""
    fixations: Fixations
    """In the order of the file. The position is NaN where every sample was lost."""
    note: str = ""
    """How the fixations came to be."""
    showing: NDArray[np.int64] | None = None
    """[fixations] counts the showings of pages in the order of time; None where the file does not tell them apart."""
    tracked: tuple[str, ...] = ()
    """[fixations] the eyes that were recorded then: `left`, `right` or `both`, where there is a `showing`."""
    left_out: tuple[tuple[str, int], ...] = ()
    """Reason and number of fixations that the file has and that are not among these."""
    notes: tuple[str, ...] = ()
    """What else the report says."""


def extract_fixations(
    gaze: Gaze,
    path: Path,
    reader: str,
    settings: PymovementsSettings,
    screen: ScreenSize | None,
    blocks: AscBlocks | None = None,
) -> ReaderFixations:
    """Return the fixations of a `pymovements.Gaze`: its events, or those that are detected in its samples.

    Parameters
    ----------
    path, reader
        Where the samples come from, and whose they are.
    screen
        As the user gave it.
    blocks
        Blocks and showings of a file of EyeLink.

    Raises
    ------
    InputError
        If there are no samples, positions in pixels or fixations, if the times of a file of EyeLink go back, if the
        size of the screen is unknown or another than the file says, or if detection lacks what it needs.
    """
    if not len(gaze.samples):
        raise InputError(f"{path}: has no samples; accepted: samples and events, as edf2asc writes without options")
    if "pixel" not in gaze.samples.columns:
        raise InputError(f"{path}: has no places in pixels; accepted: a definition with pixel_columns")
    size = check_screen_size(get_screen_size(gaze.experiment), path, screen)
    if blocks is not None:
        _check_times(gaze, path)
        if settings.detect is None and max(map(abs, blocks.origin)) > PIXEL_TOLERANCE:
            raise InputError(
                f"{path}: GAZE_COORDS begins at {blocks.origin[0]:g}, {blocks.origin[1]:g}; accepted: at 0, 0 in the "
                "upper left corner, or --detect"
            )
        copy_single_eyes(gaze, blocks)
    _set_trials(gaze, path, settings)
    note = _detect_fixations(gaze, path, settings, size) if settings.detect else "fixations as the files have them"
    frame = _select_fixation_events(gaze, path, settings)
    left_out: dict[str, int] = {}
    if blocks is not None and settings.detect is None:
        left_out = {
            "off the screen": blocks.fixations_off_screen,
            "without samples": blocks.fixations_without_place,
            "on a line that is cut off or garbled": blocks.lines_cut_off,
        }
    if blocks is not None and settings.detect is None:
        once = frame.unique(["name", "eye", "onset", "offset"], keep="first", maintain_order=True)
        left_out["row for row another fixation"] = len(frame) - len(once)
        frame = once
    block, showing = find_places(frame, blocks)
    # Detection looks at one eye already; the tracker's own events may come from both.
    if "eye" in frame.columns and settings.detect is None:
        kept = choose_eyes(frame, block, showing, _join_columns(frame, gaze.trial_columns, gaze.metadata))
        left_out["of the left eye, where the right one has some too"] = int((~kept).sum())
        frame, block, showing = frame.filter(kept), block[kept], showing[kept]
    eyes = name_eyes(frame, blocks, block)
    page_names = _join_columns(frame, gaze.trial_columns, gaze.metadata)
    x, y = _average_positions(gaze, frame, eyes, path)
    x, y = _move_origin(x, y, gaze, size, path)
    if blocks is not None:
        x, y = x - blocks.origin[0], y - blocks.origin[1]
    onset, offset = (frame[name].cast(float).to_numpy() / 1000.0 for name in ("onset", "offset"))
    # An event names its last sample, which lasts one interval; idt names the sample after it.
    last = 0.0 if settings.detect == "idt" else _sample_interval(gaze)
    return ReaderFixations(
        path,
        reader,
        size,
        page_names,
        Fixations(x, y, offset - onset + last, onset),
        note,
        showing if blocks is not None and blocks.showing_times else None,
        () if blocks is None else blocks.list_eyes(block),
        tuple((reason, count) for reason, count in left_out.items() if count),
        describe_eyes(path, eyes),
    )


def get_screen_size(experiment: Experiment | None) -> ScreenSize | None:
    """Return width and height in pixels of a `pymovements.Experiment`, None where it has none."""
    if experiment is None or not experiment.screen.width_px or not experiment.screen.height_px:
        return None
    return int(experiment.screen.width_px), int(experiment.screen.height_px)


def _select_fixation_events(gaze: Gaze, path: Path, settings: PymovementsSettings) -> polars.DataFrame:
    """Return the events that are fixations; those of blinks and saccades are left out."""
    frame = gaze.events.frame if gaze.events is not None else None
    if frame is not None:
        frame = frame.filter(frame["name"].str.starts_with("fixation"))
    if frame is None or not len(frame):
        found = f"{settings.detect} finds no fixations" if settings.detect else "has no fixations"
        raise InputError(f"{path}: {found}; accepted: events of fixations, or samples and --detect ivt or idt")
    return frame


def check_screen_size(recorded: ScreenSize | None, path: Path, given: ScreenSize | None) -> ScreenSize:
    """Return the size of the screen that the user gave, else the one that the file or definition has.

    Raises
    ------
    InputError
        If there is neither, or if they differ by more than a pixel.
    """
    size = recorded or given
    if size is None:
        raise InputError(
            f"{path}: has no size of the screen (GAZE_COORDS, or the definition's experiment); "
            "accepted: --screen WIDTHxHEIGHT"
        )
    if recorded is None or given is None:
        return size
    # GAZE_COORDS has the last pixel or the number of pixels, by the experiment's program.
    if max(abs(recorded[0] - given[0]), abs(recorded[1] - given[1])) > PIXEL_TOLERANCE:
        raise InputError(
            f"{path}: the screen has {recorded[0]}x{recorded[1]} pixels, but --screen says {given[0]}x{given[1]}"
        )
    return given


def _set_trials(gaze: Gaze, path: Path, settings: PymovementsSettings) -> None:
    """Let `gaze.trial_columns` be the columns that name the screen, and drop samples outside of trials."""
    named = settings.columns.get("trial")
    if named is not None:
        gaze.trial_columns = named.split("+")
    if not gaze.trial_columns:
        raise InputError(
            f"{path}: has no column for the trial; accepted: trial_columns in the definition, or --columns trial=NAME"
        )
    for name in gaze.trial_columns:
        if name not in gaze.samples.columns and name not in (gaze.metadata or {}):
            raise InputError(f"{path}: has no column '{name}' for the trial; it has {', '.join(gaze.samples.columns)}")
    for name in gaze.trial_columns:
        if name in gaze.samples.columns:
            gaze.samples = gaze.samples.filter(gaze.samples[name].is_not_null())
    if not len(gaze.samples):
        raise InputError(f"{path}: has no trial; accepted: messages '{settings.trial_message}', or --trial-message")


def _detect_fixations(gaze: Gaze, path: Path, settings: PymovementsSettings, size: ScreenSize) -> str:
    """Detect fixations in the samples of each trial and return what was done, for the report.

    pymovements computes in degrees of visual angle. It needs the sampling rate, and the size of the screen in pixels
    and in centimetres at its distance, so what the file lacks of these is filled in first.
    """
    if gaze.experiment is None or not gaze.experiment.sampling_rate:
        gaze.experiment = gaze.experiment or import_pymovements().Experiment()
        gaze.experiment.sampling_rate = 1.0 / _sample_interval(gaze)
    screen = gaze.experiment.screen
    screen.width_px, screen.height_px = size
    if settings.viewing is not None:
        screen.width_cm, screen.height_cm, screen.distance_cm = settings.viewing
    if None in (screen.width_cm, screen.height_cm) or (screen.distance_cm is None and "distance" not in gaze.columns):
        raise InputError(
            f"{path}: degrees of visual angle need the size of the screen in cm and its distance; "
            "accepted: --viewing WIDTHxHEIGHT@DISTANCE"
        )
    screen.origin = screen.origin or "upper left"
    arguments = settings.detection_arguments()
    trial_columns = gaze.trial_columns
    # pymovements groups by columns of the samples alone, not by what the file's name says.
    gaze.trial_columns = [name for name in trial_columns if name in gaze.samples.columns] or None
    with name_reading_errors(path):
        gaze.pix2deg()
        if settings.detect == "ivt":
            gaze.pos2vel()
        eye = "right" if gaze.n_components > 2 else "auto"
        gaze.detect(settings.detect, eye=eye, clear=True, name="fixation", **arguments)
    gaze.trial_columns = trial_columns
    described = ", ".join(f"{name}={value:g}" for name, value in arguments.items())
    return (
        f"fixations by {settings.detect} of pymovements {import_pymovements().__version__} ({described}), screen "
        f"{screen.width_cm:g}x{screen.height_cm:g} cm at {screen.distance_cm or 0:g} cm"
    )


def _join_columns(
    frame: polars.DataFrame, columns: Sequence[str], metadata: Mapping[str, object] | None
) -> tuple[str | None, ...]:
    """Return [events] the values of the columns, or of the file's name, joined by _; None where one is missing."""
    rows = range(len(frame))
    known = {name: [value] * len(frame) for name, value in (metadata or {}).items()}
    known |= {name: frame[name].to_list() for name in columns if name in frame.columns}
    values = [known[name] for name in columns]
    return tuple(
        None if any(each[row] is None for each in values) else "_".join(str(each[row]) for each in values)
        for row in rows
    )


def _check_times(gaze: Gaze, path: Path) -> None:
    """Check that the times of the samples do not go back, as they do where two recordings were put into one file."""
    time = gaze.samples["time"].cast(float).to_numpy()
    backward = np.flatnonzero(np.diff(time) < 0)
    if len(backward):
        raise InputError(
            f"{path}: after the sample at {time[backward[0]]:g} ms comes one at {time[backward[0] + 1]:g} ms; "
            "accepted: one recording a file, in the order of time"
        )


def _average_positions(
    gaze: Gaze, frame: polars.DataFrame, eyes: Sequence[str], path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return [events] x and y in pixels, the mean of the samples of each event; NaN where all are lost."""
    inside = [name for name in gaze.trial_columns if name in gaze.samples.columns and name in frame.columns]
    parts = gaze.samples.partition_by(inside, as_dict=True) if inside else {(): gaze.samples}
    if gaze.n_components not in _EYE_COMPONENTS:
        raise InputError(f"{path}: has {gaze.n_components} coordinates a sample; accepted: 2, 4 or 6")
    components_of = _EYE_COMPONENTS[gaze.n_components]
    # Times may begin again with each trial, so an event is looked for among the samples of its own trial.
    samples = {}
    for key, part in parts.items():
        xy = [
            part["pixel"].list.get(each).cast(float).fill_null(np.nan).to_numpy()
            for each in range(4)[: gaze.n_components]
        ]
        samples[key] = part["time"].cast(float).to_numpy(), np.stack(xy, axis=1)
    positions = np.full((len(frame), 2), np.nan)
    for row, event in enumerate(frame.select([*inside, "onset", "offset"]).iter_rows()):
        *key, onset, offset = event
        if tuple(key) not in samples:
            continue
        time, all_xy = samples[tuple(key)]
        within = slice(np.searchsorted(time, onset), np.searchsorted(time, offset, side="right"))
        event_xy = all_xy[within][:, components_of[eyes[row]]]
        event_xy = event_xy[np.isfinite(event_xy).all(axis=1)]
        if len(event_xy):
            positions[row] = event_xy.mean(axis=0)
    return positions[:, 0], positions[:, 1]


def _move_origin(
    x: NDArray[np.float64], y: NDArray[np.float64], gaze: Gaze, size: ScreenSize, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions in pixels from the upper left corner, wherever the file counts from."""
    origin = (gaze.experiment.screen.origin if gaze.experiment is not None else None) or "upper left"
    if origin == "center":  # pixel 0 is the middle of the first one, so the middle of the screen lies at (size - 1) / 2
        return x + (size[0] - 1) / 2, y + (size[1] - 1) / 2
    if origin != "upper left":
        raise InputError(f"{path}: origin: '{origin}'; accepted: upper left, center")
    return x, y


def _sample_interval(gaze: Gaze) -> float:
    """Return the seconds from one sample to the next."""
    if gaze.experiment is not None and gaze.experiment.sampling_rate:
        return 1.0 / float(gaze.experiment.sampling_rate)
    return float(np.median(np.diff(gaze.samples["time"].cast(float).to_numpy(), prepend=0.0))) / 1000.0
