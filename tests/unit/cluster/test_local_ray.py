"""Ray on this machine starts also where its node comes late, and says in one line when it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NoReturn

import psutil
import pytest
import ray

from gazetune.cluster import local_ray
from gazetune.cluster.local_ray import start_local_ray
from gazetune.errors import RunError
from tests.commands import BOUND

HELD_BACK = """
import json, os, signal, sys, threading, time
import psutil
import ray
from ray._private import ray_constants
from gazetune.cluster import local_ray

program, seconds = sys.argv[1], float(sys.argv[2])
local_ray.ATTEMPTS = 1  # a second start would not be held back
ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S = 5  # a minute is long for a test

def hold_back():
    while True:
        for child in psutil.Process().children(recursive=True):
            if any(part.endswith(program) for part in child.cmdline()[:3]):
                child.send_signal(signal.SIGSTOP)
                time.sleep(seconds)
                child.send_signal(signal.SIGCONT)
                return
        time.sleep(0.005)

threading.Thread(target=hold_back, daemon=True).start()
local_ray.start_local_ray(
    num_cpus=1,
    include_dashboard=program != "raylet",
    log_to_driver=False,
    _temp_dir=os.environ["RAY_TMPDIR"],
)
print(json.dumps(ray.get(ray.remote(lambda: 42).remote())))
"""


@pytest.mark.parametrize(("program", "seconds"), [("raylet", 34), ("dashboard.py", 8)])  # Ray gives up after 30, and 5
def test_what_takes_longer_than_ray_waits_is_waited_for(program: str, seconds: int) -> None:
    line = [sys.executable, "-c", HELD_BACK, program, str(seconds)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=BOUND, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == 42


def test_a_start_that_runs_out_of_time_twice_ends_in_one_line_and_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def run_out_of_time(*_: object, **__: object) -> NoReturn:
        started.append(subprocess.Popen(["sleep", "600"]))
        raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(ray, "init", run_out_of_time)
    with pytest.raises(RunError, match=r"^Ray did not start on this machine in 2 attempts .*--address") as caught:
        start_local_ray(_temp_dir="/tmp/ray-0")
    assert "\n" not in str(caught.value) and "/tmp/ray-0/session_latest/logs" in str(caught.value)
    assert len(started) == 2
    assert not any(psutil.pid_exists(each.pid) and each.poll() is None for each in started)
    assert [record.message for record in caplog.records if "trying once more" in record.message]


def test_another_error_of_ray_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def refuse(*_: object, **__: object) -> NoReturn:
        attempts.append(1)
        raise ValueError("no such setting")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ValueError, match="no such setting"):
        start_local_ray()
    assert len(attempts) == 1
    assert local_ray.services.get_node.__name__ == "get_node", "Ray's own function is back"
