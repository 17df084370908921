"""Trials that cannot be trained FAIL, each with its reason, and the search goes on to its end without them."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import mlflow
import optuna
import pytest

from gazetune.trials.trial_state import ended_state
from tests.commands import BOUND, command, ended

SPACE = """
name: failing
base:
  data: {source: SOURCE/kept.jsonl}
  fusion: {kind: none}
  train: {batch_size: 16}
space:
  arm:
    choice:
      good: {optim.weight_decay: 0.0}
      better: {optim.weight_decay: 0.1}
      diverges: {optim.learning_rate: 1.0e+30}
      # 256 TB of weights, more than an address space has room for.
      too_large: {adapter.kind: lora, adapter.r: 1000000000000}
      vanishes: {data.source: SOURCE/vanishes.jsonl}
      changes: {data.source: SOURCE/changes.jsonl}
search: {confirm: off, trials: 6, sampler: grid, scheduler: none}
resources: {workers: 2}
"""


def write_pairs(path: Path, topic: str) -> None:
    rows = [
        {"prompt": f"Say {topic} number {number}", "chosen": f"{topic} {number}, gladly", "rejected": f"no {number}"}
        for number in range(160)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.long("rules")
def test_trials_that_cannot_be_trained_fail_with_reasons_and_the_search_ends_as_usual(tmp_path: Path) -> None:
    for name in ("kept", "vanishes", "changes"):
        write_pairs(tmp_path / f"{name}.jsonl", name)
    (tmp_path / "space.yaml").write_text(SPACE.replace("SOURCE", str(tmp_path)))
    log = tmp_path / "log"
    with log.open("w") as errors, (tmp_path / "out").open("w") as out:
        line = command("search", tmp_path / "space.yaml", "--storage", tmp_path / "runs", "--json")
        process = subprocess.Popen(line, stdout=out, stderr=errors)
    try:
        deadline = time.monotonic() + BOUND
        while " slot(s) of 2 worker(s)" not in log.read_text():  # everything is prepared
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.02)
        (tmp_path / "vanishes.jsonl").unlink()
        write_pairs(tmp_path / "changes.jsonl", "something else")
        assert ended(process, log) == 0, log.read_text()[-3000:]
    finally:
        process.kill()
    document = json.loads((tmp_path / "out").read_text())
    trials = {trial["params"]["arm"]: trial for trial in document["trials"]}
    states = {arm: trial["state"] for arm, trial in trials.items()}
    assert states == {
        "good": "COMPLETE",
        "better": "COMPLETE",
        "diverges": "FAIL",
        "too_large": "FAIL",
        "vanishes": "FAIL",
        "changes": "FAIL",
    }
    assert "nan" in trials["diverges"]["reason"] or "inf" in trials["diverges"]["reason"]
    assert trials["too_large"]["reason"].startswith("out of memory; what helps: ")
    assert f"{tmp_path}/vanishes.jsonl" in trials["vanishes"]["reason"]
    changed = f"{tmp_path}/changes.jsonl: the preference pairs have changed since the search began"
    assert trials["changes"]["reason"] == changed
    assert document["best"]["params"]["arm"] in ("good", "better")
    study = optuna.load_study(study_name="failing", storage=f"sqlite:///{tmp_path}/runs/failing/study.db")
    assert sorted(ended_state(trial) for trial in study.trials) == ["COMPLETE"] * 2 + ["FAIL"] * 4
    client = mlflow.MlflowClient(document["tracking_uri"])
    for trial in trials.values():
        status = client.get_run(trial["mlflow_run"]).info.status
        assert status == ("FINISHED" if trial["state"] == "COMPLETE" else "FAILED")
    assert changed in Path(document["report"]).read_text()
