"""Checkpoints: state and progress come back, whatever moment the writer died at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gazetune.train.checkpoint import Checkpoint
from gazetune.train.progress import EvaluationReport, Progress


class Killed(BaseException):
    """Stands for the end of the process."""


def report_at(step: int) -> EvaluationReport:
    return EvaluationReport(
        step=step,
        examples=8 * step,
        budget=80,
        seconds=1.5,
        metrics={"val/accuracy": 0.5},
        best_accuracy=0.5,
        train_losses=[0.1, 1 / 3],
        done=False,
    )


def write(folder: Path, step: int) -> None:
    evaluations = [report_at(step)]
    progress = Progress("pairs", step=step, seconds=1.5, best_accuracy=0.5, best_step=step, evaluations=evaluations)
    Checkpoint({"weight": torch.full((3,), float(step)), "step": torch.tensor(float(step))}, progress).save(folder)


def test_state_and_progress_come_back(tmp_path: Path) -> None:
    write(tmp_path / "last", 4)
    loaded = Checkpoint.load(tmp_path / "last")
    assert loaded is not None
    state, progress = loaded.state, loaded.progress
    assert state["weight"].tolist() == [4.0] * 3
    assert state["step"].shape == ()
    assert (progress.step, progress.seconds, progress.best_accuracy, progress.best_step) == (4, 1.5, 0.5, 4)
    assert progress.evaluations == [report_at(4)]


def test_a_run_without_a_checkpoint_has_none(tmp_path: Path) -> None:
    assert Checkpoint.load(tmp_path / "last") is None


def test_a_half_written_checkpoint_is_not_one(tmp_path: Path) -> None:
    partial = tmp_path / ".last.partial"
    partial.mkdir()
    (partial / "state.safetensors").write_bytes(b"half")
    assert Checkpoint.load(tmp_path / "last") is None
    write(tmp_path / "last", 1)
    assert Checkpoint.load(tmp_path / "last").progress.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("operation", range(1, 6))
def test_a_kill_leaves_the_old_checkpoint_or_the_new_one(
    operation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "last", 1)
    left = [operation]

    def stopping(real: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(Path, "rename", stopping(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", stopping(shutil.rmtree))
    with pytest.raises(Killed):
        write(tmp_path / "last", 2)
    monkeypatch.undo()
    loaded = Checkpoint.load(tmp_path / "last")
    state, progress = loaded.state, loaded.progress
    assert progress.step in (1, 2)
    assert state["weight"].tolist() == [float(progress.step)] * 3
    write(tmp_path / "last", 3)
    assert Checkpoint.load(tmp_path / "last").progress.step == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_checkpoint_written_before_the_reports_had_a_type_is_read(tmp_path: Path) -> None:
    """Its file, letter for letter; with `train.early_stop` the counter stands under "plateau"."""
    write(tmp_path / "last", 4)
    file = tmp_path / "last" / "progress.json"
    text = (
        '{"data": "pairs", "step": 4, "seconds": 1.5, "best_accuracy": 0.5, "best_step": 4, "evaluations": [{"step": '
        '4, "examples": 32, "budget": 80, "seconds": 1.5, "metrics": {"val/accuracy": 0.5}, "best_accuracy": 0.5, '
        '"train_losses": [0.1, 0.3333333333333333], "done": false}], "plateau": {}}'
    )
    assert file.read_text() == text
    counter = '{"patience": 2, "min_delta": 0.0, "metric": "val/accuracy", "best": 0.5, "stale": 1}'
    stopping = text.replace('"plateau": {}', f'"plateau": {counter}')
    file.write_text(stopping)
    progress = Checkpoint.load(tmp_path / "last").progress
    assert (progress.plateau.best, progress.plateau.stale) == (0.5, 1)
    assert progress.to_json() == stopping
