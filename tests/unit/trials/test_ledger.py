"""What the ledger writes of a trial, with a real study, folder and tracking store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial
from rich.console import Console

from gazetune.config import Config
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.trials.ledger import Ledger
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFolder


class WrittenFolder(RunFolder):
    kind = "written"


def new_folder(storage: Path) -> RunFolder:
    return WrittenFolder.create_filled(storage, "written", lambda folder: None)


def config_with(predictor: str) -> Config:
    return Config.model_validate({"data": {"pairs": 40}, "gaze": {"predictor": predictor}})


def start(ledger: Ledger, trial: optuna.Trial, predictor: str) -> None:
    ledger.start_trial(trial, config_with(predictor), {"gaze.predictor": predictor})


def test_every_trial_has_the_fingerprints_of_the_data_set_that_it_trains_on(tmp_path: Path) -> None:
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent = tracker.start_search("written", "", {}, {})
    study = optuna.create_study()
    folder = new_folder(tmp_path)
    prepared = {name: prepare_data(config_with(name), folder.cache).facts for name in ("lexical", "planted")}
    with ProgressDisplay(2) as progress:
        ledger = Ledger(folder, tracker, parent, progress)
        trials = {name: study.ask() for name in ("lexical", "planted")}
        for name, trial in trials.items():
            start(ledger, trial, name)
    client = mlflow.MlflowClient(tracker.uri)
    assert prepared["lexical"].gaze_fingerprint != prepared["planted"].gaze_fingerprint
    for name, trial in trials.items():
        run = client.get_run(trial.user_attrs["record"]["mlflow_run"])
        assert run.data.params["gaze.predictor"] == name
        assert run.data.tags["gazetune.data_fingerprint"] == prepared[name].data_fingerprint
        pairs = ", ".join(f"{count} {split}" for split, count in prepared[name].pairs.items())
        assert (run.data.tags["gazetune.pairs"], run.data.tags["gazetune.dropped"]) == (pairs, "none")
        assert run.data.tags["gazetune.gaze_fingerprint"] == prepared[name].gaze_fingerprint


def test_a_control_has_a_tag_and_is_never_shown_as_the_best(tmp_path: Path) -> None:
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent = tracker.start_search("written", "", {}, {})
    study = optuna.create_study(direction="maximize")
    with ProgressDisplay(2, Console(file=io.StringIO(), force_terminal=True, width=200)) as progress:
        ledger = Ledger(new_folder(tmp_path), tracker, parent, progress)
        shown = []
        for control, accuracy in (("shuffled", 0.9), ("none", 0.6)):
            trial = study.ask()
            ledger.start_trial(trial, Config.model_validate({"gaze": {"control": control}}), {})
            progress.show_evaluation("0009", 1, 2, 0.5)
            progress.show_end(f"{trial.number:04d}", "COMPLETE", accuracy, None)
            shown.append(progress._describe_trials().split("  ")[0])
    assert shown == ["0009 1/2 0.500", "best 0.600 (0001)"]
    client = mlflow.MlflowClient(tracker.uri)
    runs = [client.get_run(trial.user_attrs["record"]["mlflow_run"]) for trial in study.trials]
    assert [run.data.tags.get("gazetune.control") for run in runs] == ["shuffled", None]


def test_a_trial_whose_data_has_vanished_is_noted_all_the_same(tmp_path: Path) -> None:
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent = tracker.start_search("written", "", {}, {})
    folder, trial = new_folder(tmp_path), optuna.create_study().ask()
    with ProgressDisplay(2) as progress:
        start(Ledger(folder, tracker, parent, progress), trial, "planted")
    run = mlflow.MlflowClient(tracker.uri).get_run(trial.user_attrs["record"]["mlflow_run"])
    assert run.data.params["gaze.predictor"] == "planted" and "gazetune.data_fingerprint" not in run.data.tags


@pytest.fixture
def four_ended(tmp_path: Path) -> Iterator[tuple[Ledger, list[FrozenTrial], RunFolder, MlflowClient]]:
    """Trials that the study knows as finished, 0002 as PRUNED, the others as COMPLETE, each with margins and a model.

    Only 0000 has ended in MLflow as it should; the driver was killed on the way to 0001, 0002 and 0003.
    """
    tracker = Tracker.open(None, tmp_path, "gazetune")
    parent, study = tracker.start_search("written", "", {}, {}), optuna.create_study()
    folder = new_folder(tmp_path)
    data = prepare_data(config_with("planted"), folder.cache)
    with ProgressDisplay(4) as progress:
        ledger, runs = Ledger(folder, tracker, parent, progress), []
        for number in range(4):
            trial = study.ask()
            start(ledger, trial, "planted")
            runs.append(trial.user_attrs["record"]["mlflow_run"])
            write_trial(folder.trial_folder(f"{number:04d}"), len(data.validation))
            ledger.record_reason(trial, "stopped by hand" if number == 2 else None)
            if number == 2:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                ended = study.tell(trial, 0.5)
            if number == 0:
                ledger.end_trial(ended)
    tracker.finish_run(runs[2], "INTERRUPTED", "the search ended before this run did")
    tracker.set_tags(runs[3], {"gazetune.state": "COMPLETE"})  # a kill in the middle of `finish`
    yield ledger, study.get_trials(), folder, MlflowClient(tracker.uri)
    folder.unlock()


def write_trial(folder: Path, pairs: int) -> None:
    (folder / "last").mkdir(parents=True)
    (folder / "best").mkdir()
    np.save(folder / "best" / "rewards.npy", np.zeros((pairs, 2)))
    for file in ("model.safetensors", "config.yaml"):
        (folder / "best" / file).write_bytes(b"1")


def test_a_driver_that_takes_over_ends_the_runs_that_the_one_before_did_not(
    four_ended: tuple[Ledger, list[FrozenTrial], RunFolder, MlflowClient],
) -> None:
    ledger, trials, _, client = four_ended
    ledger.end_earlier_trials(trials)
    for trial in trials:
        run = client.get_run(trial.user_attrs["record"]["mlflow_run"])
        assert run.info.status == "FINISHED" and run.info.end_time is not None
        assert run.data.tags["gazetune.state"] == trial.state.name
        assert run.data.tags["gazetune.reason"] == (trial.user_attrs["record"]["reason"] or "")
        logged = [file.path for file in client.list_artifacts(run.info.run_id, "margins")]
        assert logged == ["margins/validation.parquet"], trial.number


def test_a_driver_that_takes_over_writes_nothing_to_runs_that_have_ended(
    four_ended: tuple[Ledger, list[FrozenTrial], RunFolder, MlflowClient],
) -> None:
    ledger, trials, folder, client = four_ended
    ledger.end_earlier_trials(trials)

    def written() -> list[tuple[int, bytes]]:
        runs = [client.get_run(trial.user_attrs["record"]["mlflow_run"]).info for trial in trials]
        places = [Path(run.artifact_uri.removeprefix("file://"), "margins", "validation.parquet") for run in runs]
        return [(run.end_time, file.read_bytes()) for run, file in zip(runs, places, strict=True)]

    before = written()
    for rewards in folder.path.glob("trials/*/best/rewards.npy"):
        np.save(rewards, np.ones_like(np.load(rewards)))  # would be logged if anything was
    ledger.end_earlier_trials(trials)
    assert written() == before


def test_folders_of_finished_trials_are_cleared_whether_or_not_their_runs_have_ended(
    four_ended: tuple[Ledger, list[FrozenTrial], RunFolder, MlflowClient],
) -> None:
    ledger, trials, folder, _ = four_ended
    for _ in range(2):
        ledger.end_earlier_trials(trials)
        assert not list(folder.path.glob("trials/*/last"))
        models = sorted(file.parts[-3] for file in folder.path.glob("trials/*/best/model.safetensors"))
        assert models == ["0000", "0001", "0003"], "0002 is PRUNED"
        assert len(list(folder.path.glob("trials/*/best/rewards.npy"))) == 4
        for trial in trials:  # as a driver leaves it that is killed before it clears
            (folder.trial_folder(f"{trial.number:04d}") / "last").mkdir()
        (folder.trial_folder("0002") / "best" / "model.safetensors").write_bytes(b"1")
