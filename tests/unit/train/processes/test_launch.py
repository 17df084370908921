"""What a worker process says when it fails reaches the command as the error that it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gazetune.errors import GazetuneError, InputError, RunError
from gazetune.train.processes.launch import launch_workers

# The functions are found by name in fresh processes, so they stand in a module that those can import.
FAILING = """
import os, signal
from gazetune.errors import InputError, RunError

class LostWorker(RunError):
    pass

class TrainingFailed(RunError):  # named like that of the loop, which takes seconds to import
    pass

def fail(kind):
    if os.environ["RANK"] != "0":
        return
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {"input": InputError("file:3: key: is wrong"), "trial": TrainingFailed("loss is nan at step 2"),
           "bug": ValueError("no such thing")}[kind]
"""


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("input", InputError, "file:3: key: is wrong"),
        ("trial", RunError, "loss is nan at step 2"),
        ("bug", RunError, "worker 0 of 2 ended: ValueError: no such thing"),
        ("killed", RunError, "worker 0 of 2 ended: killed by SIGKILL"),
    ],
)
def test_the_error_of_a_worker_is_that_of_the_launch(
    kind: str, error: type[GazetuneError], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_worker.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    import failing_worker

    with pytest.raises(error) as raised:
        launch_workers(2, failing_worker.fail, kind)
    assert str(raised.value) == says
