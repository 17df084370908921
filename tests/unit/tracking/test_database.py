from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gazetune.tracking.mlflow_runs import Tracker

OPEN = """
import sys
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from gazetune.tracking.mlflow_runs import Tracker
print("ready", flush=True)
print(Tracker.open(None, Path(sys.argv[1]), "gazetune").uri, flush=True)
"""


def opening(storage: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, str(storage)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_a_process_that_is_killed_while_the_tables_are_made_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    process = opening(tmp_path)
    # The file holds the names of the tables that are made so far; this one is made half-way.
    while not any(b"model_versions" in file.read_bytes() for file in tmp_path.rglob("mlflow.db")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists(), "a file that is there is whole"
    tracker = Tracker.open(None, tmp_path, "gazetune")
    tracker.finish_run(tracker.start_search("mine", "", {}, {}), "COMPLETE", None)
    assert [file.name for file in tmp_path.iterdir() if "making" in file.name] == []


def test_two_processes_that_open_a_new_storage_at_once_use_one_database(tmp_path: Path) -> None:
    processes = [opening(tmp_path) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(subprocess.Popen.communicate, processes))
    assert [process.returncode for process in processes] == [0, 0], ended
    assert {out for out, _ in ended} == {f"sqlite:///{tmp_path}/mlflow.db\n"}
