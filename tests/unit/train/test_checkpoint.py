"""Checkpoints: state and progress come back, whatever moment the writer died at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gazetune.errors import InputError
from gazetune.reward.saved.tensor_stream import TensorStream
from gazetune.train.checkpoint import Checkpoint, ShardedCheckpoint, save_checkpoint
from gazetune.train.progress import EvaluationReport, Progress
from gazetune.train.state.sharded_tensors import TensorSlice


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


def progress_at(step: int) -> Progress:
    evaluations = [report_at(step)]
    return Progress("pairs", step=step, seconds=1.5, best_accuracy=0.5, best_step=step, evaluations=evaluations)


def write(folder: Path, step: int) -> None:
    state = {"weight": torch.full((3,), float(step)), "step": torch.tensor(float(step))}
    save_checkpoint(folder, TensorStream.from_state(state), progress_at(step))


def write_shards(folder: Path, step: int) -> None:
    """As two workers do, one of which has a third of the weight."""
    checkpoint = ShardedCheckpoint(folder, step)
    checkpoint.begin()
    for rank, (start, stop) in enumerate([(0, 1), (1, 3)]):
        values = iter([("weight", torch.full((stop - start,), float(step)))])
        checkpoint.save_shard({"weight": TensorSlice(start, stop, (3,))}, values, rank, 2)
    checkpoint.finish(progress_at(step))


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


def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path / "last", 1)
    file = tmp_path / "last" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    for damage in (lambda: None, file.unlink):
        damage()
        with pytest.raises(InputError) as caught:
            Checkpoint.load(tmp_path / "last")
        assert str(caught.value).startswith(f"{tmp_path / 'last'}: damaged (") and "\n" not in str(caught.value)


def test_a_half_written_checkpoint_is_not_one(tmp_path: Path) -> None:
    partial = tmp_path / ".last.partial"
    partial.mkdir()
    (partial / "state.safetensors").write_bytes(b"half")
    assert Checkpoint.load(tmp_path / "last") is None
    write(tmp_path / "last", 1)
    assert Checkpoint.load(tmp_path / "last").progress.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("write", [write, write_shards], ids=["gathered", "sharded"])
@pytest.mark.parametrize("operation", range(1, 6))
def test_a_kill_leaves_the_old_checkpoint_or_the_new_one(
    operation: int, write: Callable[[Path, int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
