"""What pymovements loads, to recordings: files of EyeLink (.asc), and folders of data sets by their definition.

A definition is a YAML file of pymovements (`DatasetDefinition`) at the root of the data set's folder, or the name of
one that pymovements ships. Of its contents one is read: measures of words, tables of fixations, or samples of gaze.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gazetune.errors import InputError, did_you_mean
from gazetune.eyetracking.fixations import Fixations, Recording
from gazetune.eyetracking.pages import Screen, find_screen, paged_recording
from gazetune.eyetracking.pymovements.gaze import GazeFile, defined_size, gaze_file, load_asc
from gazetune.eyetracking.pymovements.settings import PymovementsSettings, pymovements, read_by_pymovements
from gazetune.eyetracking.pymovements.tables import SPELLINGS, fixation_files, measure_recordings

_CONTENTS = {
    "measures": ("precomputed_reading_measures", "precomputed_reading_measures"),
    "fixations": ("precomputed_events", "precomputed_events"),
    "gaze": ("gaze", "raw"),
}
"""Our word for a content: pymovements' word, and its folder."""
_OUTSIDE, _ELSEWHERE, _LOST = "outside of the trials", "on a screen without word boxes", "without samples"


@dataclass(slots=True)
class Loaded:
    """What was read."""

    recordings: list[Recording] = field(default_factory=list)
    left_out: list[tuple[str, str, int]] = field(default_factory=list)
    """File and reader, reason, number of fixations."""
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note that is not there yet."""
        if text and text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown to the readers."""

    words: Path
    """The folder of the boxes."""
    screens: Mapping[str, Screen]
    size: tuple[int, int] | None
    """Width and height in pixels, as the user gave them."""
    skip_unknown: bool
    """Leave fixations on a screen without boxes out, instead of refusing them."""


def is_dataset(source: Path, settings: PymovementsSettings) -> bool:
    """Return whether the source is a data set of pymovements: its definition, or its folder with a name for it."""
    return settings.dataset is not None or source.suffix in (".yaml", ".yml")


def read_asc_files(paths: Sequence[Path], source: Path, settings: PymovementsSettings, shown: Shown) -> Loaded:
    """Return the recordings in files of EyeLink.

    Parameters
    ----------
    source
        Folder of the import. The folder of a file below it names the reader, else the file does.

    Raises
    ------
    InputError
        If a file is wrong, has no size of the screen, or names a screen without boxes.
    """
    loaded = Loaded()
    for path in paths:
        reader = path.stem if path.parent == source or path == source else path.parent.name
        _add(loaded, gaze_file(load_asc(path, settings), path, reader, settings, shown.size), shown)
    return loaded


def read_dataset(source: Path, settings: PymovementsSettings, shown: Shown) -> Loaded:
    """Return the recordings of a data set.

    Raises
    ------
    InputError
        If the definition or a file is wrong, or nothing that the definition names is there.
    """
    definition, root = _definition(source, settings)
    content = settings.content or _first_content(definition, root)
    if settings.detect is not None and content != "gaze":
        raise InputError(
            f"detect: {settings.detect}; accepted: with content gaze, but the {content} of {definition.name} are read"
        )
    loaded = Loaded()
    for file in _files(definition, root, content):
        for found in _read_file(file, definition, content, settings, shown):
            if isinstance(found, GazeFile):
                _add(loaded, found, shown)
            else:
                loaded.recordings.append(found)
    if content == "measures":
        loaded.note(f"measures of words as {definition.name} has them")
    return loaded


def _definition(source: Path, settings: PymovementsSettings) -> tuple[Any, Path]:
    library = pymovements()
    if settings.dataset is None:
        with read_by_pymovements(source):
            return library.DatasetDefinition.from_yaml(source), source.parent
    names = library.DatasetLibrary.names()
    if settings.dataset not in names:
        raise InputError(f"dataset: '{settings.dataset}'; {did_you_mean(settings.dataset, names)}")
    if not source.is_dir():
        raise InputError(f"{source}: is no folder; accepted: the folder of the data set {settings.dataset}")
    return library.DatasetLibrary.get(settings.dataset), source


