"""What becomes of a run that was scored; the runs themselves are tested in tests/integration/test_confirmation.py."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from gazetune.config import Config
from gazetune.search.active_search import ActiveSearch
from gazetune.search.confirmation.perform import ConfirmationRuns, RunResult
from gazetune.search.confirmation.runs import ConfirmationRun
from gazetune.search.folder import SearchFolder
from gazetune.trials.messages import EvaluateJob, EvaluationResult


def test_a_model_whose_rewards_on_test_are_no_numbers_has_failed_and_is_compared_with_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = SearchFolder(tmp_path / "mine")
    prepared = SimpleNamespace(folder=folder, progress=SimpleNamespace(print_line=lines.append))
    runs = ConfirmationRuns(cast(ActiveSearch, SimpleNamespace(prepared=prepared)))
    run = ConfirmationRun("winner", Config())
    runs._runs[run.name], runs._trained[run.name], runs.planned = run, RunResult(64, 0.7, 1.0), 4
    job: Any = EvaluateJob(f"test-{run.name}", run.config, folder.baseline_folder(run.name) / "best", "test")
    rewards = np.array([[1.0, 0.0], [np.nan, 0.5]])
    assert runs._take_message(job, EvaluationResult(rewards), scores_test=True) == ()
    reason = "the saved model gives rewards on test that are no numbers"
    assert runs.results[run.name].failure == reason
    assert json.loads((folder.baseline_folder(run.name) / "result.json").read_text())["failure"] == reason
    assert lines == [f"confirmation 1 of 4: winner FAIL ({reason})"]
    assert not (folder.baseline_folder(run.name) / "test.parquet").exists()
