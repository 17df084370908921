"""Space files: a YAML file with a partial config and axes is read into a search space."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gazetune.config.address import Address
from gazetune.config.config_file import Lines, parse_overrides, with_absolute_paths
from gazetune.config.keys import get_key, set_key
from gazetune.config.yaml_file import read_yaml_lines
from gazetune.errors import InputError, did_you_mean
from gazetune.errors.redact import hide_password
from gazetune.files.names import check_name
from gazetune.gaze.predictors.registry import predictor_names
from gazetune.search.space.checks import check_space, order_axes
from gazetune.search.space.extras import read_extras
from gazetune.search.space.groups import read_axes
from gazetune.search.space.search_space import SearchSpace, space_config
from gazetune.search.space.shipped_spaces import shipped_spaces
from gazetune.search.space.study_url import storage_url

_TOP_LEVEL = (
    "name",
    "preset",
    "base",
    "space",
    "forbid",
    "try_first",
    "search",
    "resources",
    "tracking",
    "fixed",
    "history",
)
_STUDY_KEYS = {"arms", "factors"}
_MERGED = ("preset", "search", "resources", "tracking")
PATH_KEYS = ("data.source", "data.chat_template", "backbone", "gaze.path")
"""Keys whose values may be local files."""
_ADDRESSES = ("tracking.uri", "gaze.store")


def read_space(
    path: Path, name: str | None = None, trials: int | None = None, overrides: Sequence[str] = ()
) -> SearchSpace:
    """Read and validate a space file. `--set` of a searched key fixes it and takes its axis away.

    Raises
    ------
    InputError
        For anything that could fail later because of the file: unknown keys, axes of the wrong form, values that the
        config refuses, conditions on keys that do not exist, in a circle or never fulfilled, nothing left to propose.
    """
    tree, lines = read_yaml_lines(path)
    if is_study(tree):
        raise InputError(
            f"{path}: is a study, which compares the arms that it names, and no search space; run it with: gazetune "
            f"ablate {path.stem if path in shipped_spaces().values() else path}"
        )
    for key in tree:
        if key not in _TOP_LEVEL:
            raise InputError(f"{path}:{lines[key]}: unknown key '{key}'; {did_you_mean(str(key), _TOP_LEVEL)}")
    fixed = parse_overrides(overrides)
    if trials is not None:
        fixed["search.trials"] = trials
    base, base_lines = merge_base(tree, lines, str(path), fixed)
    entries = tree.get("space") or {}
    extras = read_extras(tree, lines, str(path), fixed)
    if not isinstance(entries, Mapping) or not (entries or extras.fixed):
        where = f"{path}:{lines['space']}" if "space" in lines else str(path)
        raise InputError(
            f"{where}: space: needs at least one axis such as optim.learning_rate: {{log_uniform: [a, b]}}"
        )
    located = [each for each in read_axes(entries, lines, str(path)) if each.axis.key not in extras.fixed]
    for each in located:
        if each.axis.key == "train.fold":
            raise InputError(
                f"{each.location}: train.fold: cannot be searched, since trials are compared on the same validation "
                "pairs; accepted: in `base`"
            )
    refuse_secrets([entries, extras.try_first, extras.as_written()], str(path))
    make_base_absolute(base, str(path), base_lines)
    ordered = tuple(order_axes(located, extras))
    axes = tuple(each.axis for each in ordered)
    own = check_name(tree.get("name"), f"{path}: name") if name is None else check_name(name, "--name")
    space = SearchSpace(own, str(path), base, entries, axes, extras)
    return check_space(space, ordered)


def is_study(tree: Mapping[str, object]) -> bool:
    """Tell whether a file is a study of `gazetune ablate`: it has `arms` or `factors` where a space has axes.

    Examples
    --------
    >>> is_study({"name": "mine", "arms": {"none": {}}}), is_study({"name": "mine", "space": {}})
    (True, False)
    """
    return "space" not in tree and not _STUDY_KEYS.isdisjoint(tree)


def merge_base(
    tree: Mapping[str, object], lines: Mapping[str, int], origin: str, fixed: Mapping[str, object]
) -> tuple[dict[str, Any], Lines]:
    """Merge `base`, the sections beside it and the overrides; return the tree and where each key was set.

    Raises
    ------
    InputError
        For a base that is no mapping, or a section that stands twice.
    """
    base = copy.deepcopy(tree.get("base") or {})
    if not isinstance(base, dict):
        raise InputError(f"{origin}:{lines['base']}: base: needs a mapping of config sections")
    where: dict[str, int | str] = {key.removeprefix("base."): line for key, line in lines.items() if "." in key}
    for section in _MERGED:
        if section in tree:
            if section in base:
                raise InputError(f"{origin}:{lines[section]}: {section}: stands both here and in base; keep one")
            base[section] = copy.deepcopy(tree[section])
            where[section] = lines[section]
    for key, value in fixed.items():
        set_key(base, key, value)
        where[key] = "--set"
    return base, where


def make_base_absolute(base: dict[str, Any], origin: str, lines: Lines) -> None:
    """Make local files that the base names absolute, in place: a resumed run may start in another folder.

    Raises
    ------
    InputError
        For a base that is no config.
    """
    config = with_absolute_paths(space_config(base, origin, lines))
    files = (base.get("gaze") or {}).get("path")
    for key in PATH_KEYS:
        set_key(base, key, get_key(config, key))
    for key in _ADDRESSES:
        if get_key(config, key) is not None:
            set_key(base, key, get_key(config, key))
    if config.search.storage is not None:
        base["search"]["storage"] = storage_url(config.search.storage, _location_of(origin, lines, "search.storage"))
    if not isinstance(files, Mapping):
        return
    known = predictor_names()
    for name in files:
        if name not in known:
            location = _location_of(origin, lines, f"gaze.path.{name}", "gaze.path")
            raise InputError(f"{location}: gaze.path: '{name}' is no gaze predictor; {did_you_mean(str(name), known)}")
    own = {name: space_config({"gaze": {"predictor": name, "path": files}}, origin, lines) for name in files}
    base["gaze"]["path"] = {name: with_absolute_paths(config).gaze.path for name, config in own.items()}


def refuse_secrets(part: object, origin: str) -> None:
    """Refuse an address with a password among the values of axes: they are written wherever a trial's values are.

    Raises
    ------
    InputError
        When there is one.
    """
    if isinstance(part, Mapping):
        part = list(part.values())
    if isinstance(part, list | tuple):
        for each in part:
            refuse_secrets(each, origin)
    elif isinstance(part, str) and Address(part).has_secret:
        raise InputError(
            f"{origin}: space: '{hide_password(part)}' has a password, which would be copied into reports and MLflow; "
            "accepted: the address without it"
        )


def _location_of(origin: str, lines: Lines, *keys: str) -> str:
    """Return where the first of the keys that was set was set."""
    where = next(lines[key] for key in keys if key in lines)
    return where if isinstance(where, str) else f"{origin}:{where}"
