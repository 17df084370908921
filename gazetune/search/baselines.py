"""What the winner is measured against, on the test split that the search never saw.

`no_gaze` is the better on validation of the winner's own config with fusion `none` and the search's best `none` trial,
both trained to the full budget; `shorter` prefers the shorter response.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config
from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.length import shorter_baseline
from gazetune.evaluate.statistics import accuracy_interval, paired_difference
from gazetune.report.document import BaselineRecord, BestRecord, TestRecord, TrialRecord
from gazetune.reward.data.prepared_data import PreparedData
from gazetune.trials.messages import EvaluateJob, EvaluationResult

RunEvaluation = Callable[[EvaluateJob], EvaluationResult]
"""Runs an evaluation in a warm slot and returns its result."""


@dataclass(frozen=True)
class Candidate:
    """A trained model that may be the no-gaze baseline."""

    config: Config
    folder: Path
    val_accuracy: float


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the COMPLETE trial with the highest validation accuracy, the earliest on ties."""
    complete = [trial for trial in trials if trial.state == "COMPLETE" and trial.val_accuracy is not None]
    return max(complete, key=lambda trial: trial.val_accuracy or 0.0, default=None)


def best_without_gaze(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the best trial with fusion `none`: among the COMPLETE ones, or else among those that were stopped."""
    without = [trial for trial in trials if trial.params["fusion.kind"] == "none" and trial.val_accuracy is not None]
    return max(without, key=lambda trial: (trial.state == "COMPLETE", trial.val_accuracy), default=None)


def baseline_name(role: str, config: Config) -> str:
    """Return what the folder and the run of a baseline are called: another config is another baseline.

    A search that a cap ended and that goes on may have another winner, whose baselines must not go on from these.
    """
    tree = config.model_dump_json(exclude={"search", "tracking"})
    return f"{role}-{hashlib.sha256(tree.encode()).hexdigest()[:8]}"


def without_gaze(config: Config) -> Config:
    """Return the same config with fusion `none`."""
    return config.model_copy(update={"fusion": config.fusion.model_copy(update={"kind": "none"})})


def score_test(run_evaluation: RunEvaluation, name: str, config: Config, folder: Path) -> NDArray[np.float64]:
    """Return, for each test pair, whether the saved model in `folder` orders it right (1, 0, or 0.5 on a tie)."""
    rewards = run_evaluation(EvaluateJob(f"test-{name}", config, folder, "test")).rewards
    return pair_correctness(rewards[:, 0] - rewards[:, 1])


def compare(best: NDArray[np.float64], baseline: NDArray[np.float64]) -> BaselineRecord:
    """Compare correctness [n] of the best trial and of a baseline on the same test pairs, paired item by item."""
    difference = paired_difference(best, baseline)
    return BaselineRecord(
        accuracy=float(baseline.mean()),
        n=len(baseline),
        ci95=accuracy_interval(baseline),
        difference=difference.difference,
        difference_ci95=(difference.low, difference.high),
    )


def best_record(trial: TrialRecord, right: NDArray[np.float64]) -> BestRecord:
    """Return the winner with its test accuracy; `right` [n] is its correctness on the test pairs."""
    test = TestRecord(accuracy=float(right.mean()), n=len(right), ci95=accuracy_interval(right))
    return BestRecord(id=trial.id, params=trial.params, val_accuracy=float(trial.val_accuracy or 0.0), test=test)


def shorter(data: PreparedData) -> NDArray[np.float64]:
    """Return, for each test pair, whether the shorter response is the preferred one."""
    return shorter_baseline(data.response_words("test"))


def winner_and_baselines(
    trials: Sequence[TrialRecord],
    configs: Mapping[str, Config],
    folders: Mapping[str, Path],
    train_baseline: Callable[[str, Config], Candidate | None],
    run_evaluation: RunEvaluation,
    data: Callable[[Config], PreparedData],
) -> tuple[BestRecord | None, dict[str, BaselineRecord | None]]:
    """Evaluate winner and baselines on the winner's test split.

    `configs` and `folders` (of the saved model) are those of each trial id; `train_baseline` trains a named config to
    the full budget, or returns None when that failed. Without a COMPLETE trial there is no winner and nothing to
    compare.
    """
    winner = best_trial(trials)
    if winner is None:
        return None, {"no_gaze": None, "shorter": None}
    config = configs[winner.id]
    right = score_test(run_evaluation, f"best-{winner.id}", config, folders[winner.id])
    baselines: dict[str, BaselineRecord | None] = {"shorter": compare(right, shorter(data(config)))}
    candidates: list[Candidate | None] = []
    # On other data than the winner's there is no comparison item by item.
    own = best_without_gaze([trial for trial in trials if configs[trial.id].data == config.data])
    if config.fusion.kind != "none":
        candidates.append(train_baseline("winner-without-gaze", without_gaze(config)))
    if own is not None and own.state == "COMPLETE":
        candidates.append(Candidate(configs[own.id], folders[own.id], float(own.val_accuracy or 0.0)))
    elif own is not None:
        candidates.append(train_baseline("best-none-trial", configs[own.id]))
    trained = [candidate for candidate in candidates if candidate is not None]
    if not trained:
        return best_record(winner, right), {**baselines, "no_gaze": None}
    chosen = max(trained, key=lambda candidate: candidate.val_accuracy)
    baselines["no_gaze"] = compare(right, score_test(run_evaluation, "no-gaze", chosen.config, chosen.folder))
    return best_record(winner, right), baselines
