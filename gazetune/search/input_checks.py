"""Every backbone that a search reads, looked at once before anything is prepared."""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.search.space.axes import Axis
from gazetune.search.space.search_space import SearchSpace
from gazetune.trials.start.data_sets import check_backbones

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


def check_space_backbones(space: SearchSpace) -> None:
    """Check every backbone with every adapter that a space can propose.

    Raises
    ------
    InputError
        As `check_backbones`.
    """

    def values_to_try(axis: Axis) -> Sequence[object]:
        return axis.example_values() if axis.key in _BACKBONE_KEYS else []

    check_backbones(space.trial_config(params) for params in space.list_combinations(values_to_try))
