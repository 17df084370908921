from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from gazetune.errors import InputError
from gazetune.tracking.lineage import code_version
from gazetune.tracking.mlflow_runs import Tracker
from tests.mlflow_server import start_mlflow_server


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a storage folder with a migrated empty database: making one takes seconds."""
    storage = tmp_path_factory.mktemp("template")
    Tracker.open(None, storage, "template")
    return storage


@pytest.fixture
def storage(template: Path, tmp_path: Path) -> Path:
    (tmp_path / "mlflow.db").write_bytes((template / "mlflow.db").read_bytes())
    return tmp_path


@pytest.fixture
def tracker(storage: Path) -> Tracker:
    return Tracker.open(None, storage, "demo")


def start(tracker: Tracker) -> tuple[str, str]:
    parent = tracker.start_search("demo", "name: demo\n", {"trials": 3}, {"gazetune.data": "d1"})
    return parent, tracker.start_trial(parent, 0, {"fusion.kind": "add"}, "a: 1\n", {"gazetune.gaze": "g1"})


def read(tracker: Tracker, run_id: str) -> Run:
    return MlflowClient(tracker.uri).get_run(run_id)


def steps(tracker: Tracker, run_id: str, key: str) -> list[tuple[int, float]]:
    history = MlflowClient(tracker.uri).get_metric_history(run_id, key)
    return sorted((metric.step, metric.value) for metric in history)


def test_opening_makes_the_database_and_keeps_artifacts_in_the_storage(template: Path) -> None:
    client = MlflowClient(f"sqlite:///{template}/mlflow.db")
    experiment = client.get_experiment_by_name("template")
    assert experiment is not None and experiment.artifact_location == (template / "mlartifacts").as_uri()


def test_an_experiment_opens_on_its_runs_and_knows_its_primary_metric(template: Path) -> None:
    experiment = MlflowClient(f"sqlite:///{template}/mlflow.db").get_experiment_by_name("template")
    assert experiment is not None and experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "val/accuracy_best"


def test_a_trial_is_called_by_what_it_tries_and_has_the_ends_of_its_interval(tracker: Tracker) -> None:
    parent, plain = start(tracker)
    labelled = tracker.start_trial(parent, "0001", {}, "", {}, "fusion=add, features=FFD+TRT")
    baseline = tracker.start_trial(parent, "no-gaze", {}, "", {"role": "baseline"})
    names = [read(tracker, run).info.run_name for run in (plain, labelled, baseline)]
    assert names == ["0 trial", "0001 fusion=add, features=FFD+TRT", "baseline no-gaze"]
    for _ in range(2):  # a resumed driver writes it again
        tracker.log_test(labelled, 0.8, 489, (0.76, 0.83), step=100)
    found = {
        key: steps(tracker, labelled, f"test/{key}") for key in ("accuracy", "accuracy_low", "accuracy_high", "pairs")
    }
    assert found == {key: [(100, value)] for key, value in zip(found, (0.8, 0.76, 0.83, 489.0), strict=True)}


def test_opening_again_finds_the_same_experiment(storage: Path, tracker: Tracker) -> None:
    parent, _ = start(tracker)
    again = Tracker.open(None, storage, "demo")
    assert read(again, parent).info.experiment_id == read(again, start(again)[0]).info.experiment_id


def test_a_trial_is_a_child_with_config_params_and_lineage(tracker: Tracker, storage: Path) -> None:
    parent, trial = start(tracker)
    run = read(tracker, trial)
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.tags["gazetune.trial"] == "0" and run.data.tags["gazetune.gaze"] == "g1"
    assert run.data.tags["gazetune.code_version"] == code_version()
    assert run.data.params == {"fusion.kind": "add"} and run.info.status == "RUNNING"
    assert run.info.artifact_uri.startswith((storage / "mlartifacts").as_uri())
    assert Path(run.info.artifact_uri.removeprefix("file://"), "config.yaml").read_text() == "a: 1\n"
    assert read(tracker, parent).data.tags["gazetune.search"] == "demo"


def test_starting_a_trial_again_gives_the_same_run(storage: Path, tracker: Tracker) -> None:
    parent, trial = start(tracker)
    again = Tracker.open(None, storage, "demo")
    assert again.start_trial(parent, 0, {"fusion.kind": "add", "late": 1}, "a: 1\n", {}) == trial
    assert read(again, trial).data.params == {"fusion.kind": "add", "late": "1"}
    other = again.start_search("demo", "", {}, {})
    assert again.start_trial(other, 0, {}, "", {}) != trial
    assert again.start_trial(parent, "no_gaze", {}, "", {"role": "baseline"}) != trial


def test_threads_that_start_one_trial_get_one_run(tracker: Tracker) -> None:
    parent, _ = start(tracker)
    with ThreadPoolExecutor(8) as pool:
        runs = set(pool.map(lambda _: tracker.start_trial(parent, 1, {}, "", {}), range(8)))
    assert len(runs) == 1


def test_a_step_is_written_once_within_a_tracker_and_after_reopening(storage: Path, tracker: Tracker) -> None:
    _, trial = start(tracker)
    for step in (1, 2, 2, 1):
        tracker.log_metrics(trial, {"val/accuracy": 0.5 + step / 10}, step)
    again = Tracker.open(None, storage, "demo")
    again.log_metrics(trial, {"val/accuracy": 0.0, "val/loss": 1.5}, 2)
    again.log_metrics(trial, {"val/accuracy": 0.8}, 3)
    assert steps(tracker, trial, "val/accuracy") == [(1, 0.6), (2, 0.7), (3, 0.8)]
    assert steps(tracker, trial, "val/loss") == [(2, 1.5)]


def test_a_nan_metric_is_kept(tracker: Tracker) -> None:
    _, trial = start(tracker)
    tracker.log_metrics(trial, {"train/loss": math.nan}, 0)
    assert math.isnan(steps(tracker, trial, "train/loss")[0][1])


def test_a_write_that_failed_can_be_written_again(tracker: Tracker, storage: Path) -> None:
    _, trial = start(tracker)
    tracker.log_metrics(trial, {"a": 1.0}, 1)
    with pytest.raises(Exception, match="name"):
        tracker.log_metrics(trial, {"a": 2.0, "not allowed?": 1.0}, 2)
    tracker.log_metrics(trial, {"a": 2.0}, 2)
    assert steps(tracker, trial, "a") == [(1, 1.0), (2, 2.0)]


def test_a_write_whose_answer_was_lost_is_not_written_twice(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    _, trial = start(tracker)
    write = tracker.client.log_batch

    def write_and_lose_the_answer(*arguments: object, **named: object) -> None:
        write(*arguments, **named)  # type: ignore[arg-type]
        raise ConnectionError("reset by peer")

    with monkeypatch.context() as broken:
        broken.setattr(tracker.client, "log_batch", write_and_lose_the_answer)
        with pytest.raises(ConnectionError):
            tracker.log_metrics(trial, {"a": 1.0}, 1)
    tracker.log_metrics(trial, {"a": 1.0}, 1)
    assert steps(tracker, trial, "a") == [(1, 1.0)]


def test_many_threads_log_without_loss_or_doubles(tracker: Tracker) -> None:
    parent, _ = start(tracker)

    def train(trial_id: int) -> str:
        run_id = tracker.start_trial(parent, trial_id, {"lr": trial_id}, "", {})
        for step in range(8):
            tracker.log_metrics(run_id, {"loss": step / 8, "accuracy": 0.5}, step)
        tracker.finish_run(run_id, "COMPLETE")
        return run_id

    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(train, [1, 2, 3, 1, 2, 3]))
    assert len(set(runs)) == 3
    for run_id in runs:
        assert steps(tracker, run_id, "loss") == [(step, step / 8) for step in range(8)]


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "FINISHED"), ("PRUNED", "FINISHED"), ("FAIL", "FAILED"), ("INTERRUPTED", "KILLED")],
)
def test_a_finished_run_tells_its_state_and_reason(tracker: Tracker, state: str, status: str) -> None:
    _, trial = start(tracker)
    tracker.finish_run(trial, state, "because " * 2000)  # type: ignore[arg-type]
    run = read(tracker, trial)
    assert run.info.status == status and run.data.tags["gazetune.state"] == state
    assert run.data.tags["gazetune.reason"].startswith("because because")
    tracker.finish_run(trial, state, "again")  # type: ignore[arg-type]
    assert read(tracker, trial).info.end_time == run.info.end_time


def test_only_runs_that_have_wholly_ended_are_told_as_ended(tracker: Tracker) -> None:
    parent, complete = start(tracker)
    ids = [complete] + [tracker.start_trial(parent, number, {}, "", {}) for number in range(1, 5)]
    for run, state in zip(ids, ("COMPLETE", "PRUNED", "INTERRUPTED"), strict=False):
        tracker.finish_run(run, state)  # type: ignore[arg-type]
    tracker.set_tags(ids[3], {"gazetune.state": "COMPLETE"})  # as a kill leaves it in the middle of `finish_run`
    tracker.finish_run(start(tracker)[1], "FAIL")
    assert tracker.list_ended_runs(parent) == {ids[0]: "COMPLETE", ids[1]: "PRUNED", ids[2]: "INTERRUPTED"}
    tracker.finish_run(ids[2], "FAIL", "no memory")
    assert tracker.list_ended_runs(parent)[ids[2]] == "FAIL"


def test_an_interrupted_trial_runs_again_but_a_complete_one_stays(tracker: Tracker) -> None:
    parent, trial = start(tracker)
    tracker.finish_run(trial, "INTERRUPTED", "killed")
    tracker.start_trial(parent, 0, {}, "", {})
    run = read(tracker, trial)
    assert run.info.status == "RUNNING" and run.data.tags["gazetune.reason"] == ""
    tracker.finish_run(trial, "COMPLETE")
    tracker.start_trial(parent, 0, {}, "", {})
    assert read(tracker, trial).info.status == "FINISHED"


def test_nothing_stays_running(tracker: Tracker) -> None:
    parent, trial = start(tracker)
    done = tracker.start_trial(parent, 1, {}, "", {})
    tracker.finish_run(done, "PRUNED")
    other, _ = start(tracker)
    assert tracker.end_all_running(parent) == 2
    assert [read(tracker, run).info.status for run in (parent, trial, done)] == ["KILLED", "KILLED", "FINISHED"]
    assert read(tracker, trial).data.tags["gazetune.state"] == "INTERRUPTED"
    assert read(tracker, other).info.status == "RUNNING"
    assert tracker.end_all_running(parent) == 0


def test_long_values_and_many_params_are_taken(tracker: Tracker) -> None:
    params = {f"key.{i}": "x" * 7000 for i in range(120)}
    parent = tracker.start_search("demo", "", params, {"long": "y" * 9000})
    found = read(tracker, parent).data.params
    assert len(found) == 120 and set(found.values()) == {"x" * 6000}


def test_a_file_is_stored_in_its_folder(tracker: Tracker, tmp_path: Path) -> None:
    _, trial = start(tracker)
    (tmp_path / "margins.npy").write_bytes(b"123")
    tracker.log_file(trial, tmp_path / "margins.npy", "val")
    client = MlflowClient(tracker.uri)
    assert [file.path for file in client.list_artifacts(trial, "val")] == ["val/margins.npy"]


def test_a_run_that_is_not_there_cannot_be_reopened(tracker: Tracker) -> None:
    with pytest.raises(InputError, match="has no run 'abc'"):
        tracker.reopen_run("abc")


def test_a_deleted_experiment_is_refused(storage: Path, tracker: Tracker) -> None:
    client = MlflowClient(tracker.uri)
    experiment = client.get_experiment_by_name("demo")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(InputError, match="'demo' was deleted"):
        Tracker.open(None, storage, "demo")


@pytest.fixture(scope="module")
def server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run `mlflow server` on this machine."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.db").write_bytes((template / "mlflow.db").read_bytes())
    with start_mlflow_server(folder) as address:
        yield f"http://{address}"


def test_a_server_holds_runs_metrics_and_artifacts(server: str, tmp_path: Path) -> None:
    tracker = Tracker.open(server, tmp_path, "remote")
    parent, trial = start(tracker)
    tracker.log_metrics(trial, {"val/accuracy": 0.7, "train/loss": math.nan}, 1)
    (tmp_path / "margins.npy").write_bytes(b"123")
    tracker.log_file(trial, tmp_path / "margins.npy", "val")
    again = Tracker.open(server, tmp_path, "remote")
    assert again.start_trial(parent, 0, {}, "a: 1\n", {}) == trial
    again.log_metrics(trial, {"val/accuracy": 0.1}, 1)
    again.finish_run(trial, "COMPLETE")
    assert again.end_all_running(parent) == 1
    assert steps(again, trial, "val/accuracy") == [(1, 0.7)]
    paths = [file.path for file in MlflowClient(server).list_artifacts(trial)]
    assert sorted(paths) == ["config.yaml", "val"]
    assert read(again, trial).info.status == "FINISHED"
    assert not (tmp_path / "mlartifacts").exists() and not (tmp_path / "mlflow.db").exists()


def test_nothing_that_mlflow_prints_has_the_password_of_its_server(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # put back at the end
    tracker = Tracker.open(server.replace("://", "://me:Canary%40x@"), tmp_path, "remote")
    run = tracker.start_search("demo", "a: 1\n", {}, {})
    tracker.finish_run(run, "FAIL", "http://me:Canary@h does not answer")
    said = "".join(capfd.readouterr())
    assert "View run" in said and "Canary" not in said  # MLflow prints where the run is seen
    assert read(tracker, run).data.tags["gazetune.reason"] == "http://me:***@h does not answer"


def test_a_run_has_its_preference_pairs_as_data_set(tmp_path: Path) -> None:
    tracker = Tracker.open(None, tmp_path, "gazetune")
    tags = {"gazetune.data_fingerprint": "3f" * 32, "gazetune.pairs": "210 train, 45 validation, 45 test"}
    config = "data: {source: /data/pairs.jsonl}"
    parent = tracker.start_search("mine", config, {}, tags)
    trial = tracker.start_trial(parent, "0000", {}, config, tags)
    for run in (parent, trial):
        (logged,) = tracker.client.get_run(run).inputs.dataset_inputs
        assert (logged.dataset.name, logged.dataset.digest) == ("/data/pairs.jsonl", "3f" * 18)
        assert json.loads(logged.dataset.profile)["pairs"] == tags["gazetune.pairs"]
    bare = tracker.start_trial(parent, "0001", {}, "", {})
    assert tracker.client.get_run(bare).inputs.dataset_inputs == []
