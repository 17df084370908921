"""What a search reads, looked at once before anything is prepared: every backbone, gaze predictor and source."""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.config import Config
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.preferences.splits import load_splits
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.search.space.axes import Axis
from gazetune.search.space.search_space import SearchSpace

_BACKBONE_KEYS = (
    "backbone",
    "adapter.kind",
    "adapter.targets",
    "data.tokens",
    "data.chat_template",
    "train.pool",
    "train.padding",
)
"""Keys that decide whether a backbone can be trained."""


def check_backbones(space: SearchSpace) -> None:
    """Check every backbone with every adapter that a space can propose.

    Raises
    ------
    InputError
        As `check_backbone`.
    """

    def values_to_try(axis: Axis) -> Sequence[object]:
        return axis.example_values() if axis.key in _BACKBONE_KEYS else []

    configs = [space.trial_config(params) for params in space.list_combinations(values_to_try)]
    different = {(each.backbone, each.adapter, each.data, each.train): each for each in configs}
    for config in different.values():
        check_backbone(config)


def check_sources(configs: Sequence[Config]) -> None:
    """Read each predictor and source once, so that a bad one is refused before the first data set is made.

    Raises
    ------
    InputError
        For a predictor or pairs that cannot be read.
    """
    for config in {_predictor_key(config): config for config in configs}.values():
        create_predictor(config)
    for data in {config.data: None for config in configs}:
        load_splits(data)


def _predictor_key(config: Config) -> tuple[str | int | None, ...]:
    """Return what a gaze predictor is made from; configs that agree in it have the same one."""
    return (config.gaze.predictor, config.gaze.path, config.gaze.reader, config.data.seed)
