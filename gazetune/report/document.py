"""The document that a search ends with: what ran, what won, by how much. Table and Markdown are built from it too."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gazetune.config import is_control

TrialState = Literal["COMPLETE", "PRUNED", "FAIL"]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial of the search."""

    id: str
    state: TrialState
    params: Mapping[str, object]
    """Dotted config path -> value; always has `fusion.kind` and `gaze.features`."""
    examples: int
    """Training examples (pairs) that the trial saw."""
    val_accuracy: float | None
    """Last validation accuracy; None or NaN when there is none."""
    seconds: float
    mlflow_run: str | None
    reason: str | None = None
    """Why a trial is FAIL or PRUNED."""
    control: str = "none"
    """Its `gaze.control`."""

    @property
    def is_control(self) -> bool:
        """Whether it is there to be beaten, and so neither wins nor is a baseline."""
        return is_control(self.control)


@dataclass(frozen=True, slots=True)
class TestRecord:
    """Accuracy on the test split, which the search never saw."""

    __test__ = False  # pytest takes classes named Test* for tests

    accuracy: float
    n: int
    """Test pairs."""
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class BestRecord:
    """The COMPLETE trial with the highest validation accuracy, controls left out."""

    id: str
    params: Mapping[str, object]
    val_accuracy: float
    test: TestRecord | None


@dataclass(frozen=True, slots=True)
class BaselineRecord:
    """A baseline on the same test pairs. `difference` is best minus baseline, paired item by item."""

    accuracy: float
    n: int
    ci95: tuple[float, float]
    difference: float
    difference_ci95: tuple[float, float]
    p: float | None = None
    """Two-sided, of McNemar's exact test."""
    detectable: float | None = None
    """The smallest difference that these pairs find with a chance of 80 %; None where none is."""
    pairs_needed: int | None = None
    """Pairs that a difference of this size takes to be found so; None for no difference."""


@dataclass(frozen=True, slots=True)
class DiagnosticsRecord:
    """What else the winner's rewards tell on the test pairs."""

    calibration_error: float
    """Mean |accuracy - probability that the rewards stand for|, in bins of equally many pairs."""
    prefers_longer: float
    """Share of the pairs with replies of unequal length on which the winner prefers the longer one."""
    labels_prefer_longer: float
    """Share of these pairs on which the label does."""


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """What a control reached at its best: the COMPLETE trial with it that has the highest validation accuracy."""

    id: str
    params: Mapping[str, object]
    val_accuracy: float
    trials: int
    """COMPLETE trials with this control."""
    test: BaselineRecord | None
    """On the test pairs of the winner; None without a winner, or with one on other pairs."""


@dataclass(frozen=True, slots=True)
class ParetoRecord:
    """A COMPLETE trial, no control, that no other one is as good as on every objective and better than on one."""

    id: str
    values: Mapping[str, float]
    """By objective."""


