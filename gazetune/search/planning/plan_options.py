"""What a user knows about the cluster, the speed and the prices of a search that is planned."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from gazetune.errors import InputError

_NUMBERS = {
    "nodes": (">=", 1),
    "cpus": (">", 0),
    "gpus": (">=", 0),
    "examples_per_second": (">", 0),
    "price": (">=", 0),
}
"""What the numbers among the options must be."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is known about the cluster, the speed and the prices of a search; a config takes none of it.

    The fields are the options of `gazetune plan`.

    Raises
    ------
    InputError
        One line that names the option, its value and what is accepted.
    """

    nodes: int | None = None
    """Alike nodes to plan for; None: one, or this machine when `cpus` is not given."""
    cpus: float | None = None
    """CPUs of each of these nodes."""
    gpus: float | None = None
    """GPUs of each of these nodes."""
    calibrate: bool = False
    """Train a few steps of the largest trial here, to measure how fast it is."""
    examples_per_second: float | None = None
    """Training examples a second of one trial."""
    price: float | None = None
    """Of a GPU hour."""
    prices: Path | None = None
    """A table of machines and prices."""

    def __post_init__(self) -> None:
        for name, (sign, bound) in _NUMBERS.items():
            self._check_number(name, sign, bound)
        if self.cpus is None and (self.nodes is not None or self.gpus is not None):
            raise InputError("--cpus: is missing; --nodes and --gpus describe a cluster together with it")
        if self.calibrate and self.examples_per_second is not None:
            raise InputError("--calibrate: measures what --examples-per-second gives; keep one")
        if self.price is not None and self.prices is not None:
            raise InputError("--price: stands beside --prices; keep one")
        priced = "price" if self.price is not None else "prices" if self.prices is not None else None
        if priced is not None and not (self.calibrate or self.examples_per_second is not None):
            raise InputError(f"--{priced}: needs the hours; give --calibrate or --examples-per-second too")

    def _check_number(self, name: str, sign: str, bound: int) -> None:
        value = getattr(self, name)
        if value is None or (math.isfinite(value) and (value > bound or (sign == ">=" and value == bound))):
            return
        raise InputError(f"{_option(name)}: {value:g} is not accepted; accepted: a number {sign} {bound}")

    def refuse_all(self, file: str) -> None:
        """Refuse every option that is given, because `file` is a config.

        Raises
        ------
        InputError
            When one is given.
        """
        for name, value in asdict(self).items():
            if value not in (None, False):
                raise InputError(f"{_option(name)}: is for search spaces, and {file} is a config")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
