"""`gazetune export`: what it refuses. What it writes is tested in tests/integration/test_fusions.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.cli.main import main


def test_a_name_that_means_no_model_is_one_line_and_exit_two(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", "nothing", "--out", str(out), "--storage", str(tmp_path)]) == 2
    printed, error = capfd.readouterr()
    assert printed == "" and not out.exists()
    assert error == (
        "gazetune: error: 'nothing' is no saved model; accepted: a folder with one (best), or the name of a run or of "
        f"a finished search in {tmp_path} (none), NAME:RANK of such a search, or an MLflow run id\n"
    )