@dataclass(frozen=True, slots=True)
class ImportanceRecord:
    """How much each key decided whether a trial was in the better half: shares of 1, or why there are none."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """By dotted key, the largest first."""
    trials: int = 0
    """Trials that they were found with: COMPLETE ones and those that the scheduler stopped, controls left out."""
    missing: str | None = None
    """Why there are no shares."""
    by_measure: Mapping[str, float] = field(default_factory=dict)
    """By reading measure, among the trials with gaze, where masks were searched; the largest first."""


@dataclass(frozen=True, slots=True)
class ValueMean:
    """The mean of the objective over the trials that have a key at a value, or in a third of its range."""

    key: str
    value: str
    """As a space file has it. For masks: a measure that was seen, or `no` and one that was not."""
    trials: int
    mean: float
    ci95: tuple[float, float] | None
    """Of a t-distribution over the trials, as if these had been drawn independently; None with one trial."""


@dataclass(frozen=True, slots=True)
class MeansRecord:
    """Means by the value of each searched key, at the last evaluation that all judged trials had."""

    objective: str
    examples: int
    """Training examples at that evaluation."""
    trials: int
    """COMPLETE trials and those that the scheduler stopped, controls left out."""
    means: tuple[ValueMean, ...]


@dataclass(frozen=True, slots=True)
class EndedRecord:
    """A cap that ended a search before all of its trials were begun or used their budget, or in its confirmation."""

    cap: str
    """Its key, such as `search.max_hours`."""
    limit: float
    """Its value: hours, GPU hours, or bytes."""
    trials: int
    """Trials that were begun."""
    planned: int
    """`search.trials`."""


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A trial that might win, trained again on other folds of the pairs outside test."""

    id: str
    params: Mapping[str, object]
    searched_accuracy: float
    """Validation accuracy in the search."""
    accuracy: float | None
    """Over the validation pairs of all folds; None where one of its trainings failed."""
    n: int
    """These pairs."""
    difference: float | None = None
    """Chosen candidate minus this one, paired item by item; None of the chosen one, and without an accuracy."""
    difference_ci95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """One config that a confirmation trained with several seeds on the usual split and scored on test."""

    seeds: tuple[int, ...]
    val_accuracies: tuple[float, ...]
    """By seed."""
    test_accuracies: tuple[float, ...]
    """By seed."""
    folders: tuple[str, ...]
    """By seed: the folder of the run, below that of the search."""
    test: TestRecord
    """Of each pair's correctness, averaged over the seeds."""
    compared: BaselineRecord | None
    """Winner minus this arm, paired item by item after averaging over the seeds; None of the winner."""


@dataclass(frozen=True, slots=True)
class ConfirmationRecord:
    """How the winner was confirmed, or why it was not; what the search alone would have said stands in it."""

    searched: BestRecord | None
    """The best trial on validation; its test record is that of the search's own model."""
    missing: str | None = None
    """Why nothing was confirmed, so that the search's own choice stands; None of a confirmed one."""
    folds: int = 0
    candidates: tuple[CandidateRecord, ...] = ()
    """By their rank in the search."""
    arms: Mapping[str, ArmRecord] = field(default_factory=dict)
    """Those that there are of `winner`, `winner-without-gaze`, `best-none-trial`, and `control-` with a name each."""
    model: str | None = None
    """The folder of the run whose model is kept as the best, below that of the search: the winner's best seed."""
    seed: int | None = None
    """`train.seed` of that run."""
    trainings: int = 0
    """Trainings of the confirmation that reached their end."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Why trainings failed, by name."""
    notes: tuple[str, ...] = ()
    """What else is to be known, such as that no candidate has gaze."""


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """A finished search."""

    name: str
    storage: str
    tracking_uri: str
    mlflow_parent_run: str
    trials: tuple[TrialRecord, ...]
    best: BestRecord | None
    """None when no trial is COMPLETE, or controls alone are."""
    baselines: Mapping[str, BaselineRecord | None]
    """`no_gaze` and `shorter`; None where a baseline could not be had."""
    report: str
    """Path of `report.md`."""
    controls: Mapping[str, ControlRecord] = field(default_factory=dict)
    """What each control reached that trials had, by its name."""
    diagnostics: DiagnosticsRecord | None = None
    """Of the winner; None where it was not evaluated on test."""
    pareto: tuple[ParetoRecord, ...] = ()
    """With several objectives: the trials of the Pareto front, by id."""
    importance: ImportanceRecord = field(default_factory=ImportanceRecord)
    means: MeansRecord | None = None
    ended_by: EndedRecord | None = None
    """None for a search that had all its trials."""
    confirmation: ConfirmationRecord | None = None
    """None with `search.confirm: off`, and of a search that an older version began."""
    data: tuple[Mapping[str, Mapping[str, int]], ...] = ()
    """Of each data set that trials could ask for: its `pairs` by split, those `dropped` by reason, and `notes`."""
    config: str = ""
    """The resolved search as YAML, for the report only."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What was run, for the report only: `data`, `gaze`, `code version` and whatever else identifies it."""

    def rank_trials(self) -> list[TrialRecord]:
        """Return the trials that may win, best first: COMPLETE before PRUNED before FAIL, then by validation accuracy.

        The rank of a trial is its place in this list. A confirmed winner has the first one, whatever its accuracy in
        the search was. Controls have none; `list_controls` has them.
        """
        ranked = _sort_trials(trial for trial in self.trials if not trial.is_control)
        if self.best is None or self.confirmation is None or self.confirmation.missing is not None:
            return ranked
        confirmed = self.best.id
        return sorted(ranked, key=lambda trial: trial.id != confirmed)

    def list_controls(self) -> list[TrialRecord]:
        """Return the trials with a control in the same order."""
        return _sort_trials(trial for trial in self.trials if trial.is_control)

    def to_json(self) -> dict[str, object]:
        """Return the document of `--json`. It holds only what JSON can: NaN and infinity become null."""
        best = self.best
        document = {
            "name": self.name,
            "storage": self.storage,
            "tracking_uri": self.tracking_uri,
            "mlflow_parent_run": self.mlflow_parent_run,
            "trials": [_record_fields(trial) for trial in self.trials],
            "best": best and _best_fields(best),
            "baselines": {name: record and _record_fields(record) for name, record in self.baselines.items()},
            "controls": {
                name: {**_record_fields(record), "test": record.test and _record_fields(record.test)}
                for name, record in self.controls.items()
            },
            "diagnostics": self.diagnostics and _record_fields(self.diagnostics),
            "pareto": [_record_fields(record) for record in self.pareto],
            "importance": dict(self.importance.shares),
            "importance_by_measure": dict(self.importance.by_measure),
            "means_by_value": self.means
            and {**_record_fields(self.means), "means": [_record_fields(mean) for mean in self.means.means]},
            "ended_by": self.ended_by and _record_fields(self.ended_by),
            "confirmation": self.confirmation and _confirmation_fields(self.confirmation),
            "data": list(self.data),
            "report": self.report,
        }
        return {name: to_json_value(value) for name, value in document.items()}

    def to_json_text(self) -> str:
        """Return `to_json` as text, indented."""
        return json.dumps(self.to_json(), indent=2, allow_nan=False)


