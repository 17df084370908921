"""How a study proposes trials: one file a sampler, which bears its name. A new sampler joins by a file in here.

A sampler is made anew for each proposal, from the search's seed and the number of trials begun. A proposal then depends
on nothing but the study: one trial at a time, a search repeats exactly, and one that was killed goes on as if it had
not been.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from gazetune.config.search import SAMPLER_NAMES
from gazetune.errors import InputError
from gazetune.search.space.axes import IntAxis, RangeAxis
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import SAMPLERS, SamplerRecord

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
if set(SAMPLERS) != set(SAMPLER_NAMES):
    raise ImportError(
        f"samplers are registered as {sorted(SAMPLERS)} in files for {sorted(SAMPLER_NAMES)}; each file of "
        f"{__name__} registers one sampler under the file's own name"
    )

__all__ = ["SAMPLERS", "SamplerFactory", "SamplerRecord", "check_sampler", "sampler_names"]


class SamplerFactory:
    """Makes the samplers of one search.

    `parallel` says that trials are proposed while others run.
    """

    def __init__(self, space: SearchSpace, parallel: bool) -> None:
        search = space.config.search
        self._seed = search.seed
        self._make = SAMPLERS[search.sampler].prepare(space, parallel)

    def make_sampler(self, begun: int) -> BaseSampler:
        """Return the sampler that proposes the next trial when `begun` trials were begun."""
        with warnings.catch_warnings():
            # What is experimental of Optuna in our samplers was chosen and is tested; one warning a trial says nothing.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return self._make(int(np.random.SeedSequence([self._seed, begun]).generate_state(1)[0]))


def sampler_names(accepts: Callable[[SamplerRecord], bool]) -> str:
    """Return the names of the samplers whose record is accepted, as error lines list them."""
    return ", ".join(name for name in SAMPLER_NAMES if accepts(SAMPLERS[name]))


def check_sampler(space: SearchSpace) -> None:
    """Refuse a sampler that cannot draw from the space.

    Raises
    ------
    InputError
        One line that names the space and the axis in the way; for a grid also when it has fewer points than trials.
    """
    record = SAMPLERS[space.config.search.sampler]
    if record.check is not None:
        record.check(space)
        return
    wrong = _find_mismatch(record, space)
    if wrong is not None:
        others = _join_words([name for name in SAMPLER_NAMES if SAMPLERS[name].takes_every_space])
        raise InputError(f"{space.origin}: search.sampler: {record.name} {wrong}; {others} take every space")


def _find_mismatch(record: SamplerRecord, space: SearchSpace) -> str | None:
    """Return what a sampler needs and the space does not have, in words; None where it can draw from the space."""
    kinds = [name for kind in record.axis_kinds for name in kind.kind_names]
    for axis in space.axes:
        if not isinstance(axis, record.axis_kinds):
            drawn = ", ".join(kinds)
            numbers = all(issubclass(kind, RangeAxis | IntAxis) for kind in record.axis_kinds)
            return f"draws {f'numbers ({drawn})' if numbers else drawn} and {axis.key} is none"
        if axis.when.keys and not record.conditional_axes:
            return f"needs every axis in every trial and {axis.key} has a condition"
    if record.needs_two_axes and len(space.axes) < 2:
        return "needs at least two axes"
    return None


def _join_words(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
