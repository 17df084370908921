"""Where trials are evaluated and compared: rungs, counted in training examples.

Rungs count neither steps nor reports, so they mean the same at every batch size.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rungs:
    """Where trials are compared.

    Examples
    --------
    >>> Rungs.spread(100, 3, 2000).milestones
    (100, 300, 900, 2000)
    """

    examples: tuple[int, ...]
    """Training examples of each rung below the full budget, rising."""
    budget: int

    @classmethod
    def spread(cls, first: int, reduction: int, budget: int) -> Rungs:
        """Return rungs from `first` on, each with `reduction` times the examples of the last, below the budget."""
        rungs = [first]
        while rungs[-1] * reduction < budget:
            rungs.append(rungs[-1] * reduction)
        return cls(tuple(rungs), budget)

    @property
    def milestones(self) -> tuple[int, ...]:
        """The training examples at which every trial is evaluated, the end among them."""
        return (*self.examples, self.budget)
