"""The trial of a search that needs the most memory."""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.search.space.axes import Axis
from gazetune.search.space.conditions import is_number
from gazetune.search.space.search_space import SearchSpace
from gazetune.train.checks import check_config
from gazetune.train.limits.memory_estimate import MemoryEstimate, configured_memory, estimate_memory

_LARGEST_VALUE_KEYS = ("adapter.r", "train.batch_size", "train.accumulate", "train.eval_tokens")
"""Keys whose largest value needs the most memory, whatever the others are."""
_EVERY_VALUE_KEYS = (
    "backbone",
    "adapter.kind",
    "adapter.targets",
    "adapter.quantization",
    "adapter.double_quantization",
    "fusion.kind",
    "train.precision",
    "train.batch_tokens",
    "train.gradient_checkpointing",
    "deepspeed.stage",
    "deepspeed.offload",
    "data.max_chars",
    "data.max_tokens",
    "resources.workers",
    "resources.gpus_per_worker",
)
"""Keys whose every value must be tried."""


def find_largest_trial(space: SearchSpace) -> tuple[Config, MemoryEstimate]:
    """Return the config, of all that a space can propose, whose workers hold the most on their devices, and its plan.

    Axes that say nothing about memory are left open: a condition on such a key counts as met and as not met.
    Combinations that would be refused are left out.

    Raises
    ------
    InputError
        When every combination is refused; says what the first one is refused for.
    """
    refused: InputError | None = None
    largest: tuple[int, Config, MemoryEstimate] | None = None
    for params in space.list_combinations(_values_to_try):
        config = space.trial_config(params)
        try:
            check_config(config)
            plan = estimate_memory(config)
        except InputError as error:
            refused = refused or error
            continue
        needed = configured_memory(config, plan).device_peak
        if largest is None or needed > largest[0]:
            largest = needed, config, plan
    if largest is None:
        raise refused or InputError(f"{space.origin}: space: nothing can be proposed")
    return largest[1], largest[2]


def _values_to_try(axis: Axis) -> Sequence[object]:
    """Return the values of an axis that decide about memory."""
    if axis.key in _LARGEST_VALUE_KEYS:
        return [max(value for value in axis.example_values() if is_number(value))]
    return axis.example_values() if axis.key in _EVERY_VALUE_KEYS else []
