"""The paired rung test: how often it is wrong, how often it finds a worse trial, and what it remembers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from gazetune.search.stopping.combined_scheduler import CombinedScheduler
from gazetune.search.stopping.paired_rungs import COMPARISONS, PairedRungs, PairedRungTests
from gazetune.search.study.objectives import OBJECTIVES
from gazetune.train.state.rung_margins import save_margins
from tests.unit.trials.messages import train_job

RUNGS = (100, 300)


def margins_of(rng: np.random.Generator, accuracies: Sequence[float], pairs: int = 450) -> NDArray[np.float64]:
    """Margins [trials, pairs] of trials that are right with these chances; half of the noise is the pair's own."""
    noise = rng.standard_normal(pairs) + rng.standard_normal((len(accuracies), pairs))
    return norm.ppf(np.asarray(accuracies))[:, None] + noise / np.sqrt(2.0)


def stopped(rng: np.random.Generator, accuracies: Sequence[float], objective: str, level: float = 0.05) -> set[int]:
    """Which trials of one simulated search are stopped; they come to each rung in an order of their own."""
    tests, gone = PairedRungTests(RUNGS, level, COMPARISONS[objective]), set()
    for rung in RUNGS:
        margins = margins_of(rng, accuracies)
        for trial in rng.permutation(len(accuracies)).tolist():
            test = None if trial in gone else tests.test_trial(str(trial), rung, margins[trial])
            if test is not None and test.stop:
                gone.add(trial)
    return gone


@pytest.mark.parametrize("objective", COMPARISONS)
def test_of_equal_trials_fewer_are_stopped_than_the_level(objective: str) -> None:
    rng = np.random.default_rng(0)
    share = np.mean([len(stopped(rng, [0.75] * 20, objective)) / 20 for _ in range(80)])
    assert share <= 0.05


def test_the_best_trial_is_hardly_ever_stopped_and_trials_ten_points_worse_mostly_are() -> None:
    rng = np.random.default_rng(1)
    searches = [stopped(rng, [0.8, *[0.7] * 19], "val/accuracy") for _ in range(20)]
    assert np.mean([0 in gone for gone in searches]) <= 0.05
    assert np.mean([len(gone - {0}) / 19 for gone in searches]) >= 0.5


def test_the_level_is_divided_over_the_tests_and_over_the_trials_of_the_rung() -> None:
    tests = PairedRungTests(RUNGS, 0.05, COMPARISONS["val/accuracy"])
    assert tests.level_per_test == pytest.approx(0.025)
    best, worse = np.ones(40), np.concatenate([-np.ones(6), np.ones(34)])
    assert tests.test_trial("a", 100, best) is None
    first = tests.test_trial("b", 100, worse)
    assert first is not None and first.p_value == pytest.approx(0.5**6) and first.stop and first.best == "a"
    second = tests.test_trial("c", 100, worse)
    assert second is not None and second.p_value == pytest.approx(2 * 0.5**6) and not second.stop
    assert tests.test_trial("c", 100, -best) is None, "a trial is tested once at a rung"


def test_a_trial_is_compared_with_those_of_its_own_rung_only() -> None:
    tests = PairedRungTests(RUNGS, 0.05, COMPARISONS["val/accuracy"])
    tests.test_trial("a", 300, np.ones(50))
    assert tests.test_trial("b", 100, -np.ones(50)) is None


def test_losses_are_compared_by_the_loss_of_each_pair() -> None:
    # Both order every pair rightly; one is surer.
    tests = PairedRungTests(RUNGS, 0.05, COMPARISONS["val/loss"])
    rng = np.random.default_rng(2)
    tests.test_trial("sure", 100, 2.0 + 0.1 * rng.standard_normal(50))
    test = tests.test_trial("unsure", 100, 0.5 + 0.1 * rng.standard_normal(50))
    assert test is not None and test.stop


def trial(folder: Path, number: int) -> SimpleNamespace:
    """One of Tune's trials, of which only the job is read."""
    job = train_job(f"{number:04d}", folder=folder / f"{number:04d}")
    return SimpleNamespace(trial_id=f"tune_{number}", config={"job": job})


def scored(known: SimpleNamespace, examples: int, right: int, pairs: int = 60) -> dict[str, Any]:
    margins = np.where(np.arange(pairs) < right, 1.0, -1.0)
    save_margins(known.config["job"].folder, examples, margins)
    return {"examples": examples, "objective": right / pairs}


def paired(budget: int = 900) -> CombinedScheduler:
    return CombinedScheduler([PairedRungs(RUNGS, budget, 0.05, "val/accuracy")])


def test_a_worse_trial_is_stopped_and_the_reason_names_the_better_one(tmp_path: Path) -> None:
    scheduler, good, bad = paired(), trial(tmp_path, 0), trial(tmp_path, 1)
    for each in (good, bad):
        scheduler.on_trial_add(None, each)
    assert scheduler.on_trial_result(None, good, scored(good, 104, 50)) == "CONTINUE"
    assert scheduler.on_trial_result(None, bad, scored(bad, 100, 30)) == "STOP"
    reason = scheduler.stop_reason("0001")
    assert reason is not None and reason.startswith("stopped at 100 examples: worse there than trial 0000 on the same")
    assert scheduler.stop_reason("0000") is None


def test_nothing_is_stopped_below_the_first_rung_or_at_the_full_budget(tmp_path: Path) -> None:
    scheduler, good, bad = paired(), trial(tmp_path, 0), trial(tmp_path, 1)
    for examples in (90, 900):
        for each, right in ((good, 60), (bad, 0)):
            assert scheduler.on_trial_result(None, each, scored(each, examples, right)) == "CONTINUE"


def test_a_trial_without_margins_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = {"examples": 100, "objective": 0.1}
    assert paired().on_trial_result(None, trial(tmp_path, 0), result) == "CONTINUE"
    assert "no margins at 100 examples" in caplog.text


def test_a_resumed_search_tests_against_the_trials_of_before(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    before = study.ask()
    result = scored(trial(tmp_path, 0), 100, 55)
    before.report(result["objective"], 100)
    study.tell(before, state=optuna.trial.TrialState.PRUNED)
    scheduler, bad = paired(), trial(tmp_path, 1)
    scheduler.remember_trials(study.trials, OBJECTIVES["val/accuracy"], lambda trial_id: tmp_path / trial_id)
    scheduler.on_trial_add(None, bad)
    assert scheduler.on_trial_result(None, bad, scored(bad, 100, 30)) == "STOP"
    assert "trial 0000" in (scheduler.stop_reason("0001") or "")
