"""Checkpoints: state and progress come back, whatever moment the writer died at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gazetune.train.checkpoint import Progress, load_checkpoint, save_checkpoint


class Killed(BaseException):
    """Stands for the end of the process."""


def write(folder: Path, step: int) -> None:
    evaluations = [{"step": step, "metrics": {"val/accuracy": 0.5}, "train_losses": [0.1, 1 / 3]}]
    progress = Progress("pairs", step=step, seconds=1.5, best_accuracy=0.5, best_step=step, evaluations=evaluations)
    save_checkpoint(folder, {"weight": torch.full((3,), float(step)), "step": torch.tensor(float(step))}, progress)


def test_state_and_progress_come_back(tmp_path: Path) -> None:
    write(tmp_path / "last", 4)
    loaded = load_checkpoint(tmp_path / "last")
    assert loaded is not None
    state, progress = loaded
    assert state["weight"].tolist() == [4.0] * 3
    assert state["step"].shape == ()
    assert (progress.step, progress.seconds, progress.best_accuracy, progress.best_step) == (4, 1.5, 0.5, 4)
    assert progress.evaluations == [{"step": 4, "metrics": {"val/accuracy": 0.5}, "train_losses": [0.1, 1 / 3]}]


def test_a_run_without_a_checkpoint_has_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "last") is None


def test_a_half_written_checkpoint_is_not_one(tmp_path: Path) -> None:
    partial = tmp_path / ".last.partial"
    partial.mkdir()
    (partial / "state.safetensors").write_bytes(b"half")
    assert load_checkpoint(tmp_path / "last") is None
    write(tmp_path / "last", 1)
    assert load_checkpoint(tmp_path / "last")[1].step == 1
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
    state, progress = load_checkpoint(tmp_path / "last")
    assert progress.step in (1, 2)
    assert state["weight"].tolist() == [float(progress.step)] * 3
    write(tmp_path / "last", 3)
    assert load_checkpoint(tmp_path / "last")[1].step == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
