"""The document that an ablation ends with: what each arm reached on test, which differences are larger than chance.

A cell is one arm trained with one seed, to the full budget. An arm is all of its cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gazetune.report.document import to_json_value

Answer = Literal["supported", "not supported", "cannot tell"]
"""Whether gaze helps, as the arms of a study answer it."""
Purpose = Literal["gaze", "control", "setting"]
"""Why two arms are compared, see `ComparisonRecord.purpose`."""


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One arm with one seed."""

    id: str
    """Number of the cell, the name of its folder below `trials/`."""
    arm: str
    seed: int
    """`train.seed`; the data have their own."""
    state: Literal["COMPLETE", "FAIL"]
    test_accuracy: float | None
    """None of a cell that failed."""
    val_accuracy: float | None
    """Of the saved model."""
    examples: int
    """Training examples (pairs) that it saw."""
    seconds: float
    """Of training."""
    mlflow_run: str
    reason: str | None = None
    """Why it FAILed."""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """What an arm reached on test, over its seeds."""

    params: Mapping[str, object]
    """Dotted config key -> the value that this arm has, of the keys in which arms differ."""
    control: str
    """Its `gaze.control`."""
    has_gaze: bool
    """Whether it sees measures of its own texts: neither a control nor without gaze."""
    baseline: str | None
    """The arm that it is compared with first; None of a baseline."""
    seeds: tuple[int, ...]
    """Of its COMPLETE cells."""
    accuracy: float | None
    """Mean test accuracy of these; None where there is none."""
    sd: float | None
    """Standard deviation of the test accuracy over seeds; None with fewer than two."""
    ci95: tuple[float, float] | None
    """Bootstrap interval of the mean over test pairs, by prompt; it says nothing of other seeds."""
    val_accuracy: float | None
    """Mean validation accuracy of the saved models."""
    n: int
    """Test pairs."""


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """Two arms on the same test pairs, with the seeds that both have."""

    arm: str
    baseline: str
    purpose: Purpose
    """`gaze`: an arm with gaze against one without, or against its control; one-sided. `control`: a control against an
    arm without gaze; one-sided. `setting`: any other two; two-sided. Each purpose is a family for `p_adjusted`."""
    difference: float
    """Mean test accuracy of the arm less that of the baseline."""
    ci95: tuple[float, float]
    """Bootstrap interval over test pairs, by prompt, of the correctness averaged over seeds."""
    p: float
    """Of the sign-flip permutation test of the same averages, all pairs of a prompt together."""
    p_adjusted: float
    """Holm's, over the comparisons of the same purpose."""
    alternative: Literal["greater", "two-sided"]
    """What p is about: is the arm better, or is it different?"""
    n: int
    """Test pairs."""
    seeds: int
    by_seed: tuple[float, ...]
    """The difference of each seed."""
    seeds_interval: tuple[float, float] | None
    """Interval over pairs and seeds; None below 3 seeds. How often it covers the truth is in docs/statistics.md."""
    seeds_p: float | None
    """Two-sided, over pairs and seeds; None below 8 seeds."""
    detectable: float | None
    """The smallest difference that these pairs find with a chance of 80 %; None where none is."""
    pairs_needed: int | None
    """Pairs that a difference of this size takes to be found so; None for no difference."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """Whether gaze helps in one arm."""

    arm: str
    answer: Answer
    baseline: str
    """The arm without gaze."""
    controls: tuple[str, ...]
    """The controls that it was compared with."""
    matching_control: str | None
    """The control that shows most of the gain, where one shows too much of it or is not beaten."""


@dataclass(frozen=True, slots=True)
class AblationDocument:
    """A finished ablation."""

    name: str
    storage: str
    tracking_uri: str
    mlflow_parent_run: str
    arms: Mapping[str, ArmRecord]
    """By name, in the order of the study."""
    comparisons: tuple[ComparisonRecord, ...]
    cells: tuple[CellRecord, ...]
    answer: Answer | None
    """Whether gaze helps; None of a study that does not ask: no arm with gaze has a baseline without it."""
    verdict: str
    """The same in a few sentences."""
    report: str
    """Path of `report.md`."""
    answers: tuple[AnswerRecord, ...] = ()
    """The answer of each arm with gaze that has a baseline without it."""
    importance_by_measure: Mapping[str, float] = field(default_factory=dict)
    """Where arms differ in `gaze.features`: the share of each measure in what masks explain; the largest first."""
    notes: tuple[str, ...] = ()
    """What could not be compared and why, and cells that failed, one line each."""
    shared_setting: bool = True
    """Whether all arms have the base's other values, and none was tuned by itself."""
    data: tuple[Mapping[str, Mapping[str, int]], ...] = ()
    """Of each data set: its `pairs` by split, those `dropped` by reason, and `notes`."""
    config: str = ""
    """The study as YAML, for the report only."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What was run, for the report only: `data`, `gaze`, `code`."""

    def to_json(self) -> dict[str, object]:
        """Return the document of `--json`. It holds only what JSON can: NaN and infinity become null."""
        document = {
            "kind": "ablation",
            "name": self.name,
            "storage": self.storage,
            "tracking_uri": self.tracking_uri,
            "mlflow_parent_run": self.mlflow_parent_run,
            "arms": {name: _fields_of(arm) for name, arm in self.arms.items()},
            "comparisons": [_fields_of(each) for each in self.comparisons],
            "cells": [_fields_of(cell) for cell in self.cells],
            "answer": self.answer,
            "answers": [_fields_of(each) for each in self.answers],
            "verdict": self.verdict,
            "importance_by_measure": dict(self.importance_by_measure),
            "notes": list(self.notes),
            "shared_setting": self.shared_setting,
            "data": list(self.data),
            "report": self.report,
        }
        return {name: to_json_value(value) for name, value in document.items()}

    def to_json_text(self) -> str:
        """Return `to_json` as text, indented."""
        return json.dumps(self.to_json(), indent=2, allow_nan=False)


def _fields_of(record: ArmRecord | ComparisonRecord | CellRecord | AnswerRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__slots__}
