"""Which models stay, with real spaces, studies and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.config import DataConfig
from gazetune.report.document import TrialRecord
from gazetune.search.baselines import best_trial, best_trial_without_gaze
from gazetune.search.folder import SearchFolder
from gazetune.search.kept_models import KeptModels, models_to_keep
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.storage import open_study
from gazetune.trials.messages import trial_id_of

SPACE = """
name: kept
base: {gaze: {predictor: planted}}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  fusion.kind: {choice: [none, add]}
  data.max_chars: {choice: [5000, 10000]}
search: {trials: 40, keep_models: 3, scheduler: none, SEARCH}
"""


def space_of(folder: Path, search: str = "seed: 0") -> SearchSpace:
    (folder / "space.yaml").write_text(SPACE.replace("SEARCH", search))
    return read_space(folder / "space.yaml")


def complete(number: int, kind: str, accuracy: float | None) -> TrialRecord:
    return TrialRecord(trial_id_of(number), "COMPLETE", {"fusion.kind": kind}, 10, accuracy, 1.0, None)


def end_trial(study: Any, folder: SearchFolder, params: dict[str, Any], accuracy: float, *more: float) -> None:
    """Do what driver and worker do for a COMPLETE trial, as far as models go."""
    trial = study.ask()
    saved = folder.trial_folder(trial_id_of(trial.number)) / "best"
    saved.mkdir(parents=True)
    (saved / "weights.safetensors").touch()
    (saved / "rewards.npy").touch()
    record = {"params": params, "examples": 10, "val_accuracy": accuracy, "seconds": 1.0, "mlflow_run": ""}
    trial.set_user_attr("record", {**record, "reason": None})
    study.tell(trial, [accuracy, *more])


def models(folder: SearchFolder) -> set[str]:
    return {path.parts[-3] for path in folder.path.glob("trials/*/best/weights.safetensors")}


def test_the_best_stay_with_the_earliest_on_ties_and_the_best_trial_without_gaze_on_each_data_set() -> None:
    trials = [
        complete(number, kind, accuracy)
        for number, (kind, accuracy) in enumerate(
            [("add", 0.7), ("add", 0.9), ("none", 0.5), ("add", 0.7), ("none", 0.4), ("none", 0.6), ("add", None)]
        )
    ]
    data = {"0002": DataConfig(), "0004": DataConfig(seed=1), "0005": DataConfig()}
    assert models_to_keep(trials, 2, data, []) == {"0001", "0000", "0005", "0004"}
    assert models_to_keep(trials, 1, data, ["0003"]) == {"0001", "0003", "0005", "0004"}
    assert models_to_keep(trials, 9, data, []) == {each.id for each in trials}


@pytest.mark.parametrize("seed", range(3))
def test_what_the_end_needs_is_there_after_every_trial_and_nothing_that_stays_out(tmp_path: Path, seed: int) -> None:
    space = space_of(tmp_path)
    folder = SearchFolder.create(tmp_path, space)
    study, random = open_study("kept", space.config.search, folder.path), np.random.default_rng(seed)
    kept = KeptModels(study, space, folder)
    for number in range(40):
        params = {
            "optim.learning_rate": 1e-3,
            "fusion.kind": str(random.choice(["none", "add"])),
            "data.max_chars": int(random.choice([5000, 10000])),
        }
        end_trial(study, folder, params, round(float(random.random()), 1))
        if number == 20:
            kept = KeptModels(study, space, folder)  # another driver
        kept.drop_others()
        trials = trial_records(study, space)
        winner = best_trial(trials)
        assert winner is not None
        needed = {str(winner.id)}
        for limit in (5000, 10000):
            compared = best_trial_without_gaze([each for each in trials if each.params["data.max_chars"] == limit])
            needed |= {str(compared.id)} if compared is not None else set()
        assert needed <= models(folder)
        assert min(3, len(trials)) <= len(models(folder)) <= 3 + 2
        assert len(list(folder.path.glob("trials/*/best/rewards.npy"))) == len(trials)


def test_every_trial_of_the_pareto_front_keeps_its_model(tmp_path: Path) -> None:
    space = space_of(tmp_path, "objective: [val/accuracy, train_seconds]")
    folder = SearchFolder.create(tmp_path, space)
    study = open_study("kept", space.config.search, folder.path)
    params = {"optim.learning_rate": 1e-3, "fusion.kind": "add", "data.max_chars": 5000}
    for accuracy, seconds in ((0.5, 1.0), (0.6, 2.0), (0.9, 9.0), (0.8, 8.0), (0.85, 8.5), (0.4, 5.0)):
        end_trial(study, folder, params, accuracy, seconds)
    KeptModels(study, space, folder).drop_others()
    assert models(folder) == {"0000", "0001", "0002", "0003", "0004"}, "0005 is beaten on both"
