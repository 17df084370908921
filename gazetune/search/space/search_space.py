"""Search spaces: a YAML file with a partial config and axes becomes a conditional, define-by-run Optuna space."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from gazetune.config import Config, GazeConfig, ResourcesConfig
from gazetune.config_file import (
    Lines,
    build_config,
    dump_yaml,
    parse_overrides,
    read_yaml_lines,
    set_key,
    with_absolute_paths,
)
from gazetune.config_keys import config_keys, get_key
from gazetune.errors import InputError, did_you_mean
from gazetune.gaze.registry import predictor_names
from gazetune.search.space.axes import Asked, Axis, ChoiceAxis, FixedAxis
from gazetune.search.space.checks import check_space, in_order
from gazetune.search.space.conditions import Condition
from gazetune.search.space.extras import Extras, read_extras
from gazetune.search.space.groups import read_entries
from gazetune.search.space.points import locate
from gazetune.search.space.reach import Reach, combinations
from gazetune.search.study.proposal import propose
from gazetune.search.study.storage import storage_url

if TYPE_CHECKING:
    from gazetune.search.study.tried import Tried

_TOP_LEVEL = (
    "name", "preset", "base", "space", "forbid", "try_first", "search", "resources", "tracking", "fixed", "history",
)  # fmt: skip
_MERGED = ("preset", "search", "resources", "tracking")
_RESOURCES = "resources."
_PATHS = ("data.source", "backbone", "gaze.path")


@dataclass(frozen=True)
class SearchSpace:
    """The axes of a search over a base config, in an order in which every condition can be decided."""

    name: str
    origin: str
    base: dict[str, Any]
    """The config tree that every trial starts from."""
    entries: Mapping[str, Any]
    """The axes as the file has them, those that `--set` took away included."""
    axes: tuple[Axis, ...]
    extras: Extras = field(default_factory=Extras)
    """What stands beside the axes: what is forbidden, tried first, fixed by `--set`, known from another search."""

    @property
    def config(self) -> Config:
        """The base config: what the search itself and the tracking are, and every value not searched."""
        return _config(self.base, self.origin)

    @property
    def forbid(self) -> tuple[Condition, ...]:
        """The conditions that no proposal fulfils."""
        return self.extras.forbid

    def value_of(self, key: str, chosen: Mapping[str, Any]) -> Any:
        """Return a key's value where these values were chosen: else the base config's, or null for a group."""
        return _value_of(self._base_values, key, chosen)

    def known(self, condition: Condition, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that a condition asks for."""
        return {key: self.value_of(key, chosen) for key in condition.keys}

    @functools.cached_property
    def _base_values(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def suggest(self, trial: Asked, tried: Tried | None = None) -> dict[str, Any]:
        """Ask for the value of each axis whose condition holds; returns dotted key -> value.

        A trial of a study gets a combination that is not forbidden, and none that was `tried` (see `proposal`).
        """
        if isinstance(trial, optuna.Trial) and (self.forbid or tried is not None):
            propose(self._choose, self.allows, tried, trial, self.config.search.seed)
        return self._choose(trial)

    def _choose(self, trial: Asked) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for axis in self.axes:
            if axis.when.holds(self.known(axis.when, chosen)):
                chosen[axis.key] = axis.suggest(trial)
        return chosen

    def allows(self, chosen: Mapping[str, Any]) -> bool:
        """Tell whether no `forbid:` holds for a trial with these values."""
        return not any(condition.holds(self.known(condition, chosen)) for condition in self.forbid)

    @functools.cached_property
    def first(self) -> tuple[dict[str, Any], ...]:
        """The values of the axes in each config of `try_first`."""
        place = self.extras.try_first_place
        return tuple(
            locate(self, values, f"{place}: try_first: config {number}")
            for number, values in enumerate(self.extras.try_first, start=1)
        )

    def reach(self) -> Reach:
        """Return the cases that the conditions of the space can tell apart."""
        conditions = [*self.forbid, *(axis.when for axis in self.axes)]
        asked = {key for condition in conditions for key in condition.keys}
        return Reach(self.axes, self.forbid, {key: self.value_of(key, {}) for key in sorted(asked)})

    def trial_config(self, params: Mapping[str, Any]) -> Config:
        """Return the complete config of a trial with these parameters."""
        return with_absolute_paths(self.raw_config(params, self.origin))

    def raw_config(self, params: Mapping[str, Any], origin: str) -> Config:
        """Return the config of a trial, paths as they were given; `origin` is whom error lines name."""
        tree = copy.deepcopy(self.base)
        for key, value in params.items():
            if key in config_keys():  # else it names the choice of a group, whose values are among the others
                set_key(tree, key, value)
        return _config(tree, origin)

    def dump(self) -> str:
        """Return the space as a space file, overrides included; reading it gives an equal space."""
        return dump_yaml(
            {"name": self.name, "base": self.base, "space": dict(self.entries), **self.extras.as_written()}
        )

    def combinations(self, tried: Callable[[Axis], Sequence[Any]]) -> list[dict[str, Any]]:
        """Return every combination of the values that are tried of each axis; see `reach.combinations`."""
        return combinations(self.axes, self.forbid, self.value_of, tried)

    def resources(self, params: Mapping[str, Any]) -> ResourcesConfig:
        """Return what a trial with these parameters occupies."""
        own = {key.removeprefix(_RESOURCES): value for key, value in params.items() if key.startswith(_RESOURCES)}
        return ResourcesConfig(**{**self._base_values["resources"], **own})

    def shapes(self) -> tuple[ResourcesConfig, ...]:
        """Return what trials can occupy; one shape unless `resources.*` is searched."""
        reachable = self.combinations(lambda axis: axis.examples() if axis.key.startswith(_RESOURCES) else [])
        return tuple(dict.fromkeys(self.resources(chosen) for chosen in reachable))

    def data_configs(self) -> list[Config]:
        """Return one config for each data set, tokenizer and gaze that trials can ask for (see `reward.dataset`)."""
        reachable = self.combinations(lambda axis: axis.examples() if _is_prepared(axis) else [])
        return [self.trial_config(chosen) for chosen in reachable]


def _is_prepared(axis: Axis) -> bool:
    # The fusion decides what a unit of gaze is, and whether the longest conversation fits the backbone; a margin may
    # need scores that the pairs do not have.
    named = axis.key in ("backbone", "fusion.kind", "fusion.unit", "loss.margin")
    within = axis.key.startswith(("data.", "gaze.")) and axis.key != "gaze.features"
    return isinstance(axis, ChoiceAxis | FixedAxis) and (named or within)


def _value_of(base: Mapping[str, Any], key: str, chosen: Mapping[str, Any]) -> Any:
    try:
        return chosen[key] if key in chosen else get_key(base, key)
    except KeyError:
        return None


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
    for key in tree:
        if key not in _TOP_LEVEL:
            raise InputError(f"{path}:{lines[key]}: unknown key '{key}'; {did_you_mean(str(key), _TOP_LEVEL)}")
    fixed = parse_overrides(overrides)
    if trials is not None:
        fixed["search.trials"] = trials
    base, base_lines = _base_tree(tree, lines, str(path), fixed)
    entries = tree.get("space") or {}
    extras = read_extras(tree, lines, str(path), fixed)
    if not isinstance(entries, Mapping) or not (entries or extras.fixed):
        where = f"{path}:{lines['space']}" if "space" in lines else str(path)
        raise InputError(
            f"{where}: space: needs at least one axis such as optim.learning_rate: {{log_uniform: [a, b]}}"
        )
    placed = [each for each in read_entries(entries, lines, str(path)) if each.axis.key not in extras.fixed]
    _make_absolute(base, str(path), base_lines)
    ordered = tuple(in_order(placed, extras))
    axes = tuple(each.axis for each in ordered)
    space = SearchSpace(_name(name or tree.get("name"), path), str(path), base, entries, axes, extras)
    return check_space(space, ordered)


def _base_tree(
    tree: Mapping[str, Any], lines: Mapping[str, int], origin: str, fixed: Mapping[str, Any]
) -> tuple[dict[str, Any], Lines]:
    """Merge `base`, the sections beside it and the overrides; return the tree and where each key was set."""
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


def _config(tree: Mapping[str, Any], origin: str, lines: Lines | None = None) -> Config:
    """Return the config of a tree in which `gaze.path` may name a file for each of several predictors."""
    gaze = tree.get("gaze")
    if isinstance(gaze, Mapping) and isinstance(gaze.get("path"), Mapping):
        own = gaze["path"].get(gaze.get("predictor", GazeConfig().predictor))
        tree = {**tree, "gaze": {**gaze, "path": own}}
    return build_config(tree, origin, lines)


def _make_absolute(base: dict[str, Any], origin: str, lines: Lines) -> None:
    """Make local files that the base names absolute, in place: a resumed search may start in another folder."""
    config = with_absolute_paths(_config(base, origin, lines))
    files = (base.get("gaze") or {}).get("path")
    for key in _PATHS:
        set_key(base, key, get_key(config, key))
    if config.search.storage is not None:
        base["search"]["storage"] = storage_url(config.search.storage, _place(origin, lines, "search.storage"))
    if not isinstance(files, Mapping):
        return
    known = predictor_names()
    for name in files:
        if name not in known:
            place = _place(origin, lines, f"gaze.path.{name}", "gaze.path")
            raise InputError(f"{place}: gaze.path: '{name}' is no gaze predictor; {did_you_mean(str(name), known)}")
    own = {name: _config({"gaze": {"predictor": name, "path": files}}, origin, lines) for name in files}
    base["gaze"]["path"] = {name: with_absolute_paths(config).gaze.path for name, config in own.items()}


def _place(origin: str, lines: Lines, *keys: str) -> str:
    """Return where the first of the keys that was set was set."""
    where = next(lines[key] for key in keys if key in lines)
    return where if isinstance(where, str) else f"{origin}:{where}"


def _name(name: Any, path: Path) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"{path}: name: {name!r} is not accepted; letters, digits, '.', '_' and '-' are")
    return name
