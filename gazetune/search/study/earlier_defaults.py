"""What a resumed search keeps of the version that began it: values of keys whose defaults are others now.

A space names the keys that its author set, and the preset the rest. The config beside each trial names all of them. A
search whose later trials had other defaults than its first ones would compare what cannot be compared.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gazetune.config import Config
from gazetune.config.config_file import load_config
from gazetune.config.keys import config_keys, get_key, set_key
from gazetune.config.yaml_file import read_yaml
from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace

_log = logging.getLogger(__name__)

_NO_DEFAULTS = ("search.", "tracking.", "resources.")
"""Sections that may change when a search goes on."""
_LOOKED_AT = 16
"""So many trials, from the first to the last, are compared at most: to read a thousand configs takes a minute."""
_PLACES = ("backbone", "data.source", "data.chat_template", "gaze.path", "gaze.store")


def keep_earlier_defaults(space: SearchSpace, folder: SearchFolder) -> SearchSpace:
    """Return the space of a resumed search with the defaults that the trials of its folder had; what changed is told.

    Raises
    ------
    InputError
        When a trial had a default that depends on its other values, and that no single value stands for.
    """
    paths = sorted(folder.path.glob("trials/*/config.yaml"))
    trials = [load_config(path, []) for path in paths[:: len(paths) // _LOOKED_AT + 1]]
    if paths and "confirm" not in _search_section(paths[0]):
        # Its user was told of no trainings after the trials, and its caps were counted without them.
        _log.warning(
            "search '%s' was begun by a version that confirms no winner, and ends without a confirmation", space.name
        )
        base = copy.deepcopy(space.base)
        set_key(base, "search.confirm", None)
        space = replace(space, base=base)
    changes: dict[str, tuple[object, object]] = {}
    for trial in trials:
        changes |= _find_changes(space, trial)
    if not changes:
        return space
    base = copy.deepcopy(space.base)
    for key, (before, _) in changes.items():
        set_key(base, key, before)
    kept = replace(space, base=base)
    told = ", ".join(f"{key} {_show(before)} (now {_show(now)})" for key, (before, now) in changes.items())
    if any(_find_changes(kept, trial) for trial in trials):
        raise InputError(
            f"--resume: search '{space.name}' was begun by a version with other defaults: {told}; accepted: that "
            f"version, or a new search with --warm-start {space.name}"
        )
    _log.warning("search '%s' was begun by a version with other defaults and keeps them: %s", space.name, told)
    return kept


def _search_section(config: Path) -> Mapping[str, object]:
    """Return the section `search` of a trial's config as it was written."""
    section = read_yaml(config).get("search")
    return section if isinstance(section, dict) else {}


def _find_changes(space: SearchSpace, trial: Config) -> dict[str, tuple[object, object]]:
    """Return the keys in which a trial's config is not what the space makes of its values now: before, and now."""
    before = trial.model_dump(mode="json")
    keys = config_keys()
    params = {axis.key: get_key(before, axis.key) for axis in space.axes if axis.key in keys}
    now = space.trial_config(params).model_dump(mode="json")
    compared = (key for key in keys if not key.startswith(_NO_DEFAULTS) and key not in _PLACES)
    return {
        key: (get_key(before, key), get_key(now, key)) for key in compared if get_key(before, key) != get_key(now, key)
    }


def _show(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
