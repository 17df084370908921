"""`gazetune doctor` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.train.limits.compatibility import list_combinations


def test_json_is_one_document_and_a_failed_check_is_exit_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--json", "--storage", str(tmp_path / "file" / "runs")]) == 1
    document = json.loads(capfd.readouterr().out)
    checks = document["checks"]
    assert document["compatibility"] == list_combinations()
    assert {check["level"] for check in checks} <= {"OK", "WARN", "FAIL"}
    assert [check["name"] for check in checks if check["level"] == "FAIL"] == [f"storage {tmp_path / 'file' / 'runs'}"]
    assert all(check["hint"] for check in checks if check["level"] != "OK")


def test_the_table_names_each_check_and_makes_no_storage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--storage", str(tmp_path / "runs")]) == 0
    out = capfd.readouterr().out
    assert all(name in out for name in ("python", "deepspeed", "GPUs", "DeepSpeed ops", "MLflow", "shared memory"))
    assert all(name in out for name in ("NF4", "disk offload", "deepspeed.offload that goes with each ZeRO stage"))
    assert not (tmp_path / "runs").exists()
