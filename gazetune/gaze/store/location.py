"""Where the store of reading measures lies: in a folder, or at a URI of `pyarrow.fs` with a local cache.

Reading always maps local files. A store at a URI therefore has a cache:

    URI  --- download_parts --->  cache  (missing texts are predicted into new parts)  --- upload_part --->  URI

A part is copied under a temporary name and then renamed, in both directions. The URI decides: where the cache has
another part with the number of a part at the URI, the one in the cache is deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import fs

from gazetune.config.address import Address
from gazetune.errors import InputError
from gazetune.files.paths import resolve_path
from gazetune.gaze.store.part import UNFINISHED, PartName, list_parts, unfinished_path

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_CHUNK = 4 << 20
_LOG = logging.getLogger(__name__)


class StoreLocation(NamedTuple):
    """Where stores lie."""

    root: Path
    """Local folder that holds a folder for each predictor: the stores themselves, or their cache."""
    remote: RemoteStores | None
    """What `root` is the cache of."""


def locate_store(store: str | None, cache: Path) -> StoreLocation:
    """Return where `gaze.store` says that stores lie.

    Parameters
    ----------
    store
        A folder, a URI that `pyarrow.fs` opens (`s3://`, `gs://`, `hdfs://`, `file://`), or None for `cache`.
    cache
        Folder of what can be made again.

    Raises
    ------
    InputError
        If the URI is none, or of a file system that this machine cannot open.
    """
    if store is None:
        return StoreLocation(cache / "gaze", None)
    if _URI.match(store) is None:
        return StoreLocation(resolve_path(store, "gaze.store"), None)
    address = Address(store)
    name = address.partition("?")[0].rstrip("/")
    with _name_in_errors(name, "opened"):
        filesystem, path = fs.FileSystem.from_uri(address.with_secret)
        if not path:
            raise OSError("it names no bucket or folder")
    # A cache of its own: parts of another store must not be taken for parts of this one. Keys may change.
    own = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
    return StoreLocation(cache / "gaze_remote" / own, RemoteStores(filesystem, path, name))


@dataclass(frozen=True)
class RemoteStores:
    """The folder of all stores at a URI, reached through `pyarrow.fs`."""

    filesystem: fs.FileSystem
    path: str
    uri: str
    """What messages call it."""

    def parts_of(self, fingerprint: str) -> RemoteParts:
        """Return the store of one predictor."""
        return RemoteParts(self.filesystem, f"{self.path.rstrip('/')}/{fingerprint}", f"{self.uri}/{fingerprint}")


class RemoteParts:
    """The parts of one store at a URI. What is there is the truth; the cache follows it."""

    def __init__(self, filesystem: fs.FileSystem, path: str, uri: str) -> None:
        self._filesystem = filesystem
        self._path = path
        self._uri = uri
        self._names: set[str] = set()
        self._damaged: set[str] = set()

    def download_parts(self, folder: Path) -> None:
        """Copy the parts that `folder` lacks into it. Damaged ones are named on the log and left out.

        A part of `folder` whose number another part has at the URI is removed: somebody else built it meanwhile.

        Raises
        ------
        InputError
            If the URI cannot be read.
        """
        with _name_in_errors(self._uri, "read"):
            found = self._filesystem.get_file_info(fs.FileSelector(self._path, allow_not_found=True))
            self._names = {info.base_name for info in found if info.is_file and PartName.parse(info.base_name)}
            for name in sorted(self._names):
                if not (folder / name).exists():
                    self._download_part(name, folder)
        self._names -= self._damaged
        numbers = _numbers_of(self._names)
        for path, part in list_parts(folder).items():
            if path.name not in self._names and part.number in numbers:
                path.unlink()

    def upload_missing(self, folder: Path, more_to_come: bool) -> None:
        """Copy the parts of `folder` that the URI lacks to it.

        With `more_to_come`, a trial file is written even where there is nothing to copy. A URI that cannot be written
        is then refused before texts are predicted.

        Raises
        ------
        InputError
            If the URI cannot be written.
        """
        paths = [path for path in list_parts(folder) if path.name not in self._names]
        if paths or more_to_come:
            with _name_in_errors(self._uri, "written"):
                self._filesystem.create_dir(self._path, recursive=True)
                trial = self._unfinished_path("trial")
                self._filesystem.open_output_stream(trial).close()
                self._filesystem.delete_file(trial)
        for path in paths:
            self.upload_part(path)

    def upload_part(self, path: Path) -> None:
        """Copy a part to the URI, where it appears whole or not at all.

        Raises
        ------
        InputError
            If the URI cannot be written.
        """
        unfinished = self._unfinished_path(path.name)
        with _name_in_errors(self._uri, "written"):
            with path.open("rb") as source, self._filesystem.open_output_stream(unfinished) as target:
                shutil.copyfileobj(source, target, _CHUNK)
            self._filesystem.move(unfinished, f"{self._path}/{path.name}")
        self._names.add(path.name)

    def delete_replaced(self) -> None:
        """Delete the damaged parts that `download_parts` found, where another part has their number by now.

        Raises
        ------
        InputError
            If the URI cannot be written.
        """
        with _name_in_errors(self._uri, "written"):
            numbers = _numbers_of(self._names)
            for name in self._damaged - self._names:
                if _numbers_of([name]) <= numbers:
                    self._filesystem.delete_file(f"{self._path}/{name}")

    def _download_part(self, name: str, folder: Path) -> None:
        unfinished = unfinished_path(folder)
        with self._filesystem.open_input_stream(f"{self._path}/{name}") as source, unfinished.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        part = PartName.parse(name)
        if part is not None and part.matches_content(unfinished):
            unfinished.replace(folder / name)
            return
        unfinished.unlink()
        self._damaged.add(name)
        _LOG.warning(f"{self._uri}/{name}: corrupt or truncated (checksum differs); it is built again")

    def _unfinished_path(self, name: str) -> str:
        return f"{self._path}/{UNFINISHED}{socket.gethostname()}-{os.getpid()}-{name}"


def _numbers_of(names: Iterable[str]) -> set[int]:
    """Return the numbers of parts of which these are the names."""
    return {part.number for part in map(PartName.parse, names) if part is not None}


@contextmanager
def _name_in_errors(uri: str, verb: str) -> Iterator[None]:
    """Turn an error of the file system into one line that names the URI."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"gaze.store: {uri} cannot be {verb} ({said[:300]}); accepted: a folder, or a URI of a place that "
            "pyarrow opens, such as s3://BUCKET/FOLDER"
        ) from None
