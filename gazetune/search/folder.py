"""The folder of one search: that of a run, and the space that a resumed search goes on with (`space.yaml`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict, cast

from gazetune.config.yaml_file import parse_yaml_value, read_yaml
from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically
from gazetune.files.names import is_folder_name
from gazetune.files.paths import path_exists, show_text
from gazetune.search.space.diff import describe_changes
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.train.checks import check_storage
from gazetune.trials.run_folder import JsonObject, RunFolder


class EndedByCap(TypedDict):
    """What the document of a search says about the cap that ended it; see `EndedRecord`."""

    cap: str
    limit: float
    trials: int
    planned: int


class SearchFolder(RunFolder):
    """`STORAGE/NAME` of a search, locked by one driver at a time."""

    kind = "search"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._space = path / "space.yaml"
        self._preparation = path / "preparing.json"

    @classmethod
    def create(cls, storage: Path, space: SearchSpace, warm_start: str | None = None) -> SearchFolder:
        """Make the folder of a new search that is to be prepared, with its space in it, and lock it.

        Raises
        ------
        InputError
            When the name is taken.
        """
        if warm_start is not None and not (storage / warm_start).exists():
            warm_start = str(Path(warm_start).absolute())  # the search may be resumed in another working directory

        def fill(folder: SearchFolder) -> None:
            folder.write_space(space)
            write_atomically(folder._preparation, json.dumps({"warm_start": warm_start}))

        try:
            return cls.create_filled(storage, space.name, fill)
        except FileExistsError:
            raise _name_taken(storage / space.name, space) from None

    @classmethod
    def open_to_resume(cls, storage: Path, name: str, new_caps: bool = False) -> tuple[SearchFolder, SearchSpace]:
        """Lock the folder of an unfinished search and return it with its space.

        With `new_caps`, a search that a cap ended counts as unfinished.

        Raises
        ------
        InputError
            When there is no such search, it is finished, or another driver works on it.
        """
        folder = cls._existing(storage, name, "--resume: ")
        document = folder.read_document()
        if document is not None:
            ended = cls.read_ended_by(document)
            if ended is None:
                raise InputError(f"--resume: search '{name}' is finished; its report is {folder.report}")
            if not new_caps:
                raise InputError(
                    f"--resume: search '{name}' is finished, since {ended['cap']} {ended['limit']:g} was reached; it "
                    f"goes on with a higher cap (--{ended['cap'].partition('.')[2].replace('_', '-')})"
                )
        folder.lock()
        return folder, read_space(folder._space)

    @classmethod
    def find(cls, storage: Path, name: str) -> tuple[SearchFolder, SearchSpace]:
        """Return the folder of a search and its space without locking it.

        Raises
        ------
        InputError
            When there is no such search.
        """
        folder = cls._existing(storage, name)
        return folder, read_space(folder._space)

    @classmethod
    def _existing(cls, storage: Path, name: str, option: str = "") -> SearchFolder:
        folder = cls(storage / name)
        # A name such as `../other` would be one of another storage folder.
        if not is_folder_name(name) or not path_exists(folder._space):
            accepted = ", ".join(cls.list_names(storage)) or "none, no search was started there"
            raise InputError(f"{option}there is no search {show_text(name)} in {storage}; accepted: {accepted}")
        return folder

    @staticmethod
    def read_ended_by(document: JsonObject) -> EndedByCap | None:
        """Return which cap ended the search of a document; None where all trials had what they were to have."""
        return cast("EndedByCap | None", document.get("ended_by"))

    @staticmethod
    def list_names(storage: Path) -> list[str]:
        """Return the names of the searches in a storage folder, sorted."""
        return sorted(space.parent.name for space in storage.glob("[!.]*/space.yaml"))

    @staticmethod
    def check_name_is_free(storage: Path, space: SearchSpace) -> None:
        """Refuse a name that is taken, and a storage folder that cannot be written.

        Raises
        ------
        InputError
            In both cases.
        """
        if (storage / space.name).exists():
            raise _name_taken(storage / space.name, space)
        check_storage(storage)

    def baseline_folder(self, name: str) -> Path:
        """Return the folder of a baseline that is trained to compare the winner with."""
        return self.path / "baselines" / name

    def read_warm_start(self) -> str | None:
        """Return what `--warm-start` named, of a search that was stopped before it was prepared."""
        try:
            return cast("str | None", json.loads(self._preparation.read_text(encoding="utf-8"))["warm_start"])
        except FileNotFoundError:
            return None

    def is_in_preparation(self) -> bool:
        """Tell whether the search was never prepared to its end."""
        return self._preparation.exists()

    def finish_preparation(self) -> None:
        """Note that the search is prepared: its study has all that is known before the first trial."""
        self._preparation.unlink(missing_ok=True)

    def write_space(self, space: SearchSpace) -> None:
        """Write the space that a resumed search reads. A search that was finished counts as unfinished from then on."""
        write_atomically(self._space, space.to_yaml())
        self.document.unlink(missing_ok=True)


def _name_taken(path: Path, space: SearchSpace) -> InputError:
    """Return the error for a name that is taken; it says how the two spaces differ."""
    taken = f"--name: a search '{path.name}' is already in {path.parent}"
    begun = path / "space.yaml"
    if not begun.is_file():
        return InputError(f"--name: '{path.name}' is in {path.parent} already and is no search; choose another --name")
    now = cast("dict[str, object]", parse_yaml_value(space.to_yaml()))
    changes = describe_changes(read_yaml(begun), now)
    if changes:
        return InputError(f"{taken} with another space: {changes}; choose another --name")
    return InputError(f"{taken}; choose another --name, or go on with --resume {path.name}")
