"""Search spaces: axes over a base config, as a conditional, define-by-run Optuna space."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gazetune.config import Config, GazeConfig, ResourcesConfig
from gazetune.config.config_file import Lines, build_config, with_absolute_paths
from gazetune.config.keys import config_keys, get_key, set_key
from gazetune.config.yaml_file import dump_yaml
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis, ValueSource
from gazetune.search.space.combinations import CaseTree, SpaceSize, list_combinations
from gazetune.search.space.conditions import Condition
from gazetune.search.space.extras import Extras

_RESOURCES = "resources."


@dataclass(frozen=True)
class SearchSpace:
    """The axes of a search over a base config, in an order in which every condition can be decided.

    A space says what there is to choose. Which of it a trial gets is for the study to say
    (`study.constrained_sampling.propose_values`).
    """

    name: str
    origin: str
    base: dict[str, Any]
    """The config tree that every trial starts from."""
    entries: Mapping[str, object]
    """The axes as the file has them, those that `--set` took away included."""
    axes: tuple[Axis, ...]
    extras: Extras = field(default_factory=Extras)
    """What stands beside the axes: what is forbidden, tried first, fixed by `--set`, known from another search."""

    @property
    def config(self) -> Config:
        """The base config: what the search itself and the tracking are, and every value not searched."""
        return space_config(self.base, self.origin)

    @property
    def forbid(self) -> tuple[Condition, ...]:
        """The conditions that no proposal fulfils."""
        return self.extras.forbid

    def value_of(self, key: str, chosen: Mapping[str, object]) -> object:
        """Return a key's value where these values were chosen: else the base config's, or null for a group."""
        try:
            return chosen[key] if key in chosen else get_key(self._base_values, key)
        except KeyError:
            return None

    def control_of(self, params: Mapping[str, object]) -> str:
        """Return the `gaze.control` of a trial with these parameters (`config.is_control` tells what it means)."""
        return str(self.value_of("gaze.control", params))

    def values_for(self, condition: Condition, chosen: Mapping[str, object]) -> dict[str, object]:
        """Return the values that a condition asks for, where these values were chosen."""
        return {key: self.value_of(key, chosen) for key in condition.keys}

    @functools.cached_property
    def _base_values(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def suggest_values(self, source: ValueSource) -> dict[str, object]:
        """Ask for the value of each axis whose condition holds, whatever is forbidden; returns dotted key -> value."""
        chosen: dict[str, object] = {}
        for axis in self.axes:
            if axis.when.holds(self.values_for(axis.when, chosen)):
                chosen[axis.key] = axis.suggest_value(source)
        return chosen

    def is_allowed(self, chosen: Mapping[str, object]) -> bool:
        """Tell whether no `forbid:` holds for a trial with these values."""
        return not any(condition.holds(self.values_for(condition, chosen)) for condition in self.forbid)

    def case_tree(self) -> CaseTree:
        """Return the cases that the conditions of the space can tell apart."""
        conditions = [*self.forbid, *(axis.when for axis in self.axes)]
        asked = {key for condition in conditions for key in condition.keys}
        return CaseTree(self.axes, self.forbid, {key: self.value_of(key, {}) for key in sorted(asked)})

    def count_combinations(self) -> SpaceSize:
        """Return how many combinations the space has, without those that are forbidden."""
        tree = self.case_tree()
        return tree.count_combinations(tree.list_cases())

    def trial_config(self, params: Mapping[str, object]) -> Config:
        """Return the complete config of a trial with these parameters."""
        return with_absolute_paths(self.raw_config(params, self.origin))

    def raw_config(self, params: Mapping[str, object], origin: str) -> Config:
        """Return the config of a trial, paths as they were given; `origin` is whom error lines name."""
        tree = copy.deepcopy(self.base)
        for key, value in params.items():
            if key in config_keys():  # else it names the choice of a group, whose values are among the others
                set_key(tree, key, value)
        return space_config(tree, origin)

    def to_yaml(self) -> str:
        """Return the space as a space file, overrides included; reading it gives an equal space."""
        return dump_yaml(
            {"name": self.name, "base": self.base, "space": dict(self.entries), **self.extras.as_written()}
        )

    def list_combinations(self, values_to_try: Callable[[Axis], Sequence[object]]) -> list[dict[str, object]]:
        """Return every combination of the values to try of each axis; see `combinations.list_combinations`."""
        return list_combinations(self.axes, self.forbid, self.value_of, values_to_try)

    def trial_resources(self, params: Mapping[str, object]) -> ResourcesConfig:
        """Return what a trial with these parameters occupies."""
        own = {key.removeprefix(_RESOURCES): value for key, value in params.items() if key.startswith(_RESOURCES)}
        return ResourcesConfig(**{**self._base_values["resources"], **own})

    def resource_shapes(self) -> tuple[ResourcesConfig, ...]:
        """Return what trials can occupy; one shape unless `resources.*` is searched."""
        reachable = self.list_combinations(
            lambda axis: axis.example_values() if axis.key.startswith(_RESOURCES) else []
        )
        return tuple(dict.fromkeys(self.trial_resources(chosen) for chosen in reachable))

    def data_configs(self) -> list[Config]:
        """Return one config for each data set, tokenizer and gaze that trials can ask for.

        They are the configs of `reward.data.prepared_data` that differ in what is prepared.
        """
        reachable = self.list_combinations(lambda axis: axis.example_values() if _is_prepared(axis) else [])
        return [self.trial_config(chosen) for chosen in reachable]


def _is_prepared(axis: Axis) -> bool:
    # The fusion decides what a unit of gaze is, and whether the longest conversation fits the backbone; a margin may
    # need scores that the pairs do not have.
    named = axis.key in ("backbone", "fusion.kind", "fusion.unit", "loss.margin")
    within = axis.key.startswith(("data.", "gaze.")) and axis.key != "gaze.features"
    return isinstance(axis, ChoiceAxis | FixedAxis) and (named or within)


def space_config(tree: Mapping[str, object], origin: str, lines: Lines | None = None) -> Config:
    """Return the config of a tree in which `gaze.path` may name a file for each of several predictors."""
    gaze = tree.get("gaze")
    if isinstance(gaze, Mapping) and isinstance(gaze.get("path"), Mapping):
        own = gaze["path"].get(gaze.get("predictor", GazeConfig().predictor))
        tree = {**tree, "gaze": {**gaze, "path": own}}
    return build_config(tree, origin, lines)
