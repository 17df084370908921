"""A process without others has a group of its own, which takes no port that another process may want."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.commands import BOUND

ALONE = """
import os, socket
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
for _ in range(2):  # one training after another
    worker = join_worker_group()
    worker.wait_for_all()
    print(worker.rank, worker.world_size, worker.broadcast_flag(True))
    leave_worker_group()
print("MASTER_PORT" in os.environ)
"""


def test_a_process_alone_joins_a_group_twice_whatever_port_its_environment_named_before() -> None:
    # What a test process that trained itself once handed to its children: they all took its port.
    inherited = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASTER_")} | inherited
    line = [sys.executable, "-c", ALONE]
    done = subprocess.run(line, capture_output=True, text=True, timeout=BOUND, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-3:] == ["0 1 True", "0 1 True", "False"]
