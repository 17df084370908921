"""What the winner is compared with on the test split, which the search never saw.

Two baselines answer on the same pairs as the winner:

- `shorter` prefers the shorter response.
- `no_gaze` is a model with fusion `none` and the full budget. There are two candidates, and the one with the better
  validation accuracy is taken: the winner's own config without gaze, and the search's best trial without gaze. The
  first is trained for the comparison; so is the second, where the search had stopped it.

Controls are there to be beaten: a trial with one is neither winner nor baseline. The best trial of each control answers
on the same pairs too, and what it reached stands beside the winner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config
from gazetune.evaluate.length import shorter_baseline
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from gazetune.evaluate.statistics import (
    TYPICAL_DISCORDANCE,
    accuracy_interval,
    measure_length_bias,
    measure_reliability,
    paired_difference,
    pairs_needed,
    sign_flip_p,
    smallest_detectable_difference,
)
from gazetune.report.document import (
    BaselineRecord,
    BestRecord,
    ControlRecord,
    DiagnosticsRecord,
    TestRecord,
    TrialRecord,
)
from gazetune.reward.data.dataset import PreparedData
from gazetune.trials.messages import EvaluateJob, EvaluationResult


@dataclass(frozen=True)
class BaselineCandidate:
    """A trained model that may be the no-gaze baseline."""

    config: Config
    folder: Path
    val_accuracy: float


TrainBaseline = Callable[[str, Config], BaselineCandidate | None]
"""Trains a config to the full budget, under the name of its role; returns None when that failed."""
RunEvaluation = Callable[[EvaluateJob], EvaluationResult]
"""Runs an evaluation in a warm slot and returns its result."""


@dataclass(frozen=True)
class TestComparison:
    """What was found on the test pairs of the winner."""

    __test__ = False  # pytest takes classes named Test* for tests

    best: BestRecord | None
    """The winner; None when no trial may win."""
    baselines: Mapping[str, BaselineRecord | None]
    """By name; None where there is none."""
    controls: Mapping[str, ControlRecord]
    """What each control reached at its best, by its name."""
    diagnostics: DiagnosticsRecord | None = None
    """Of the winner on the test pairs."""


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the COMPLETE trial, no control, with the highest validation accuracy, the earliest on ties."""
    return _highest_complete(trial for trial in trials if not trial.is_control)


