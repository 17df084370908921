"""Which public benchmarks of reward models there are.

One is a file in this folder that reads a row in the published columns and computes the published score:

    @benchmark("name", hub="OWNER/NAME", split="test", columns=("prompt", "chosen", "rejected"))
    class MyBenchmark:
        def read_row(self, row: Row) -> BenchmarkItem | None: ...
        def score(self, results: Sequence[ItemResult]) -> PublishedScore: ...

All files of the folder are imported when a benchmark is first asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError, did_you_mean
from gazetune.preferences.pair import Message
from gazetune.preferences.sources.rows import Row


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """One row: a prompt with replies that are right and replies that are not."""

    origin: str
    """`file:row`."""
    id: str
    """The row's own id; rows that belong together name each other by it."""
    subset: str
    prompt: tuple[Message, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]

    def list_chats(self) -> list[tuple[Message, ...]]:
        """Return the conversations that are scored: the chosen ones first."""
        return [(*self.prompt, Message("assistant", reply)) for reply in (*self.chosen, *self.rejected)]


@dataclass(frozen=True, slots=True)
class ItemResult:
    """A row with the rewards of its replies."""

    item: BenchmarkItem
    chosen: NDArray[np.float64]
    rejected: NDArray[np.float64]

    @property
    def has_tie(self) -> bool:
        """Whether the highest reward of a chosen and of a rejected reply are equal."""
        return bool(self.chosen.max() == self.rejected.max())


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """What the published rule gives."""

    accuracy: float
    subsets: Mapping[str, float]
    sections: Mapping[str, float] = field(default_factory=dict)
    """Of benchmarks that have them; NaN for one without rows."""


class ScoringRule(ABC):
    """How rows with their rewards are scored."""

    @abstractmethod
    def score(self, results: Sequence[ItemResult]) -> PublishedScore:
        """Return the published score of these rows, at least one."""

    def link_of(self, item: BenchmarkItem) -> str | None:
        """Return what rows have in common that are scored together; None for a row that is scored by itself."""
        return None


class BenchmarkRule(ScoringRule):
    """How the rows of one benchmark are read, too."""

    @abstractmethod
    def read_row(self, row: Row) -> BenchmarkItem | None:
        """Return the row; None for one that the published rule leaves out (a vote for neither).

        Raises
        ------
        RowError
            For a row that cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A registered benchmark."""

    name: str
    rule: BenchmarkRule
    hub: str
    """Its data set on the Hugging Face hub."""
    split: str
    columns: tuple[str, ...]
    """What its rows have, by which it is recognised."""


_benchmarks: dict[str, Benchmark] = {}


def benchmark(
    name: str, hub: str, split: str, columns: Sequence[str]
) -> Callable[[type[BenchmarkRule]], type[BenchmarkRule]]:
    """Register the decorated class under `name`; the parameters are the fields of `Benchmark`.

    Raises
    ------
    ValueError
        If another class has the name already.
    """

    def register(rule: type[BenchmarkRule]) -> type[BenchmarkRule]:
        if name in _benchmarks:
            raise ValueError(f"two benchmarks are named '{name}'")
        _benchmarks[name] = Benchmark(name, rule(), hub, split, tuple(columns))
        return rule

    return register


def benchmark_names() -> list[str]:
    """Return the names of all benchmarks, sorted."""
    return sorted(_registered())


def find_benchmark(name: str) -> Benchmark:
    """Return the benchmark of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    found = _registered().get(name)
    if found is None:
        raise InputError(f"--on: '{name}' is no benchmark and no file; {did_you_mean(name, benchmark_names())}")
    return found


def recognise_benchmark(columns: Iterable[str]) -> str | None:
    """Return the benchmark whose columns these are: of several the one with the most; None where there is none."""
    there = set(columns)
    found = [each for each in _registered().values() if set(each.columns) <= there]
    return max(found, key=lambda each: len(each.columns)).name if found else None


def _registered() -> dict[str, Benchmark]:
    for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return _benchmarks
