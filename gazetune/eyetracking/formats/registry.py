"""The registry of formats. A new one joins by one file in this folder, with a decorated function.

    @recording_format("my_tracker", files="*.mine of MyTracker")
    def read_my_tracker(source: RecordingSource) -> LoadedRecordings:
        loaded = LoadedRecordings()
        for path in source.find_files("*.mine"):
            loaded.recordings.append(...)       # a Recording: words, and fixations in pixels and seconds
        return loaded

`gazetune gaze import` then reads these files wherever it finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from gazetune.eyetracking.import_settings import DroppedPart, ImportSettings
from gazetune.eyetracking.recording import Recording
from gazetune.eyetracking.stimulus_pages import StimulusPage, read_stimulus_pages


@dataclass(frozen=True, slots=True)
class RecordingSource:
    """Where the recordings are, and how they are to be read."""

    path: Path
    """A folder, or one file."""
    settings: ImportSettings

    def find_files(self, pattern: str) -> list[Path]:
        """Return the files whose names fit the pattern, sorted: those below the folder, or the source file itself.

        The case of names does not matter. Hidden files and folders (their names begin with a dot) are left out.
        """
        return [path for path in self.list_files() if fnmatchcase(path.name.lower(), pattern.lower())]

    def list_files(self) -> list[Path]:
        """Return all files below the folder that are not hidden, sorted, or the source file itself."""
        return [path for path in self._walk() if path == self.path or not self._is_hidden(path)]

    def list_hidden_files(self, pattern: str) -> list[Path]:
        """Return the hidden files below the folder whose names fit the pattern."""
        hidden = [path for path in self._walk() if path != self.path and self._is_hidden(path)]
        return [path for path in hidden if fnmatchcase(path.name.lower(), pattern.lower())]

    def name_reader(self, path: Path) -> str:
        """Return whose recording a file is: the folder that it lies in names the reader, or the file itself does.

        A file that lies in the source itself always names its reader. `settings.reader_from` says which of both.
        """
        stem = path.name.split(".")[0] if path.name.lower().endswith(".asc.gz") else path.stem
        for ending in ("_fixations", "_all_gaze"):
            stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
        if self.path in (path, path.parent):
            return stem
        if self.settings.reader_from == "file":
            return (path.parent.relative_to(self.folder) / stem).as_posix()
        return path.parent.name

    def _walk(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    def _is_hidden(self, path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(self.folder).parts)

    @property
    def folder(self) -> Path:
        """The source, or the folder that the file lies in."""
        return self.path.parent if self.path.is_file() else self.path

    @property
    def words_folder(self) -> Path:
        """The folder of the word boxes, which need not exist."""
        return self.settings.words or self.folder / "words"

    def note_shared_folders(self, paths: Sequence[Path], loaded: LoadedRecordings) -> None:
        """Say of each folder below the source with several files that they are taken as one reader's."""
        if self.settings.reader_from == "file":
            return
        for folder in dict.fromkeys(path.parent for path in paths):
            count = sum(path.parent == folder for path in paths)
            if count > 1 and folder != self.folder:
                loaded.add_note(
                    f"{folder}: its {count} files are taken as one reader, {folder.name} (--reader-from file: each is "
                    "a reader)"
                )

    def read_pages(self) -> dict[str, StimulusPage]:
        """Return the word boxes of each page by its name, none where there is no folder of them.

        Raises
        ------
        InputError
            If a column or a page is missing.
        """
        return read_stimulus_pages(self.words_folder) if self.words_folder.is_dir() else {}


@dataclass(slots=True)
class LoadedRecordings:
    """What was read, and what was left out."""

    recordings: list[Recording] = field(default_factory=list)
    dropped: list[DroppedPart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """How the fixations came to be, for the report; each note once."""
    files: set[Path] = field(default_factory=set)
    """Files that were read beside those that `recordings` and `dropped` name."""

    def add_note(self, text: str) -> None:
        """Add a note that is not there yet."""
        if text and text not in self.notes:
            self.notes.append(text)

    def add_all(self, other: LoadedRecordings) -> None:
        """Add what another one has, behind what is here."""
        self.recordings += other.recordings
        self.dropped += other.dropped
        self.files |= other.files
        for note in other.notes:
            self.add_note(note)


Reader = Callable[[RecordingSource], LoadedRecordings]
"""Reads all recordings of its format at a source; nothing where there are none."""


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """One format of recordings."""

    name: str
    files: str
    """What its files are called, for the error line of a source without recordings."""
    read: Reader
    precedence: int
    """Formats are read from the lowest to the highest. Of two recordings of one reader and text the first counts."""
    claims: Callable[[RecordingSource], bool]
    """Whether the user said that the source is of this format. No other format is looked for then."""


RECORDING_FORMATS: dict[str, RecordingFormat] = {}
"""The registered formats by name."""


def recording_format(
    name: str, files: str, precedence: int = 100, claims: Callable[[RecordingSource], bool] = lambda source: False
) -> Callable[[Reader], Reader]:
    """Register the decorated function as the reader of a format (see `RecordingFormat`)."""

    def register(read: Reader) -> Reader:
        RECORDING_FORMATS[name] = RecordingFormat(name, files, read, precedence, claims)
        return read

    return register