def best_trial_without_gaze(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the best trial with fusion `none`: among the COMPLETE ones, or else among those that were stopped."""
    without = [
        trial
        for trial in trials
        if trial.params["fusion.kind"] == "none" and trial.val_accuracy is not None and not trial.is_control
    ]
    return max(without, key=lambda trial: (trial.state == "COMPLETE", trial.val_accuracy), default=None)


def best_of_controls(trials: Sequence[TrialRecord]) -> dict[str, TrialRecord]:
    """Return for each control, by its name, the COMPLETE trial with it that is best on validation."""
    names = sorted({trial.control for trial in trials if trial.is_control})
    found = {name: _highest_complete(trial for trial in trials if trial.control == name) for name in names}
    return {name: trial for name, trial in found.items() if trial is not None}


def _highest_complete(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    complete = [trial for trial in trials if trial.state == "COMPLETE" and trial.val_accuracy is not None]
    return max(complete, key=lambda trial: trial.val_accuracy or 0.0, default=None)


def baseline_name(role: str, config: Config) -> str:
    """Return what the folder and the run of a baseline are called: another config is another baseline.

    A search that a cap ended and that goes on may have another winner, whose baselines must not go on from these.
    """
    tree = config.model_dump_json(exclude={"search", "tracking"})
    return f"{role}-{hashlib.sha256(tree.encode()).hexdigest()[:8]}"


def compare_winner(
    trials: Sequence[TrialRecord],
    configs: Mapping[str, Config],
    folders: Mapping[str, Path],
    train_baseline: TrainBaseline,
    run_evaluation: RunEvaluation,
    load_data: Callable[[Config], PreparedData],
) -> TestComparison:
    """Evaluate the winner, its baselines and the best trial of each control on the winner's test split.

    Parameters
    ----------
    trials
        The finished trials. Where none of them is COMPLETE and no control there is no winner and nothing to compare.
    configs
        The config of each trial, by its id.
    folders
        The folder of its saved model, by its id, of each trial that has one. A search that an older version began may
        have dropped what is needed now; then nothing is compared.
    train_baseline, run_evaluation
        What the slots do.
    load_data
        Returns the prepared data of a config.
    """
    winner = best_trial(trials)
    if winner is None or winner.id not in folders:
        best = None if winner is None else _winner_record(winner, None)
        return TestComparison(best, {"no_gaze": None, "shorter": None}, controls_on_validation(trials))
    config = configs[winner.id]
    test = _TestScores(run_evaluation, load_data)
    scored = test.score(f"best-{winner.id}", config, folders[winner.id])
    shorter = shorter_baseline(scored.words)
    baselines: dict[str, BaselineRecord | None] = {"shorter": _compare_with_winner(scored, shorter), "no_gaze": None}

    def has_same_pairs(other: Config) -> bool:
        return have_same_pairs(config, other, load_data)

    candidates = _no_gaze_candidates(config, trials, configs, folders, train_baseline, has_same_pairs)
    if candidates:
        chosen = max(candidates, key=lambda candidate: candidate.val_accuracy)
        without_gaze = test.score("no-gaze", chosen.config, chosen.folder)
        baselines["no_gaze"] = _compare_with_winner(scored, without_gaze.correctness)
    controls = controls_on_validation(trials)
    for name, trial in best_of_controls([each for each in trials if has_same_pairs(configs[each.id])]).items():
        if trial.id in folders:
            control = test.score(f"control-{trial.id}", configs[trial.id], folders[trial.id])
            controls[name] = control_record(trials, trial, _compare_with_winner(scored, control.correctness))
    return TestComparison(_winner_record(winner, scored.correctness), baselines, controls, diagnose(scored))


def have_same_pairs(one: Config, other: Config, load_data: Callable[[Config], PreparedData]) -> bool:
    """Tell whether two runs can be compared item by item. Another tokenizer may drop other pairs."""
    if other.data != one.data or other.backbone == one.backbone:
        return other.data == one.data
    return load_data(other).facts.data_fingerprint == load_data(one).facts.data_fingerprint


def _no_gaze_candidates(
    winner: Config,
    trials: Sequence[TrialRecord],
    configs: Mapping[str, Config],
    folders: Mapping[str, Path],
    train_baseline: TrainBaseline,
    has_same_pairs: Callable[[Config], bool],
) -> list[BaselineCandidate]:
    """Return the models without gaze that the winner may be compared with, all of the full budget."""
    candidates: list[BaselineCandidate | None] = []
    if winner.fusion.kind != "none":
        candidates.append(train_baseline("winner-without-gaze", config_without_gaze(winner)))
    searched = best_trial_without_gaze([trial for trial in trials if has_same_pairs(configs[trial.id])])
    if searched is not None and searched.id in folders and searched.state == "COMPLETE":
        accuracy = float(searched.val_accuracy or 0.0)
        candidates.append(BaselineCandidate(configs[searched.id], folders[searched.id], accuracy))
    elif searched is not None:
        candidates.append(train_baseline("best-none-trial", configs[searched.id]))
    return [candidate for candidate in candidates if candidate is not None]


def config_without_gaze(config: Config) -> Config:
    """Return the same config with fusion `none`."""
    return config.model_copy(update={"fusion": config.fusion.model_copy(update={"kind": "none"})})


class _TestScores:
    """Scores saved models on the test pairs, and keeps their margins beside them."""

    def __init__(self, run_evaluation: RunEvaluation, load_data: Callable[[Config], PreparedData]) -> None:
        self._run_evaluation, self._load_data = run_evaluation, load_data

    def score(self, name: str, config: Config, folder: Path) -> Margins:
        """Return the margins of the saved model in `folder` on the test pairs; they are kept in its run's folder."""
        rewards = self._run_evaluation(EvaluateJob(f"test-{name}", config, folder, "test")).rewards
        margins = Margins.of_split(self._load_data(config), "test", rewards)
        write_margins(margins_file(folder.parent, "test"), margins)
        return margins


def diagnose(scored: Margins) -> DiagnosticsRecord | None:
    """Return what margins tell beside accuracy; nothing of a model whose rewards are no numbers."""
    margins = scored.margins
    if np.isnan(margins).any():
        return None
    length = measure_length_bias(margins, scored.words)
    return DiagnosticsRecord(measure_reliability(margins).error, length.prefers_longer, length.labels_prefer_longer)


def _compare_with_winner(winner: Margins, baseline: NDArray[np.float64]) -> BaselineRecord:
    return compare_correctness(winner.correctness, baseline, winner.groups)


def compare_correctness(
    winner: NDArray[np.float64], baseline: NDArray[np.float64], groups: NDArray[np.str_], is_averaged: bool = False
) -> BaselineRecord:
    """Compare the winner with a baseline on the same test pairs, item by item.

    Parameters
    ----------
    winner, baseline
        [n] correctness of each, which may be a mean over several seeds.
    groups
        [n] name of each pair's group.
    is_averaged
        Whether one of them is a mean over seeds. McNemar's test counts how many pairs differ and not by how much, so p
        is that of the sign-flip test then.
    """
    difference = paired_difference(winner, baseline, groups=groups)
    # A mean over seeds differs by less than 1 on a pair, and says more. Two runs that agree on every pair say nothing
    # of how often others would.
    discordance = float(np.mean((winner - baseline) ** 2)) or TYPICAL_DISCORDANCE
    size = difference.difference
    return BaselineRecord(
        accuracy=float(baseline.mean()),
        n=len(baseline),
        ci95=accuracy_interval(baseline),
        difference=difference.difference,
        difference_ci95=(difference.low, difference.high),
        p=sign_flip_p(winner, baseline, groups=groups) if is_averaged else difference.p,
        detectable=smallest_detectable_difference(len(baseline), discordance),
        pairs_needed=pairs_needed(size, discordance) if size else None,
    )


def controls_on_validation(trials: Sequence[TrialRecord]) -> dict[str, ControlRecord]:
    """Return what each control reached that trials had, on validation alone."""
    return {name: control_record(trials, trial, None) for name, trial in best_of_controls(trials).items()}


def control_record(trials: Sequence[TrialRecord], trial: TrialRecord, test: BaselineRecord | None) -> ControlRecord:
    """Return what a control reached: its best trial, and how that compares with the winner on test pairs."""
    count = sum(each.control == trial.control and each.state == "COMPLETE" for each in trials)
    return ControlRecord(trial.id, trial.params, float(trial.val_accuracy or 0.0), count, test)


def _winner_record(trial: TrialRecord, right: NDArray[np.float64] | None) -> BestRecord:
    """Return the winner with its test accuracy; `right` [n] is its correctness on the test pairs, None if unknown."""
    test = None if right is None else TestRecord(float(right.mean()), len(right), accuracy_interval(right))
    return BestRecord(id=trial.id, params=trial.params, val_accuracy=float(trial.val_accuracy or 0.0), test=test)
