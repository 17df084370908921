"""The pairs of a run, read before anything is imported that takes long, or written, or started."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from gazetune.config import Config, DataConfig
from gazetune.files.paths import path_exists
from gazetune.preferences.splits import load_splits
from gazetune.trials.disk import folder_bytes

READ_AT_ONCE_BYTES = 64_000_000
"""Size of a source on disk up to which reading it before anything is started takes a second or two."""


def check_small_sources(configs: Iterable[Config]) -> None:
    """Read each small source of pairs once, so that a bad row is refused before torch is imported.

    Large ones, and those of the hub, are read when the data are prepared.

    Raises
    ------
    InputError
        As `load_splits`.
    """
    log = logging.getLogger("gazetune.preferences")
    level = log.level
    log.setLevel(logging.ERROR)  # what is to be told of the pairs is told when they are prepared
    try:
        for data in {config.data: None for config in configs}:
            if data.source != "planted" and is_read_at_once(data):
                load_splits(data)
    finally:
        log.setLevel(level)


def is_read_at_once(data: DataConfig) -> bool:
    """Tell whether reading the pairs takes a second or two."""
    path = Path(data.source).expanduser()
    return data.source == "planted" or (path_exists(path) and _size_on_disk(path) <= READ_AT_ONCE_BYTES)


def _size_on_disk(path: Path) -> int:
    return path.stat().st_size if path.is_file() else folder_bytes(path)