def _sort_trials(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    return sorted(trials, key=lambda trial: rank_key(trial.state, trial.val_accuracy))


def rank_key(state: TrialState, val_accuracy: float | None) -> tuple[int, float]:
    """Return what trials are sorted by, best first: their state, then the validation accuracy, which may be missing.

    Examples
    --------
    >>> sorted([("PRUNED", 0.9), ("COMPLETE", None), ("COMPLETE", 0.7)], key=lambda trial: rank_key(*trial))
    [('COMPLETE', 0.7), ('COMPLETE', None), ('PRUNED', 0.9)]
    """
    last = math.inf if val_accuracy is None or math.isnan(val_accuracy) else -val_accuracy
    return ("COMPLETE", "PRUNED", "FAIL").index(state), last


def _best_fields(best: BestRecord) -> dict[str, object]:
    return {**_record_fields(best), "test": best.test and _record_fields(best.test)}


def _confirmation_fields(confirmation: ConfirmationRecord) -> dict[str, object]:
    arms = {
        name: {
            **_record_fields(arm),
            "test": _record_fields(arm.test),
            "compared": arm.compared and _record_fields(arm.compared),
        }
        for name, arm in confirmation.arms.items()
    }
    return {
        **_record_fields(confirmation),
        "searched": confirmation.searched and _best_fields(confirmation.searched),
        "candidates": [_record_fields(each) for each in confirmation.candidates],
        "arms": arms,
    }


def _record_fields(
    record: TrialRecord
    | BestRecord
    | TestRecord
    | BaselineRecord
    | ControlRecord
    | CandidateRecord
    | ArmRecord
    | ConfirmationRecord
    | DiagnosticsRecord
    | ParetoRecord
    | MeansRecord
    | ValueMean
    | EndedRecord,
) -> dict[str, object]:
    # dataclasses.asdict does not serve here: it makes deep copies, and a mappingproxy cannot be copied.
    return {name: getattr(record, name) for name in record.__slots__}


def to_json_value(value: object) -> object:
    """Return `value` in JSON's own types: tuples as lists, numpy scalars as numbers, non-finite numbers as None."""
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if hasattr(value, "item"):
        return to_json_value(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
