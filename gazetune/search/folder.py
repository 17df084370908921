"""The folder of one search: where everything of it lies, who works in it, and what a resumed search needs to know."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from gazetune.config.yaml_file import read_yaml
from gazetune.errors import InputError
from gazetune.search.space.diff import shown_changes, space_changes
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.train.checks import check_storage
from gazetune.trials.driver_requests import Steering


@dataclass(frozen=True)
class Facts:
    """What the values of a search's trials depend on, apart from its space."""

    data: str
    """Fingerprint of the preference pairs and their splits."""
    budget: int
    """Training examples of a full trial."""


class SearchFolder:
    """`STORAGE/NAME`, held by one driver at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.report = path / "report.md"
        self.document = path / "search.json"
        self.cache = path.parent / "cache"
        self.steering = Steering(path / "driver")
        self._space = path / "space.yaml"
        self._parent = path / "mlflow_run"
        self._facts = path / "facts.json"
        self._lock = FileLock(path / ".driver.lock")

    @classmethod
    def create(cls, storage: Path, space: SearchSpace) -> SearchFolder:
        """Make the folder of a new search and hold it.

        It gets its name with the space in it, so that whatever is killed on the way can be resumed or was never there.

        Raises
        ------
        InputError
            When the name is taken.
        """
        folder = cls(storage / space.name)
        making = cls(storage / _making(space.name, uuid.uuid4().hex))
        try:
            if os.path.lexists(folder.path):  # an empty folder would give way to another one
                raise FileExistsError(folder.path)
            making.path.mkdir()
            making.write_space(space)
            making.path.rename(folder.path)
        except OSError:
            if not os.path.lexists(folder.path):
                raise
            raise _taken(folder.path, space) from None
        finally:
            shutil.rmtree(making.path, ignore_errors=True)
            folder._sweep()
        folder.hold()
        return folder

    def _sweep(self) -> None:
        """Once the name is taken, remove what others make of it: they were killed, or come too late."""
        if os.path.lexists(self.path):
            for left in self.path.parent.glob(_making(self.path.name, "?" * 32)):
                shutil.rmtree(left, ignore_errors=True)

    @classmethod
    def open(cls, storage: Path, name: str, more: bool = False) -> tuple[SearchFolder, SearchSpace]:
        """Hold the folder of an unfinished search and return it with its space.

        With `more`, because caps are given anew, a search that a cap ended counts as unfinished.

        Raises
        ------
        InputError
            When there is no such search, it is finished, or another driver works on it.
        """
        folder = cls._existing(storage, name, "--resume: ")
        document = folder.read_document()
        if document is not None:
            ended = document.get("ended_by")
            if ended is None:
                raise InputError(f"--resume: search '{name}' is finished; its report is {folder.report}")
            if not more:
                raise InputError(
                    f"--resume: search '{name}' is finished, since {ended['cap']} {ended['limit']:g} was reached; it "
                    f"goes on with a higher cap (--{ended['cap'].partition('.')[2].replace('_', '-')})"
                )
        folder.hold()
        return folder, read_space(folder._space)

    @classmethod
    def look(cls, storage: Path, name: str) -> tuple[SearchFolder, SearchSpace]:
        """Return the folder of a search and its space without holding it.

        Raises
        ------
        InputError
            When there is no such search.
        """
        folder = cls._existing(storage, name)
        return folder, read_space(folder._space)

    @classmethod
    def _existing(cls, storage: Path, name: str, said: str = "") -> SearchFolder:
        folder = cls(storage / name)
        if not folder._space.is_file():
            accepted = ", ".join(search_names(storage)) or "none, no search was started there"
            raise InputError(f"{said}there is no search '{name}' in {storage}; accepted: {accepted}")
        return folder

    def hold(self) -> None:
        """Keep other drivers out until this process ends.

        Raises
        ------
        InputError
            When another driver is in.
        """
        try:
            self._lock.acquire(timeout=0.5)  # `is_driven` may hold it for a moment
        except Timeout:
            raise InputError(f"search '{self.path.name}' in {self.path.parent} is running already") from None
        self.steering.clear()

    def is_driven(self) -> bool:
        """Tell whether a driver is at work, without writing anything."""
        try:
            with Path(self._lock.lock_file).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def release(self) -> None:
        """Let other drivers in."""
        self._lock.release()

    def trial(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return self.path / "trials" / trial_id

    def write_space(self, space: SearchSpace) -> None:
        """Write the space that a resumed search reads. A search that was finished is no more."""
        partial = self._space.with_suffix(f".{os.getpid()}")
        partial.write_text(space.dump(), encoding="utf-8")
        partial.rename(self._space)
        self.document.unlink(missing_ok=True)

    def read_parent_run(self) -> str | None:
        """Return the MLflow run of the search, if it has got one."""
        return self._parent.read_text().strip() if self._parent.exists() else None

    def write_parent_run(self, run: str) -> None:
        """Remember the MLflow run of the search."""
        partial = self._parent.with_suffix(f".{os.getpid()}")
        partial.write_text(run, encoding="utf-8")
        partial.rename(self._parent)

    def read_document(self) -> dict[str, Any] | None:
        """Return the document of a finished search as it was written; None of one that is not finished."""
        try:
            document: dict[str, Any] = json.loads(self.document.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return document

    def read_facts(self) -> Facts | None:
        """Return what the search's values depend on; None where an earlier version did not write it."""
        return Facts(**json.loads(self._facts.read_text())) if self._facts.exists() else None

    def write_facts(self, facts: Facts) -> None:
        """Remember what the search's values depend on."""
        partial = self._facts.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(asdict(facts)), encoding="utf-8")
        partial.rename(self._facts)


def check_free(storage: Path, space: SearchSpace) -> None:
    """Refuse a name that is taken, and a storage folder that cannot be written.

    Raises
    ------
    InputError
        In both cases.
    """
    if (storage / space.name).exists():
        raise _taken(storage / space.name, space)
    check_storage(storage)


def _taken(path: Path, space: SearchSpace) -> InputError:
    taken = f"--name: a search '{path.name}' is already in {path.parent}"
    begun = path / "space.yaml"
    new: dict[str, Any] = yaml.safe_load(space.dump())
    if not begun.is_file():
        return InputError(f"--name: '{path.name}' is in {path.parent} already and is no search; choose another --name")
    changes = space_changes(read_yaml(begun), new)
    if changes:
        return InputError(f"{taken} with another space: {shown_changes(changes)}; choose another --name")
    return InputError(f"{taken}; choose another --name, or go on with --resume {path.name}")


def _making(name: str, mark: str) -> str:
    """Return how the folder of a search is called before it has its name; no name of a search begins with a dot."""
    return f".{mark}.{name}"


def search_names(storage: Path) -> list[str]:
    """Return the names of the searches in a storage folder, sorted."""
    return sorted(space.parent.name for space in storage.glob("[!.]*/space.yaml"))