def _first_content(definition: Any, root: Path) -> str:
    for content, (name, folder) in _CONTENTS.items():
        if definition.resources.has_content(name) and (root / folder).is_dir():
            return content
    folders = [folder for name, folder in _CONTENTS.values() if definition.resources.has_content(name)]
    named = " or ".join(f"{folder}/" for folder in folders) or "no content that can be read"
    raise InputError(
        f"{root}: the definition of {definition.name} names {named}, which is not there; accepted: files "
        "laid out as pymovements does"
    )


def _files(definition: Any, root: Path, content: str) -> list[Any]:
    from pymovements.dataset.dataset_files import scan_dataset
    from pymovements.dataset.dataset_paths import DatasetPaths

    name, folder = _CONTENTS[content]
    if not definition.resources.has_content(name):
        raise InputError(f"{root}: the definition of {definition.name} has no {content} ({name})")
    definition.resources = definition.resources.filter(name)
    with read_by_pymovements(root / folder):
        _, files = scan_dataset(definition, DatasetPaths(root=root, dataset="."))
    return list(files)


def _read_file(
    file: Any, definition: Any, content: str, settings: PymovementsSettings, shown: Shown
) -> Iterator[GazeFile | Recording]:
    from pymovements.dataset import dataset_files

    path, metadata = file.path, file.metadata
    if content == "gaze":
        with read_by_pymovements(path):
            gaze = dataset_files.load_gaze_file(file, definition)
        reader = next((str(metadata[name]) for name in _spelt("reader", settings) if name in metadata), path.stem)
        if gaze.trial_columns is None and "trial" not in settings.columns:
            gaze.trial_columns = [name for name in SPELLINGS["trial"] if name in metadata][:1] or None
        yield gaze_file(gaze, path, reader, settings, shown.size)
    elif content == "fixations":
        with read_by_pymovements(path):
            frame = dataset_files.load_precomputed_event_file(file, definition).frame
        yield from fixation_files(frame, path, metadata, settings, shown.size or defined_size(definition.experiment))
    else:
        with read_by_pymovements(path):
            frame = dataset_files.load_precomputed_reading_measure_file(file, definition).frame
        yield from measure_recordings(frame, path, metadata, settings)


def _spelt(key: str, settings: PymovementsSettings) -> tuple[str, ...]:
    return (settings.columns[key],) if key in settings.columns else SPELLINGS[key]


def _add(loaded: Loaded, found: GazeFile, shown: Shown) -> None:
    """Add the trials of one reader, and what of the fixations was left out."""
    if not shown.screens:
        raise InputError(
            f"{found.path}: no word boxes in {shown.words}; accepted: TRIAL.csv there with text, x1, y1, "
            "x2, y2, or --words DIR"
        )
    loaded.note(found.note)
    counts = dict.fromkeys((_OUTSIDE, _ELSEWHERE, _LOST), 0)
    trials: dict[str, list[tuple[int, int]]] = {}
    for row, name in enumerate(found.shown):
        screen = find_screen(shown.screens, name) if name is not None else None
        if name is None:
            counts[_OUTSIDE] += 1
        elif screen is None and not shown.skip_unknown:
            raise InputError(
                f"{found.path}: trial: '{name}' has no word boxes in {shown.words}; accepted: the name of "
                f"one of its {len(shown.screens)} files, as '{next(iter(shown.screens))}'"
            )
        elif screen is None:
            counts[_ELSEWHERE] += 1
        elif not np.isfinite([found.fixations.x[row], found.fixations.y[row]]).all():
            counts[_LOST] += 1
        else:
            trials.setdefault(screen.trial, []).append((row, screen.page))
    place = f"{found.path} ({found.reader})"
    loaded.left_out += [(place, reason, count) for reason, count in counts.items() if count]
    for trial, rows in trials.items():
        order, page = np.array(rows, dtype=np.int64).T
        fixations = Fixations(*(getattr(found.fixations, name)[order] for name in ("x", "y", "duration", "start")))
        loaded.recordings.append(
            paged_recording(found.path, found.reader, trial, shown.screens, found.screen, fixations, page)
        )
