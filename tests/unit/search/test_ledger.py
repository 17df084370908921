"""What the ledger writes of a trial, with a real study, folder and tracking store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import optuna

from gazetune.reward.dataset import prepare
from gazetune.search.folder import SearchFolder
from gazetune.search.ledger import Ledger
from gazetune.search.progress import SearchProgress
from gazetune.search.space.search_space import read_space
from gazetune.tracking.mlflow_runs import Tracker

SPACE = """
name: written
base: {data: {pairs: 40}}
space:
  gaze.predictor: {choice: [lexical, planted]}
search: {trials: 2}
"""


def test_every_trial_has_the_fingerprints_of_the_data_set_that_it_trains_on(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent = tracker.start_search("written", "", {}, {})
    study = optuna.create_study()
    folder = SearchFolder.create(tmp_path, space)
    prepared = {config.gaze.predictor: prepare(config, folder.cache).facts for config in space.data_configs()}
    with SearchProgress(2) as progress:
        ledger = Ledger(space, folder, tracker, parent, progress)
        trials = {name: study.ask() for name in ("lexical", "planted")}
        for name, trial in trials.items():
            ledger.started(trial, f"{trial.number:04d}", {"gaze.predictor": name})
    client = mlflow.MlflowClient(tracker.uri)
    assert prepared["lexical"].gaze_fingerprint != prepared["planted"].gaze_fingerprint
    for name, trial in trials.items():
        run = client.get_run(trial.user_attrs["record"]["mlflow_run"])
        assert run.data.params["gaze.predictor"] == name
        assert run.data.tags["gazetune.data_fingerprint"] == prepared[name].data_fingerprint
        assert run.data.tags["gazetune.gaze_fingerprint"] == prepared[name].gaze_fingerprint


def test_a_trial_whose_data_has_vanished_is_noted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent = tracker.start_search("written", "", {}, {})
    folder, trial = SearchFolder.create(tmp_path, space), optuna.create_study().ask()
    with SearchProgress(2) as progress:
        Ledger(space, folder, tracker, parent, progress).started(trial, "0000", {"gaze.predictor": "planted"})
    run = mlflow.MlflowClient(tracker.uri).get_run(trial.user_attrs["record"]["mlflow_run"])
    assert run.data.params["gaze.predictor"] == "planted" and "gazetune.data_fingerprint" not in run.data.tags
