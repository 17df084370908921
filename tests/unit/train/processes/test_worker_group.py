"""Process groups: of a process without others, which takes no port, and of two workers of which one stalls."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from gazetune.config.search import process_group_backend
from tests.commands import BOUND

ALONE = """
import os, socket
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
for _ in range(2):  # one training after another
    worker = join_worker_group()
    worker.wait_for_all()
    print(worker.rank, worker.world_size, worker.ask_main(lambda: True))
    leave_worker_group()
print("MASTER_PORT" in os.environ)
for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):  # somebody may have set one of them
    os.environ.pop(name)
os.environ["RANK"] = "3"
join_worker_group()
print(os.environ["LOCAL_RANK"])
leave_worker_group()
print([os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")])
"""


def test_a_process_alone_joins_a_group_twice_whatever_port_its_environment_named_before() -> None:
    # What a test process that trained itself once handed to its children: they all took its port.
    inherited = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASTER_")} | inherited
    line = [sys.executable, "-c", ALONE]
    done = subprocess.run(line, capture_output=True, text=True, timeout=BOUND, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()
    assert said[-5:-2] == ["0 1 True", "0 1 True", "False"]
    assert said[-2:] == ["0", "['3', None, None]"], "another library must not take this for a process of a launcher"


STALLING = """
import os, signal, sys, time
from gazetune.train.processes.lost_worker import LostWorker, translate_lost_workers
from gazetune.train.processes.worker_group import join_worker_group
limit = 8
worker = join_worker_group(timeout=limit)

def answer_late():
    time.sleep(limit + 2)
    return True

print(worker.ask_main(answer_late), worker.ask_main(lambda: False))
print(worker.share_object({"of": worker.rank}), repr(worker.share_problem("full" if worker.rank else "")), flush=True)
if worker.rank == 1:
    os.kill(os.getpid(), signal.SIGSTOP)
try:
    with translate_lost_workers(limit):
        worker.wait_for_all()
except LostWorker as error:
    print(error, flush=True)
    os._exit(0)  # the group is of no more use
"""


def test_a_worker_waits_long_for_an_answer_but_not_for_another_one_that_stalls(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    workers = []
    for rank in ("0", "1"):
        environment = {**os.environ, **address, "RANK": rank, "LOCAL_RANK": rank}
        out = (tmp_path / rank).open("w")
        workers.append(subprocess.Popen([sys.executable, "-c", STALLING], stdout=out, env=environment))
    try:
        assert workers[0].wait(BOUND) == 0
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    together = ["True False", "{'of': 0} 'full'"]
    stalled = "another worker gave no sign of life for 8 s (resources.worker_timeout)"
    assert (tmp_path / "0").read_text().splitlines()[-3:] == [*together, stalled]
    assert (tmp_path / "1").read_text().splitlines()[-2:] == together


def test_decisions_travel_over_gloo_beside_nccl() -> None:
    assert process_group_backend("cuda") == "cpu:gloo,cuda:nccl"
    assert process_group_backend("cpu") == "gloo"
