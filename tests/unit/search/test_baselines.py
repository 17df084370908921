from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.config import Config
from gazetune.evaluate.margins import read_margins
from gazetune.report.document import TrialRecord
from gazetune.search.baselines import (
    BaselineCandidate,
    TestComparison,
    baseline_name,
    best_trial,
    best_trial_without_gaze,
    compare_winner,
)
from gazetune.trials.messages import EvaluateJob, EvaluationResult


def trial(number: int, state: str, kind: str, accuracy: float | None, control: str = "none") -> TrialRecord:
    params = {"fusion.kind": kind, "gaze.features": ["FFD"]}
    return TrialRecord(f"{number:04d}", state, params, 10, accuracy, 1.0, None, control=control)


def config(kind: str) -> Config:
    return Config.model_validate({"fusion": {"kind": kind}})


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved_model(run: str) -> Path:
    folder = Path(run, "best")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Lab:
    """Trains and scores by table: the accuracy on 100 test pairs is that of the folder's name."""

    def __init__(self, accuracies: dict[str, float]) -> None:
        self.accuracies = accuracies
        self.pairs_of_prompt = 1
        self.trained: list[tuple[str, str]] = []

    def train(self, role: str, config: Config) -> BaselineCandidate | None:
        self.trained.append((role, config.fusion.kind))
        if role not in self.accuracies:
            return None
        return BaselineCandidate(config, saved_model(role), self.accuracies[role])

    def evaluate(self, job: EvaluateJob) -> EvaluationResult:
        right = round(100 * self.accuracies[job.folder.parent.name])
        return EvaluationResult(np.array([[1.0, 0.0]] * right + [[0.0, 1.0]] * (100 - right)))

    def response_words(self, split: str) -> np.ndarray:
        assert split == "test"
        return np.array([[1, 2]] * 60 + [[2, 1]] * 40, dtype=np.int32)

    def item_keys(self, split: str) -> np.ndarray:
        return np.array([f"pair {number}" for number in range(100)])

    def item_groups(self, split: str) -> np.ndarray:
        return np.array([f"prompt {number // self.pairs_of_prompt}" for number in range(100)])

    def compare(self, trials: list[TrialRecord]) -> tuple[Any, dict[str, Any]]:
        found = self.compare_all(trials)
        return found.best, dict(found.baselines)

    def compare_all(self, trials: list[TrialRecord], dropped: tuple[str, ...] = ()) -> TestComparison:
        configs = {record.id: config(record.params["fusion.kind"]) for record in trials}
        folders = {record.id: saved_model(record.id) for record in trials if record.id not in dropped}
        return compare_winner(trials, configs, folders, self.train, self.evaluate, lambda _: self)


def test_only_complete_trials_can_win() -> None:
    trials = [trial(0, "PRUNED", "add", 0.99), trial(1, "COMPLETE", "add", 0.7), trial(2, "FAIL", "add", None)]
    assert best_trial(trials).id == "0001"
    assert best_trial(trials[:1]) is None


def test_a_complete_none_trial_goes_before_a_stopped_one() -> None:
    trials = [trial(0, "PRUNED", "none", 0.9), trial(1, "COMPLETE", "none", 0.6), trial(2, "COMPLETE", "add", 0.8)]
    assert best_trial_without_gaze(trials).id == "0001"
    assert best_trial_without_gaze(trials[2:]) is None


def test_no_gaze_is_the_better_on_validation_of_both_candidates() -> None:
    trials = [trial(0, "COMPLETE", "add", 0.8), trial(1, "COMPLETE", "none", 0.66)]
    for without, expected in ((0.6, 0.55), (0.7, 0.7)):
        lab = Lab({"0000": 0.82, "0001": 0.55, "winner-without-gaze": without})
        best, baselines = lab.compare(trials)
        assert lab.trained == [("winner-without-gaze", "none")]
        assert best.test.accuracy == pytest.approx(0.82)
        assert baselines["no_gaze"].accuracy == pytest.approx(expected)
        assert baselines["no_gaze"].difference == pytest.approx(0.82 - expected)


def test_a_stopped_none_trial_is_trained_to_the_full_budget() -> None:
    trials = [trial(0, "COMPLETE", "add", 0.8), trial(1, "PRUNED", "none", 0.6)]
    lab = Lab({"0000": 0.8, "winner-without-gaze": 0.6, "best-none-trial": 0.65})
    lab.compare(trials)
    assert lab.trained == [("winner-without-gaze", "none"), ("best-none-trial", "none")]


def test_a_baseline_that_fails_costs_neither_the_winner_nor_the_other_baseline() -> None:
    best, baselines = Lab({"0000": 0.8}).compare([trial(0, "COMPLETE", "add", 0.8)])
    assert best.test.accuracy == pytest.approx(0.8)
    assert baselines["no_gaze"] is None and baselines["shorter"].n == 100
    lab = Lab({"0000": 0.8, "0001": 0.6})
    _, baselines = lab.compare([trial(0, "COMPLETE", "add", 0.8), trial(1, "COMPLETE", "none", 0.6)])
    assert baselines["no_gaze"].accuracy == pytest.approx(0.6)


def test_a_winner_without_gaze_is_its_own_baseline() -> None:
    lab = Lab({"0000": 0.7})
    _, baselines = lab.compare([trial(0, "COMPLETE", "none", 0.7)])
    assert lab.trained == []
    assert baselines["no_gaze"].difference == 0.0


