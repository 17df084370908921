"""What is wrong with a search and can be seen before anything is imported that takes long, or written, or started."""

from __future__ import annotations

import logging
from pathlib import Path

from gazetune.config import is_control
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.caps import check_caps
from gazetune.search.stopping.schedulers import check_scheduler
from gazetune.search.study.objectives import check_objectives
from gazetune.search.study.samplers import check_sampler
from gazetune.search.study.storage import check_study_storage
from gazetune.tracking.location import check_tracking_uri, log_unwritten_secret

_LOG = logging.getLogger(__name__)


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
