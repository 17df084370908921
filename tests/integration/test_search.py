"""One real search through the command line: Ray, Optuna, DeepSpeed on two workers, MLflow on sqlite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import optuna
import pyarrow.parquet as pq
import pytest

from gazetune.evaluate.margins import read_margins
from gazetune.trials.trial_state import ended_state
from tests.commands import gazetune, gazetune_json

SPACE = """
name: short
base:
  data: {source: planted, pairs: 900, seed: 0}
  backbone: tiny
  gaze: {predictor: planted}
  train: {batch_size: 32}
space:
  # A learning rate of 1e30 makes the loss NaN within a step or two.
  optim.learning_rate: {choice: [1.0e-3, 3.0e-3, 1.0e+30]}
  projector.dropout: {choice: [[0.0, 0.1], [0.1, 0.3]], when: fusion.kind != none}
  fusion.kind: {choice: [none, concat, add]}
  gaze.features: {subsets: [nFix, FFD, GPT, TRT, fixProp], when: fusion.kind != none}
search:
  {trials: 10, sampler: random, scheduler: asha, rungs: 200, reduction: 2, seed: 3, confirm: off}
resources: {workers: 2, cpus_per_worker: 1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    (folder / "space.yaml").write_text(SPACE)
    return gazetune_json("search", folder / "space.yaml", "--storage", folder / "runs")


@pytest.fixture(scope="module")
def client(document: dict[str, Any]) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(document["tracking_uri"])


def test_every_trial_is_in_the_document_with_its_parameters(document: dict[str, Any]) -> None:
    trials = document["trials"]
    assert [trial["id"] for trial in trials] == [f"{number:04d}" for number in range(10)]
    for trial in trials:
        assert trial["state"] in ("COMPLETE", "PRUNED", "FAIL")
        assert trial["params"]["fusion.kind"] in ("none", "concat", "add")
        assert trial["params"]["gaze.features"]
    assert {"COMPLETE", "FAIL"} <= {trial["state"] for trial in trials}


def test_a_nan_trial_is_fail_with_its_reason_and_the_search_goes_on(document: dict[str, Any]) -> None:
    for trial in document["trials"]:
        diverges = trial["params"]["optim.learning_rate"] == 1e30
        assert (trial["state"] == "FAIL") == diverges
        if diverges:
            assert "nan" in trial["reason"] or "inf" in trial["reason"]
            assert trial["val_accuracy"] is None
    assert document["trials"][-1]["state"] != "FAIL" or document["best"] is not None


def test_the_best_is_the_complete_trial_with_the_highest_validation_accuracy(document: dict[str, Any]) -> None:
    complete = [trial for trial in document["trials"] if trial["state"] == "COMPLETE"]
    best = max(complete, key=lambda trial: trial["val_accuracy"])
    assert document["best"]["val_accuracy"] == best["val_accuracy"]
    assert document["best"]["params"] in [trial["params"] for trial in complete]


def test_winner_and_baselines_are_scored_on_the_same_test_pairs(document: dict[str, Any]) -> None:
    test, baselines = document["best"]["test"], document["baselines"]
    assert set(baselines) == {"no_gaze", "shorter"}
    for baseline in baselines.values():
        assert baseline["n"] == test["n"]
        assert baseline["difference"] == pytest.approx(test["accuracy"] - baseline["accuracy"])
        assert baseline["difference_ci95"][0] <= baseline["difference"] <= baseline["difference_ci95"][1]
    assert test["ci95"][0] < test["accuracy"] < test["ci95"][1]
    assert test["n"] > 100


def test_only_trials_that_used_their_budget_are_complete(document: dict[str, Any]) -> None:
    budget = max(trial["examples"] for trial in document["trials"])
    for trial in document["trials"]:
        assert (trial["examples"] == budget) == (trial["state"] == "COMPLETE")
        if trial["state"] == "PRUNED":
            assert 200 <= trial["examples"] < budget
            assert trial["val_accuracy"] is not None


def test_the_study_has_the_searchs_name_and_the_truth(document: dict[str, Any]) -> None:
    storage = f"sqlite:///{document['storage']}/study.db"
    study = optuna.load_study(study_name="short", storage=storage)
    assert [ended_state(trial) for trial in study.trials] == [trial["state"] for trial in document["trials"]]
    for told, trial in zip(study.trials, document["trials"], strict=True):
        if trial["state"] == "PRUNED":
            assert max(told.intermediate_values) == trial["examples"]
        if trial["state"] == "COMPLETE":
            assert told.value == told.intermediate_values[trial["examples"]]
            assert len(told.intermediate_values) == 3  # rungs at 200 and 400, and the end


def test_mlflow_has_a_parent_and_one_finished_run_a_trial(
    document: dict[str, Any], client: mlflow.MlflowClient
) -> None:
    parent = client.get_run(document["mlflow_parent_run"])
    assert parent.info.status == "FINISHED"
    statuses = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
    assert len({trial["mlflow_run"] for trial in document["trials"]}) == 10
    for trial in document["trials"]:
        run = client.get_run(trial["mlflow_run"])
        assert run.info.status == statuses[trial["state"]]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["gazetune.state"] == trial["state"]
        assert run.data.tags["gazetune.data_fingerprint"] and run.data.tags["gazetune.gaze_fingerprint"]
        assert run.data.tags["gazetune.code_version"]
        assert run.data.params["fusion.kind"] == trial["params"]["fusion.kind"]
        assert run.info.run_name.startswith(f"{trial['id']} fusion={trial['params']['fusion.kind']}")
        if trial["val_accuracy"] is not None:
            assert run.data.metrics["val/accuracy_best"] == pytest.approx(trial["val_accuracy"])


def test_mlflow_has_the_verdict_and_the_test_accuracy_of_the_winner(
    document: dict[str, Any], client: mlflow.MlflowClient
) -> None:
    best = document["best"]
    parent = client.get_run(document["mlflow_parent_run"])
    (winner,) = (client.get_run(trial["mlflow_run"]) for trial in document["trials"] if trial["id"] == best["id"])
    low, high = best["test"]["ci95"]
    for run in (parent, winner):
        found = [run.data.metrics[f"test/{name}"] for name in ("accuracy_low", "accuracy", "accuracy_high", "pairs")]
        assert found == pytest.approx([low, best["test"]["accuracy"], high, best["test"]["n"]])
    note = parent.data.tags["mlflow.note.content"]
    assert f"Best trial {best['id']}" in note and note.splitlines()[-1] in Path(document["report"]).read_text()


def test_mlflow_has_metrics_at_every_step_config_and_margins(
    document: dict[str, Any], client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    trial = next(trial for trial in document["trials"] if trial["state"] == "COMPLETE")
    run = trial["mlflow_run"]
    accuracies = client.get_metric_history(run, "val/accuracy")
    assert max(point.value for point in accuracies) == pytest.approx(trial["val_accuracy"])
    steps = [point.step for point in client.get_metric_history(run, "train/step_loss")]
    assert steps == list(range(1, accuracies[-1].step + 1))
    margins = read_margins(Path(client.download_artifacts(run, "margins/validation.parquet", str(tmp_path))))
    assert float(margins.correctness.mean()) == pytest.approx(trial["val_accuracy"])
    of_winner = read_margins(Path(document["storage"], "trials", document["best"]["id"], "test.parquet"))
    assert float(of_winner.correctness.mean()) == pytest.approx(document["best"]["test"]["accuracy"])
    assert not set(margins.items) & set(of_winner.items)
    config = Path(client.download_artifacts(run, "config.yaml", str(tmp_path))).read_text()
    assert f"kind: {trial['params']['fusion.kind']}" in config


def test_the_best_model_is_registered_with_the_verdict(document: dict[str, Any], client: mlflow.MlflowClient) -> None:
    champion = client.get_model_version_by_alias(document["name"], "champion")
    assert champion.run_id == document["mlflow_parent_run"]
    assert champion.tags["gazetune.verdict"] in Path(document["report"]).read_text()
    assert Path(champion.tags["gazetune.folder"]).parent.name == document["best"]["id"]


def test_baseline_runs_are_tagged_and_not_trials(document: dict[str, Any], client: mlflow.MlflowClient) -> None:
    experiment = client.get_run(document["mlflow_parent_run"]).info.experiment_id
    runs = client.search_runs([experiment], "tags.role = 'baseline'")
    assert all(run.info.status == "FINISHED" for run in runs)
    assert not {run.info.run_id for run in runs} & {trial["mlflow_run"] for trial in document["trials"]}


def test_only_complete_trials_keep_a_model_and_none_its_training_state(document: dict[str, Any]) -> None:
    trials = Path(document["storage"]) / "trials"
    for trial in document["trials"]:
        folder = trials / trial["id"]
        assert (folder / "config.yaml").is_file()
        assert (folder / "best" / "weights.safetensors").exists() == (trial["state"] == "COMPLETE")
        assert not (folder / "last").exists()


def test_the_same_name_again_is_refused_and_changes_nothing(document: dict[str, Any], folder: Path) -> None:
    before = (Path(document["storage"]) / "search.json").read_bytes()
    again = gazetune("search", folder / "space.yaml", "--storage", folder / "runs")
    assert again.returncode == 2
    assert "a search 'short' is already in" in again.stderr.splitlines()[-1]
    assert again.stdout == ""
    assert (Path(document["storage"]) / "search.json").read_bytes() == before


def test_the_report_says_what_won(document: dict[str, Any]) -> None:
    text = Path(document["report"]).read_text()
    assert f"{100 * document['best']['test']['accuracy']:.1f}" in text
    assert document["best"]["id"] in text
    assert "\n- pairs: `" in text and "\n- dropped: `none`" in text
    (data,) = document["data"]
    assert data["pairs"].keys() == {"train", "validation", "test"} and data["dropped"] == data["notes"] == {}
    assert f"\n- pairs: `{', '.join(f'{count} {split}' for split, count in data['pairs'].items())}`" in text


def test_the_search_ends_with_its_page_and_its_table_of_trials(
    document: dict[str, Any], client: mlflow.MlflowClient
) -> None:
    folder = Path(document["storage"])
    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 7 and document["best"]["id"] in page.partition("<svg")[0]
    assert f"on {document['best']['test']['n']} test pairs" in page, "the margins on test are drawn"
    assert len((folder / "trials.csv").read_text().splitlines()) == 1 + len(document["trials"])
    assert "report.html" in [file.path for file in client.list_artifacts(document["mlflow_parent_run"])]


def test_a_trial_that_was_not_scored_on_test_can_be_looked_at_and_is_marked(
    document: dict[str, Any], client: mlflow.MlflowClient
) -> None:
    storage, winner = Path(document["storage"]).parent, document["best"]["id"]
    kept = storage / document["name"] / "trials" / winner / "test.parquet"
    content, scored = kept.read_bytes(), read_margins(kept)
    kept.unlink()  # as of a trial that the search did not compare
    evaluated = gazetune_json("evaluate", document["name"], "--top", "1", "--storage", storage)
    (trial,) = evaluated["trials"]
    assert (trial["id"], trial["rank"], trial["looked_at"]) == (winner, 1, True)
    assert trial["accuracy"] == pytest.approx(document["best"]["test"]["accuracy"])
    again = read_margins(kept)
    assert again.items.tolist() == scored.items.tolist()
    assert again.rewards == pytest.approx(scored.rewards, abs=1e-5)
    run = next(each["mlflow_run"] for each in document["trials"] if each["id"] == winner)
    assert client.get_run(run).data.tags["gazetune.looked_at_test"] == "true"
    kept.write_bytes(content)


def test_compare_gives_the_figures_of_the_report_and_of_a_short_computation(document: dict[str, Any]) -> None:
    storage = Path(document["storage"])
    (baseline,) = storage.glob("baselines/winner-without-gaze-*/test.parquet")
    compared = gazetune_json("compare", document["name"], baseline, "--storage", storage.parent)["comparisons"][0]
    no_gaze = document["baselines"]["no_gaze"]
    assert compared["difference"] == pytest.approx(no_gaze["difference"])
    assert compared["ci95"] == pytest.approx(no_gaze["difference_ci95"]) and compared["p"] == no_gaze["p"]
    ours, theirs = (
        pq.read_table(file).to_pandas().set_index("item")["margin"] > 0
        for file in (storage / "trials" / document["best"]["id"] / "test.parquet", baseline)
    )
    assert compared["difference"] == pytest.approx(ours.mean() - theirs.loc[ours.index].mean())


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED"])
def test_a_trial_that_is_reproduced_has_the_same_figures(state: str, document: dict[str, Any]) -> None:
    storage, winner = Path(document["storage"]).parent, document["best"]["id"]
    stopped = next(each["id"] for each in document["trials"] if each["state"] == "PRUNED")
    trial = winner if state == "COMPLETE" else stopped
    found = gazetune_json("reproduce", f"{document['name']}:{trial}", "--storage", storage)
    assert found["identical"] and found["differences"] == [], found
    assert set(found["splits"]) == ({"validation", "test"} if trial == winner else {"validation"})
    again = Path(found["again"])
    assert again == storage / f"{document['name']}-{trial}-again"
    before = {
        file.parent.name: file for file in (storage / document["name"] / "trials" / trial).glob("margins/*/*.npy")
    }
    after = {file.parent.name: file for file in again.glob("margins/*/*.npy")}
    assert before.keys() == after.keys()
    assert all(before[examples].read_bytes() == after[examples].read_bytes() for examples in before)


def test_the_winner_is_exported_whole_with_its_verdict(document: dict[str, Any], folder: Path) -> None:
    runs, best = folder / "runs", document["best"]
    assert best["params"]["fusion.kind"] != "none"
    written = gazetune_json("export", "short", "--out", folder / "winner", "--storage", runs)
    assert written["format"] == "gazetune" and written["not_in_the_folder"] == []
    card = (folder / "winner" / "README.md").read_text()
    assert "What the search short came to: " in card
    assert f"{100 * best['test']['accuracy']:.1f} % (95 % interval" in card
    refused = gazetune("export", "short", "--out", folder / "no", "--format", "transformers", "--storage", runs)
    assert refused.returncode == 2 and "accepted: --format gazetune" in refused.stderr
    assert not (folder / "no").exists()
