"""Search spaces: a YAML file with a partial config and axes becomes a conditional, define-by-run Optuna space."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from gazetune.config import Config
from gazetune.config_file import (
    Lines,
    build_config,
    dump_yaml,
    parse_overrides,
    read_yaml_lines,
    set_key,
    with_absolute_paths,
)
from gazetune.config_keys import config_keys, get_key, key_hint
from gazetune.errors import InputError, did_you_mean
from gazetune.search.axes import Axis, ChoiceAxis, parse_axis
from gazetune.train.checks import check_config

_TOP_LEVEL = ("name", "base", "space", "search", "resources", "tracking")
_MERGED = ("search", "resources", "tracking")
_PATHS = ("data.source", "backbone", "gaze.path")
_NOT_SEARCHED = ("search.", "resources.", "tracking.")


@dataclass(frozen=True)
class SearchSpace:
    """The axes of a search over a base config, in an order in which every condition can be decided."""

    name: str
    origin: str
    base: dict[str, Any]
    """The config tree that every trial starts from."""
    entries: Mapping[str, Any]
    """The axes as the file has them."""
    axes: tuple[Axis, ...]

    @property
    def config(self) -> Config:
        """The base config: what the search itself, the resources and the tracking are, and every value not searched."""
        return build_config(self.base, self.origin)

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Ask Optuna for the value of each axis whose condition holds; returns dotted key -> value."""
        base = self.config.model_dump(mode="json")
        chosen: dict[str, Any] = {}
        for axis in self.axes:
            known = {key: chosen[key] if key in chosen else get_key(base, key) for key in axis.when.keys}
            if axis.when.holds(known):
                chosen[axis.key] = axis.suggest(trial)
        return chosen

    def trial_config(self, params: Mapping[str, Any]) -> Config:
        """Return the complete config of a trial with these parameters."""
        tree = copy.deepcopy(self.base)
        for key, value in params.items():
            set_key(tree, key, value)
        return with_absolute_paths(build_config(tree, self.origin))

    def dump(self) -> str:
        """Return the space as a space file, overrides included; reading it gives an equal space."""
        return dump_yaml({"name": self.name, "base": self.base, "space": dict(self.entries)})

    def data_configs(self) -> list[Config]:
        """Return one config for each data set, tokenizer and gaze that trials can ask for (see `reward.dataset`)."""
        base = self.config.model_dump(mode="json")
        reachable: list[dict[str, Any]] = [{}]
        open_keys = {axis.key for axis in self.axes if not _is_prepared(axis)}
        for axis in self.axes:
            if isinstance(axis, ChoiceAxis) and _is_prepared(axis):
                reachable = [more for chosen in reachable for more in _extended(chosen, axis, base, open_keys)]
        return [self.trial_config(chosen) for chosen in reachable]


def _is_prepared(axis: Axis) -> bool:
    # The fusion changes nothing that is prepared, but whether the longest conversation fits the backbone.
    named = axis.key in ("backbone", "fusion.kind") or axis.key.startswith(("data.", "gaze."))
    return isinstance(axis, ChoiceAxis) and named and axis.key != "gaze.features"


def _extended(
    chosen: dict[str, Any], axis: ChoiceAxis, base: Mapping[str, Any], open_keys: Set[str]
) -> list[dict[str, Any]]:
    """Return what `chosen` can become at an axis; where its condition asks for an open key, also without it."""
    with_axis = [{**chosen, axis.key: choice} for choice in axis.choices]
    if axis.when.keys & open_keys:
        return [chosen, *with_axis]
    known = {key: chosen[key] if key in chosen else get_key(base, key) for key in axis.when.keys}
    return with_axis if axis.when.holds(known) else [chosen]


def read_space(
    path: Path, name: str | None = None, trials: int | None = None, overrides: Sequence[str] = ()
) -> SearchSpace:
    """Read and validate a space file. `--set` of a searched key fixes it and takes its axis away.

    Raises
    ------
    InputError
        For anything that could fail later because of the file: unknown keys, axes of the wrong form, values that the
        config refuses, conditions on keys that do not exist or in a circle.
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
    if not isinstance(entries, Mapping) or not (entries or fixed or tree.get("space") == {}):
        raise InputError(f"{path}: space: needs at least one axis such as optim.learning_rate: {{log_uniform: [a, b]}}")
    entries = {key: entry for key, entry in entries.items() if key not in fixed}
    axes = [_axis(key, entry, f"{path}:{lines[f'space.{key}']}") for key, entry in entries.items()]
    config = with_absolute_paths(build_config(base, str(path), base_lines))
    for key in _PATHS:
        # A resumed search may start in another folder.
        set_key(base, key, get_key(config, key))
    space = SearchSpace(_name(name or tree.get("name"), path), str(path), base, entries, _in_order(axes, str(path)))
    _check_values(space, {axis.key: f"{path}:{lines[f'space.{axis.key}']}" for axis in axes})
    return space


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


def _name(name: Any, path: Path) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"{path}: name: {name!r} is not accepted; letters, digits, '.', '_' and '-' are")
    return name


def _axis(key: str, entry: Any, origin: str) -> Axis:
    if key not in config_keys():
        raise InputError(f"{origin}: space: unknown key '{key}'; {key_hint(key)}")
    if key.startswith(_NOT_SEARCHED):
        raise InputError(f"{origin}: space: {key} holds for the whole search and cannot be searched")
    axis = parse_axis(key, entry, origin)
    for other in sorted(axis.when.keys):
        if other not in config_keys():
            raise InputError(f"{origin}: {key}: when: unknown key '{other}'; {key_hint(other)}")
    return axis


def _in_order(axes: Sequence[Axis], origin: str) -> tuple[Axis, ...]:
    """Order the axes so that each comes after those its condition asks about; keep the file's order otherwise."""
    waiting, ordered = list(axes), []
    while waiting:
        searched = {axis.key for axis in waiting}
        ready = [axis for axis in waiting if not axis.when.keys & searched]
        if not ready:
            raise InputError(f"{origin}: space: the conditions of {', '.join(sorted(searched))} go in a circle")
        ordered.append(ready[0])
        waiting.remove(ready[0])
    return tuple(ordered)


def _check_values(space: SearchSpace, origins: Mapping[str, str]) -> None:
    """Build a config with each value that an axis can take, so that a refused one shows before anything starts."""
    check_config(space.config)
    for axis in space.axes:
        for value in axis.examples():
            tree = copy.deepcopy(space.base)
            set_key(tree, axis.key, value)
            check_config(build_config(tree, origins[axis.key]))
