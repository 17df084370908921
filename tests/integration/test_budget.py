"""A search that a cap ends, goes on with another one, and keeps the models that its end needs and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.commands import gazetune_json

SPACE = """
name: capped
base:
  data: {source: planted, pairs: 500}
  gaze: {predictor: planted}
  train: {batch_size: 16}
space:
  optim.learning_rate: {log_uniform: [1.0e-3, 3.0e-3]}
  fusion.kind: {choice: [add, none]}
try_first:
  - {fusion.kind: none, optim.learning_rate: 1.0e-3}
  - {fusion.kind: add}
  - {fusion.kind: none, optim.learning_rate: 2.0e-3}
search:
  {trials: 8, sampler: random, scheduler: median, rungs: 320, keep_models: 1, max_disk: 3MB, seed: 1, confirm: off}
"""


def search(*arguments: str | Path) -> dict[str, Any]:
    return gazetune_json("search", *arguments)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def ended(storage: Path) -> dict[str, Any]:
    (storage / "space.yaml").write_text(SPACE)
    return search(storage / "space.yaml", "--storage", storage)


@pytest.fixture(scope="module")
def gone_on(ended: dict[str, Any], storage: Path) -> dict[str, Any]:
    return search("--resume", "capped", "--max-disk", "1TB", "--storage", storage)


def test_a_cap_stops_running_trials_at_their_next_report_and_begins_no_other(ended: dict[str, Any]) -> None:
    assert ended["ended_by"] == {
        "cap": "search.max_disk",
        "limit": 3000000,
        "trials": len(ended["trials"]),
        "planned": 8,
    }
    assert 1 <= len(ended["trials"]) < 8
    assert {(trial["state"], trial["reason"]) for trial in ended["trials"]} == {("PRUNED", "search.max_disk reached")}
    assert all(trial["examples"] == 320 for trial in ended["trials"])
    assert (
        f"Ended early: search.max_disk 0.003 GB was reached with {len(ended['trials'])} of 8"
        in Path(ended["report"]).read_text()
    )


@pytest.mark.long("rules")
def test_the_search_goes_on_with_a_higher_cap(ended: dict[str, Any], gone_on: dict[str, Any]) -> None:
    before, after = ended["trials"], gone_on["trials"]
    assert after[: len(before)] == before and len(after) == 8 and gone_on["ended_by"] is None
    assert gone_on["mlflow_parent_run"] == ended["mlflow_parent_run"]
    study = optuna.load_study(study_name="capped", storage=f"sqlite:///{gone_on['storage']}/study.db")
    assert [trial.state.name for trial in study.trials] == [trial["state"] for trial in after]
    assert gone_on["best"]["test"]["n"] == gone_on["baselines"]["no_gaze"]["n"]


@pytest.mark.long("rules")
def test_the_winner_and_what_it_is_compared_with_keep_their_models_and_no_other_trial(gone_on: dict[str, Any]) -> None:
    complete = [trial for trial in gone_on["trials"] if trial["state"] == "COMPLETE"]
    without = [trial for trial in complete if trial["params"]["fusion.kind"] == "none"]
    compared = [max(without, key=lambda trial: trial["val_accuracy"])["id"]] if without else []
    folder = Path(gone_on["storage"], "trials")
    kept = {path.parts[-3] for path in folder.glob("*/best/weights.safetensors")}
    assert kept == {gone_on["best"]["id"], *compared}
    assert len(complete) > len(kept), "or nothing had to be dropped"
    for trial in gone_on["trials"]:
        assert (folder / trial["id"] / "config.yaml").is_file()
        assert (folder / trial["id"] / "best" / "rewards.npy").is_file()
        assert not (folder / trial["id"] / "last").exists()
