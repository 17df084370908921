"""Trials that a killed driver left when a cap is reached, with a real study, folder and tracking store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import optuna

from gazetune.reward.data.prepared_data import prepare_data
from gazetune.search.folder import SearchFolder
from gazetune.search.space.space_file import read_space
from gazetune.search.stopping.prune_unfinished import prune_unfinished_trials
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.storage import open_study
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.trials.ledger import Ledger
from gazetune.trials.progress import ProgressDisplay

SPACE = """
name: closed
base: {data: {pairs: 40}, gaze: {predictor: planted}}
space:
  optim.learning_rate: {choice: [1.0e-3, 1.0e-4]}
search: {trials: 5}
"""


def test_trials_that_were_running_are_pruned_with_the_reason_and_keep_what_they_reached(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent = tracker.start_search("closed", "", {}, {})
    folder = SearchFolder.create(tmp_path, space)
    prepare_data(space.config, folder.cache)
    study = open_study("closed", space.config.search, folder.path)
    with ProgressDisplay(5) as progress:
        ledger = Ledger(folder, tracker, parent, progress)
        begun = study.ask()
        params = propose_values(begun, space)
        ledger.start_trial(begun, space.trial_config(params), params)
        begun.set_user_attr("record", {**begun.user_attrs["record"], "examples": 12, "val_accuracy": 0.6})
        begun.report(0.6, 12)
        study.ask()  # its driver was killed before it noted anything
        prune_unfinished_trials(study, space, ledger, "search.max_hours reached")
    records = trial_records(study, space)
    assert [(each.id, each.state, each.reason) for each in records] == [
        ("0000", "PRUNED", "search.max_hours reached"),
        ("0001", "PRUNED", "search.max_hours reached"),
    ]
    assert (records[0].examples, records[0].val_accuracy, records[1].examples) == (12, 0.6, 0)
    assert records[1].params["optim.learning_rate"] in (1e-3, 1e-4)
    assert study.get_trials(states=(optuna.trial.TrialState.RUNNING,)) == []
    client = mlflow.MlflowClient(tracker.uri)
    for each in records:
        assert client.get_run(str(each.mlflow_run)).data.tags["gazetune.state"] == "PRUNED"
