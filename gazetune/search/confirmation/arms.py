"""What the chosen config, the runs without gaze and the controls reach on test, each averaged over its seeds.

Averaged means: for each test pair the mean of the correctness over the seeds of an arm. Arms are then compared pair by
pair. The seeds of all arms are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.length import shorter_baseline
from gazetune.evaluate.margins import Margins
from gazetune.evaluate.statistics import accuracy_interval
from gazetune.report.document import ArmRecord, BaselineRecord, TestRecord
from gazetune.search.baselines import compare_correctness

WINNER = "winner"
OWN_CONFIG = "winner-without-gaze"
SEARCHED = "best-none-trial"
CONTROL = "control-"


@dataclass(frozen=True)
class ScoredRun:
    """One training of an arm."""

    seed: int
    folder: str
    """Of the run, below that of the search."""
    val_accuracy: float
    test: Margins


@dataclass(frozen=True)
class ArmsComparison:
    """What the arms reached on test."""

    records: Mapping[str, ArmRecord]
    no_gaze: BaselineRecord | None
    """The arm without gaze with the higher validation accuracy, averaged over its seeds; None where there is none."""
    shorter: BaselineRecord
    kept: ScoredRun
    """The winner's training with the highest validation accuracy, the first on ties."""
    right: NDArray[np.float64]
    """[n] correctness of the winner, averaged over its seeds."""


def average_correctness(runs: Sequence[ScoredRun]) -> NDArray[np.float64]:
    """Return [n], for each test pair, the mean correctness of the runs."""
    mean: NDArray[np.float64] = np.mean([run.test.correctness for run in runs], axis=0)
    return mean


def compare_arms(arms: Mapping[str, Sequence[ScoredRun]]) -> ArmsComparison:
    """Compare the winner with every other arm on the same test pairs.

    Parameters
    ----------
    arms
        The trainings of each arm that reached their end, by its name; `WINNER` is there. A winner without gaze, which
        has no arm of its own config without gaze, is its own baseline.
    """
    groups = arms[WINNER][0].test.groups
    right = {name: average_correctness(runs) for name, runs in arms.items()}
    is_averaged = len(arms[WINNER]) > 1
    compared = {
        name: compare_correctness(right[WINNER], each, groups, is_averaged or len(arms[name]) > 1)
        for name, each in right.items()
        if name != WINNER
    }
    records = {name: _arm_record(runs, right[name], compared.get(name)) for name, runs in arms.items()}
    without_gaze = [name for name in (OWN_CONFIG, SEARCHED) if name in arms]
    chosen = max(without_gaze, key=lambda name: np.mean(records[name].val_accuracies), default=None)
    return ArmsComparison(
        records,
        None if chosen is None else compared[chosen],
        compare_correctness(right[WINNER], shorter_baseline(arms[WINNER][0].test.words), groups, is_averaged),
        max(arms[WINNER], key=lambda run: run.val_accuracy),
        right[WINNER],
    )


def _arm_record(runs: Sequence[ScoredRun], right: NDArray[np.float64], compared: BaselineRecord | None) -> ArmRecord:
    return ArmRecord(
        seeds=tuple(run.seed for run in runs),
        val_accuracies=tuple(run.val_accuracy for run in runs),
        test_accuracies=tuple(float(run.test.correctness.mean()) for run in runs),
        folders=tuple(run.folder for run in runs),
        test=describe_accuracy(right),
        compared=compared,
    )


def describe_accuracy(right: NDArray[np.float64]) -> TestRecord:
    """Return accuracy and interval of correctness [n]."""
    return TestRecord(float(right.mean()), len(right), accuracy_interval(right))
