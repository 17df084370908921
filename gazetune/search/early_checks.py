"""What is wrong with a search and can be seen before anything is imported that takes long, or written, or started."""

from __future__ import annotations

import logging
from pathlib import Path

from gazetune.config import is_control
from gazetune.files.paths import path_exists
from gazetune.preferences.splits import load_splits
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.caps import check_caps
from gazetune.search.stopping.schedulers import check_scheduler
from gazetune.search.study.objectives import check_objectives
from gazetune.search.study.samplers import check_sampler
from gazetune.search.study.storage import check_study_storage
from gazetune.tracking.location import check_tracking_uri, log_unwritten_secret
from gazetune.trials.disk import folder_bytes

_LOG = logging.getLogger(__name__)

READ_AT_ONCE_BYTES = 64_000_000
"""Size of a source on disk up to which reading it before anything is started takes a second or two."""


def check_search(space: SearchSpace, storage: Path) -> None:
    """Raise `InputError` for what can be seen to be wrong before anything is written, prepared or started."""
    check_objectives(space.config.search, space.resource_shapes(), space.origin)
    check_scheduler(space.config.search, space.origin)
    check_sampler(space)
    check_caps(space.config.search, space.resource_shapes(), space.origin)
    check_tracking_uri(space.config.tracking.uri, storage)
    check_study_storage(space.config.search.storage, space.name, storage / space.name)
    _log_controls_alone(space)
    log_unwritten_secret(space.config.tracking.uri, f"gazetune search --resume {space.name}")


def _log_controls_alone(space: SearchSpace) -> None:
    """Warn of a space that can only give controls, which never win."""
    controls = {config.gaze.control for config in space.data_configs()}
    if all(map(is_control, controls)):
        _LOG.warning(
            "%s: every trial is a control (gaze.control: %s) and none can win; accepted for a winner: none among the "
            "values of gaze.control",
            space.origin,
            ", ".join(sorted(controls)),
        )


def check_small_sources(space: SearchSpace) -> None:
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
        for data in {config.data: None for config in space.data_configs()}:
            path = Path(data.source).expanduser()
            if data.source != "planted" and path_exists(path) and _size_on_disk(path) <= READ_AT_ONCE_BYTES:
                load_splits(data)
    finally:
        log.setLevel(level)


def _size_on_disk(path: Path) -> int:
    return path.stat().st_size if path.is_file() else folder_bytes(path)