def test_shorter_is_scored_on_the_same_pairs() -> None:
    _, baselines = Lab({"0000": 0.7}).compare([trial(0, "COMPLETE", "none", 0.7)])
    assert baselines["shorter"].accuracy == pytest.approx(0.6)
    assert baselines["shorter"].n == 100


def test_a_baseline_of_another_config_has_another_name_and_caps_are_nothing_to_it() -> None:
    name = baseline_name("winner-without-gaze", config("none"))
    assert name.startswith("winner-without-gaze-")
    assert baseline_name("winner-without-gaze", config("add")) != name
    capped = Config.model_validate({"fusion": {"kind": "none"}, "search": {"max_hours": 3.0}})
    assert baseline_name("winner-without-gaze", capped) == name


def test_a_control_neither_wins_nor_is_the_baseline_and_what_it_reached_stands_beside_the_winner() -> None:
    trials = [
        trial(0, "COMPLETE", "add", 0.9, "shuffled"),
        trial(1, "COMPLETE", "add", 0.8),
        trial(2, "COMPLETE", "none", 0.75, "noise"),
        trial(3, "COMPLETE", "add", 0.7, "shuffled"),
        trial(4, "PRUNED", "add", 0.95, "constant"),
    ]
    lab = Lab({"0000": 0.88, "0001": 0.82, "0002": 0.7, "winner-without-gaze": 0.6})
    found = lab.compare_all(trials)
    assert found.best is not None and found.best.id == "0001"
    no_gaze = found.baselines["no_gaze"]
    assert no_gaze is not None and no_gaze.accuracy == pytest.approx(0.6), "trial 0002 is a control"
    shuffled = found.controls["shuffled"]
    assert (shuffled.id, shuffled.trials, shuffled.val_accuracy) == ("0000", 2, 0.9)
    assert shuffled.test is not None and shuffled.test.difference == pytest.approx(0.82 - 0.88)
    assert list(found.controls) == ["noise", "shuffled"], "a control that was stopped reached nothing"


def test_controls_alone_have_no_winner_and_are_told() -> None:
    found = Lab({}).compare_all(
        [trial(0, "COMPLETE", "add", 0.9, "shuffled"), trial(1, "COMPLETE", "add", 0.8, "noise")]
    )
    assert found.best is None and found.baselines == {"no_gaze": None, "shorter": None}
    assert {name: (each.val_accuracy, each.test) for name, each in found.controls.items()} == {
        "noise": (0.8, None),
        "shuffled": (0.9, None),
    }


def test_a_search_whose_older_version_dropped_the_models_still_names_its_winner() -> None:
    trials = [trial(0, "COMPLETE", "add", 0.9, "shuffled"), trial(1, "COMPLETE", "add", 0.8)]
    found = Lab({"0000": 0.9}).compare_all(trials, dropped=("0001",))
    assert found.best is not None and (found.best.id, found.best.test) == ("0001", None)
    found = Lab({"0001": 0.8, "winner-without-gaze": 0.6}).compare_all(trials, dropped=("0000",))
    assert found.best is not None and found.best.test is not None and found.controls["shuffled"].test is None


def test_a_comparison_says_what_its_pairs_can_show_and_how_many_more_it_takes() -> None:
    trials = [trial(0, "COMPLETE", "add", 0.8), trial(1, "COMPLETE", "none", 0.9)]
    found = Lab({"0000": 0.74, "0001": 0.7, "winner-without-gaze": 0.5}).compare_all(trials[:1] + trials[1:])
    no_gaze = found.baselines["no_gaze"]
    assert no_gaze is not None and found.best is not None and found.best.id == "0001"
    assert no_gaze.difference == 0.0 and no_gaze.pairs_needed is None and no_gaze.p == 1.0
    assert no_gaze.detectable == pytest.approx(0.114, abs=0.001), "100 pairs of two models that differ on 17 % of them"
    shorter = found.baselines["shorter"]
    assert shorter is not None and shorter.pairs_needed is not None and shorter.detectable is not None
    assert (shorter.pairs_needed > 100) == (shorter.difference < shorter.detectable)
    assert found.diagnostics is not None and found.diagnostics.labels_prefer_longer == pytest.approx(0.4)


def test_every_model_that_is_scored_on_test_leaves_its_margins() -> None:
    lab = Lab({"0000": 0.8, "0001": 0.6, "0002": 0.5, "winner-without-gaze": 0.55})
    trials = [trial(0, "COMPLETE", "add", 0.8), trial(1, "COMPLETE", "none", 0.6)]
    lab.compare([*trials, trial(2, "COMPLETE", "add", 0.7, control="noise")])
    kept = {file.parent.name: read_margins(file) for file in Path().glob("*/test.parquet")}
    assert {name: margins.correctness.mean() for name, margins in kept.items()} == {
        "0000": 0.8,
        "0001": 0.6,
        "0002": 0.5,
    }
    assert kept["0000"].items.tolist() == lab.item_keys("test").tolist()


def test_pairs_of_one_prompt_are_no_independent_items() -> None:
    trials = [trial(0, "COMPLETE", "none", 0.7)]

    def width(pairs_of_prompt: int) -> float:
        lab = Lab({"0000": 0.7})
        lab.pairs_of_prompt = pairs_of_prompt
        low, high = lab.compare(trials)[1]["shorter"].difference_ci95
        return high - low

    assert width(10) > 1.5 * width(1)
