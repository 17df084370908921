"""How far a run has come: plain values that are written beside its training state, and come back from there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from gazetune.train.early_stop import PlateauCounter


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation of a run."""

    step: int
    """Optimiser steps done."""
    examples: int
    """Training pairs seen."""
    budget: int
    """Training pairs of the full run."""
    seconds: float
    """Training time so far, over all starts of the run."""
    metrics: dict[str, float]
    best_accuracy: float
    """Validation accuracy of the saved model: the best evaluation so far, the later one on ties."""
    train_losses: list[float]
    """Mean loss of each optimiser step since the evaluation before this one."""
    done: bool
    """The full budget is used, or `train.early_stop` says that more of it is of no use."""


ReportCallback = Callable[[EvaluationReport], bool]
"""Takes a report on rank 0 and says whether the run goes on."""


@dataclass
class Progress:
    """How far a run has come; all of it is counted over the run's whole life, not since its last start.

    Examples
    --------
    >>> progress = Progress("a fingerprint", step=3, seconds=1.5)
    >>> progress.to_json()  # doctest: +NORMALIZE_WHITESPACE
    '{"data": "a fingerprint", "step": 3, "seconds": 1.5, "best_accuracy": -1.0, "best_step": 0, "evaluations": [],
    "plateau": {}}'
    >>> Progress.from_json(progress.to_json()) == progress
    True
    """

    data: str
    """Fingerprint of the preference pairs that the run trains on."""
    step: int = 0
    """Optimiser steps done."""
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_step: int = 0
    evaluations: list[EvaluationReport] = field(default_factory=list)
    plateau: PlateauCounter | None = None
    """The counter of `train.early_stop`; None without one, and before the first evaluation."""
    schedule: dict[str, object] = field(default_factory=dict)
    """The state of a learning-rate schedule that depends on evaluations; empty for any other."""

    def to_json(self) -> str:
        """Return the progress as a JSON document; `from_json` restores it."""
        tree = {**asdict(self), "plateau": {} if self.plateau is None else asdict(self.plateau)}
        if not self.schedule:
            del tree["schedule"]
        return json.dumps(tree)

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """Return the progress that `to_json` wrote."""
        tree = json.loads(text)
        evaluations = [EvaluationReport(**each) for each in tree.pop("evaluations", [])]
        plateau = PlateauCounter(**stored) if (stored := tree.pop("plateau", None)) else None
        return cls(**tree, evaluations=evaluations, plateau=plateau)
