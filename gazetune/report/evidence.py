"""What the report of a run is made of: its document, and what its folder and its study hold beside that.

A report reads and draws. Whoever knows the folder of a run gathers this; nothing here trains or scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gazetune.report.ablation_document import AblationDocument
from gazetune.report.document import ImportanceRecord, SearchDocument, TrialRecord

RunState = Literal["running", "interrupted", "finished"]


@dataclass(frozen=True, slots=True)
class Curve:
    """What one trial reached at its evaluations."""

    trial: str
    points: tuple[tuple[int, float], ...]
    """(training examples, value of the objective), rising in examples."""


@dataclass(frozen=True)
class ScoredRun:
    """The rewards of one saved model on the pairs of one split."""

    label: str
    """What it is, such as `the winner`."""
    split: str
    """`validation` or `test`."""
    margins: NDArray[np.float64]
    """[n] rewards of the chosen less those of the rejected replies."""
    rewards: NDArray[np.float64] | None = None
    """[n, 2] of the chosen and of the rejected reply; None where only margins were kept."""
    words: NDArray[np.int32] | None = None
    """[n, 2] words of these replies."""


@dataclass(frozen=True)
class RunEvidence:
    """Everything that the report of a search or of an ablation shows."""

    document: SearchDocument
    """Of a search that is not finished: what there is of it. Of an ablation: its cells for trials."""
    ablation: AblationDocument | None = None
    """None of a search."""
    state: RunState = "finished"
    notes: tuple[str, ...] = ()
    """Sentences that stand below the verdict."""
    objective: str = "val/accuracy"
    """What the curves show."""
    curves: tuple[Curve, ...] = ()
    no_curves: str = ""
    """Why there are none."""
    rungs: tuple[int, ...] = ()
    """Training examples at which trials are compared, below the full budget."""
    gpu_seconds: Mapping[str, float] = field(default_factory=dict)
    """By trial, where any GPU was used."""
    scored: tuple[ScoredRun, ...] = ()
    """The winner first."""
    commands: tuple[tuple[str, str], ...] = ()
    """(a line of the report that is no trial, the command that runs it again)."""
    trial_commands: Mapping[str, str] = field(default_factory=dict)
    """By trial: the command that trains it again."""
    learned_from: Mapping[str, int] = field(default_factory=dict)
    """Trials that the sampler knew from each earlier search (`--warm-start`)."""


def document_of_cells(document: AblationDocument) -> SearchDocument:
    """Return the cells of an ablation as trials of a search without a winner, for the parts that both have."""
    trials = []
    for cell in document.cells:
        arm = document.arms.get(cell.arm)
        params = {"arm": cell.arm, "train.seed": cell.seed, **({} if arm is None else arm.params)}
        if arm is not None and not arm.has_gaze and arm.control == "none":
            params["fusion.kind"] = "none"
        control = "none" if arm is None else arm.control
        trials.append(
            TrialRecord(
                cell.id, cell.state, params, cell.examples, cell.val_accuracy, cell.seconds, cell.mlflow_run,
                cell.reason, control,
            )
        )  # fmt: skip
    return SearchDocument(
        name=document.name,
        storage=document.storage,
        tracking_uri=document.tracking_uri,
        mlflow_parent_run=document.mlflow_parent_run,
        trials=tuple(trials),
        best=None,
        baselines={},
        report=document.report,
        importance=ImportanceRecord(by_measure=document.importance_by_measure),
        data=document.data,
        config=document.config,
        fingerprints=document.fingerprints,
    )
