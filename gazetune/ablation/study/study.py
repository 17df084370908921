"""A study: the arms that an ablation compares, over which seeds, and which arm each is compared with.

::

    arm     none      real                shuffled                ...      a name and the config keys that it sets
    seed    42 43 44  42      43   44     42       43   44
    cell    0  5  10  1       6    11     2        7    12                 one training, to the full budget

Cells are numbered seed by seed, so that an ablation that is stopped early has all arms with some seeds, and not some
arms with all seeds.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gazetune.config import Config, ResourcesConfig, is_control
from gazetune.config.config_file import with_absolute_paths
from gazetune.config.keys import get_key, set_key
from gazetune.config.yaml_file import dump_yaml
from gazetune.search.space.search_space import space_config
from gazetune.trials.messages import trial_id_of

_PREPARED = ("data", "gaze", "backbone", "fusion", "loss")
"""Sections on which the prepared data set of a config may depend."""


@dataclass(frozen=True)
class Arm:
    """One of the settings that are compared."""

    name: str
    overrides: Mapping[str, object]
    """Dotted config key -> value, where it differs from the base."""
    baseline: str | None
    """Name of the arm that it is compared with; None of a baseline."""


@dataclass(frozen=True)
class Cell:
    """One arm with one seed."""

    id: str
    """Name of its folder; the number of the cell."""
    arm: str
    seed: int
    config: Config

    @property
    def label(self) -> str:
        """What people see of it."""
        return f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class Study:
    """What a study file says, checked."""

    name: str
    origin: str
    base: dict[str, Any]
    """The config tree that every arm starts from."""
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    """Each becomes `train.seed`. The data keep theirs."""
    keep_models: bool = False
    """Whether the saved models of all cells stay."""

    @functools.cached_property
    def config(self) -> Config:
        """The base config."""
        return space_config(self.base, self.origin)

    @functools.cached_property
    def arm_configs(self) -> dict[str, Config]:
        """The config of each arm by name, with the base's training seed."""
        return {arm.name: with_absolute_paths(self.raw_config(arm.overrides, self.origin)) for arm in self.arms}

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """The config keys in which arms may differ."""
        return tuple(dict.fromkeys(key for arm in self.arms for key in arm.overrides))

    @functools.cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, in the order of their numbers."""
        pairs = [(seed, arm.name) for seed in self.seeds for arm in self.arms]
        return tuple(
            Cell(trial_id_of(number), arm, seed, _with_seed(self.arm_configs[arm], seed))
            for number, (seed, arm) in enumerate(pairs)
        )

    def raw_config(self, overrides: Mapping[str, object], origin: str) -> Config:
        """Return the config of an arm, paths as they were given; `origin` is whom error lines name."""
        tree = copy.deepcopy(self.base)
        for key, value in overrides.items():
            set_key(tree, key, copy.deepcopy(value))
        return space_config(tree, origin)

    def params_of(self, arm: str) -> dict[str, object]:
        """Return the values that an arm has of the keys in which arms may differ, by dotted key."""
        tree = self.arm_configs[arm].model_dump(mode="json")
        return {key: get_key(tree, key) for key in self.keys}

    def data_configs(self) -> list[Config]:
        """Return one config for each data set, tokenizer and gaze that arms have."""
        # The mask is taken of what is prepared, and so does not matter there.
        different: dict[str, Config] = {}
        for config in self.arm_configs.values():
            own = config.model_dump_json(include=set(_PREPARED), exclude={"gaze": {"features"}})
            different.setdefault(own, config)
        return list(different.values())

    def resource_shapes(self) -> tuple[ResourcesConfig, ...]:
        """Return what cells occupy."""
        return tuple(dict.fromkeys(config.resources for config in self.arm_configs.values()))

    def to_yaml(self) -> str:
        """Return the study as a file in which all arms are listed; reading it gives an equal study."""
        written: dict[str, object] = {
            "name": self.name,
            "base": self.base,
            "arms": {arm.name: dict(arm.overrides) for arm in self.arms},
            "baseline": {arm.name: arm.baseline for arm in self.arms if arm.baseline is not None},
            "seeds": list(self.seeds),
        }
        return dump_yaml({**written, "keep_models": True} if self.keep_models else written)


def has_gaze(config: Config) -> bool:
    """Tell whether a run sees measures of its own texts: it is neither without gaze nor a control."""
    return config.fusion.kind != "none" and not is_control(config.gaze.control)


def control_of(config: Config) -> str:
    """Return the control of a run; `none` without gaze, whatever the config says."""
    return "none" if config.fusion.kind == "none" else config.gaze.control


def differ_in_control_alone(one: Config, other: Config) -> bool:
    """Tell whether two configs are the same but for `gaze.control`."""
    trees = [each.model_dump(mode="json") for each in (one, other)]
    controls = [tree["gaze"].pop("control") for tree in trees]
    return controls[0] != controls[1] and trees[0] == trees[1]


def _with_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
