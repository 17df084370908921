"""Folders of data sets that pymovements loads by their definition: published corpora, and your own files.

A definition is a YAML file of pymovements (`DatasetDefinition`) at the root of the data set's folder, or the name of
one that pymovements ships. Of its contents one is read: measures of words, tables of fixations, or samples of gaze.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gazetune.errors import InputError, did_you_mean
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource, recording_format
from gazetune.eyetracking.formats.split_trials import split_trials
from gazetune.eyetracking.import_settings import ImportSettings
from gazetune.eyetracking.pymovements.asc_blocks import open_asc, scan_asc
from gazetune.eyetracking.pymovements.gaze import (
    ReaderFixations,
    check_screen_size,
    extract_fixations,
    get_screen_size,
)
from gazetune.eyetracking.pymovements.settings import PymovementsSettings, import_pymovements, name_reading_errors
from gazetune.eyetracking.pymovements.tables import COLUMN_SPELLINGS, CorpusTable
from gazetune.eyetracking.recording import Recording

if TYPE_CHECKING:
    from pymovements import DatasetDefinition, Gaze
    from pymovements.dataset.dataset_files import DatasetFile

_T = TypeVar("_T")

_CONTENTS = {
    "measures": ("precomputed_reading_measures", "precomputed_reading_measures"),
    "fixations": ("precomputed_events", "precomputed_events"),
    "gaze": ("gaze", "raw"),
}
"""Our word for a content: pymovements' word, and its folder."""


def is_dataset(source: RecordingSource) -> bool:
    """Return whether the source is a data set of pymovements: its definition, or its folder with a name for it."""
    return source.settings.pymovements.dataset is not None or source.path.suffix in (".yaml", ".yml")


@recording_format("pymovements_dataset", files="a definition of pymovements (*.yaml)", precedence=40, claims=is_dataset)
def read_dataset(source: RecordingSource) -> LoadedRecordings:
    """Return the recordings of a data set, none where the source is no data set.

    Raises
    ------
    InputError
        If the definition or a file is wrong, or nothing that the definition names is there.
    """
    loaded = LoadedRecordings()
    if not is_dataset(source):
        return loaded
    settings = source.settings.pymovements
    pages = source.read_pages()
    definition, root = _load_definition(source.path, settings)
    content = settings.content or _find_first_content(definition, root)
    if settings.detect is not None and content != "gaze":
        raise InputError(
            f"detect: {settings.detect}; accepted: with content gaze, but the {content} of {definition.name} are read"
        )
    for file in _list_files(definition, root, content):
        for found in _read_file(file, definition, content, source.settings, loaded):
            if isinstance(found, Recording):
                loaded.recordings.append(found)
            else:
                loaded.add_all(split_trials(found, source, pages))
    if content == "measures":
        loaded.add_note(f"measures of words as {definition.name} has them")
    return loaded


def _load_definition(path: Path, settings: PymovementsSettings) -> tuple[DatasetDefinition, Path]:
    """Return the definition and the root folder of the data set."""
    library = import_pymovements()
    if settings.dataset is None:
        with name_reading_errors(path):
            return library.DatasetDefinition.from_yaml(path), path.parent
    names = library.DatasetLibrary.names()
    if settings.dataset not in names:
        raise InputError(f"dataset: '{settings.dataset}'; {did_you_mean(settings.dataset, names)}")
    if not path.is_dir():
        raise InputError(f"{path}: is no folder; accepted: the folder of the data set {settings.dataset}")
    return library.DatasetLibrary.get(settings.dataset), path


def _find_first_content(definition: DatasetDefinition, root: Path) -> str:
    for content, (name, folder) in _CONTENTS.items():
        if definition.resources.has_content(name) and (root / folder).is_dir():
            return content
    folders = [folder for name, folder in _CONTENTS.values() if definition.resources.has_content(name)]
    named = " or ".join(f"{folder}/" for folder in folders) or "no content that can be read"
    raise InputError(
        f"{root}: the definition of {definition.name} names {named}, which is not there; accepted: files "
        "laid out as pymovements does"
    )


def _list_files(definition: DatasetDefinition, root: Path, content: str) -> list[DatasetFile]:
    from pymovements.dataset.dataset_files import scan_dataset
    from pymovements.dataset.dataset_paths import DatasetPaths

    name, folder = _CONTENTS[content]
    if not definition.resources.has_content(name):
        raise InputError(f"{root}: the definition of {definition.name} has no {content} ({name})")
    definition.resources = definition.resources.filter(name)
    with name_reading_errors(root / folder):
        _, files = scan_dataset(definition, DatasetPaths(root=root, dataset="."))
    return list(files)


def _read_file(
    file: DatasetFile,
    definition: DatasetDefinition,
    content: str,
    import_settings: ImportSettings,
    loaded: LoadedRecordings,
) -> list[ReaderFixations] | list[Recording]:
    from pymovements.dataset import dataset_files

    """Return what a file has, and add to `loaded` what the report says of it."""
    path, metadata, settings, screen = file.path, file.metadata, import_settings.pymovements, import_settings.screen
    if content == "measures":
        with name_reading_errors(path):
            frame = dataset_files.load_precomputed_reading_measure_file(file, definition).frame
        return _read_table(CorpusTable(frame, path, metadata, settings), lambda table: table.read_measures(), loaded)
    if content == "fixations":
        with name_reading_errors(path):
            frame = dataset_files.load_precomputed_event_file(file, definition).frame
        recorded = get_screen_size(definition.experiment)
        size = check_screen_size(recorded, path, screen) if recorded and screen else screen or recorded
        return _read_table(
            CorpusTable(frame, path, metadata, settings), lambda table: table.read_fixations(size), loaded
        )
    with name_reading_errors(path):
        gaze = dataset_files.load_gaze_file(file, definition)
    reader = _name_reader(gaze, file, settings)
    if gaze.trial_columns is None and "trial" not in settings.columns:
        gaze.trial_columns = [name for name in COLUMN_SPELLINGS["trial"] if name in metadata][:1] or None
    blocks = None
    if path.suffix.lower() == ".asc":
        with name_reading_errors(path), open_asc(path) as lines:
            blocks = scan_asc(lines, settings.trial_message)
    return [extract_fixations(gaze, path, reader, settings, screen, blocks)]


def _read_table(table: CorpusTable, read: Callable[[CorpusTable], _T], loaded: LoadedRecordings) -> _T:
    found = read(table)
    for note in table.notes:
        loaded.add_note(note)
    return found


def _name_reader(gaze: Gaze, file: DatasetFile, settings: PymovementsSettings) -> str:
    """Return whose samples a file has: as its name says it, or a column of the same value in all rows, or its stem.

    Raises
    ------
    InputError
        If a column names several readers, or there is nothing of the name that the user gave.
    """
    given = settings.columns.get("reader")
    for name in (given,) if given else COLUMN_SPELLINGS["reader"]:
        if name in file.metadata:
            return str(file.metadata[name])
        if name in gaze.samples.columns:
            readers = sorted(map(str, gaze.samples[name].drop_nulls().unique().to_list()))
            if len(readers) == 1:
                return readers[0]
            raise InputError(
                f"{file.path}: {name}: has the samples of {len(readers)} readers ({', '.join(readers)[:80]}); "
                "accepted: a file for each reader"
            )
    if given:
        raise InputError(
            f"{file.path}: has no column '{given}' for reader, nor such a part of its name; it has "
            f"{', '.join([*gaze.samples.columns, *file.metadata])[:200]}; accepted: --columns reader=NAME"
        )
    return file.path.stem
