"""A process that writes again and again until it is killed, for the tests of what a kill leaves."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WRITER = """
import itertools, sys
from pathlib import Path
path = Path(sys.argv[1])
{write}
print("writes", flush=True)
for number in itertools.count(int(sys.argv[2])):
    write(path, number)
"""


def kill_writers(write: str, path: Path, kills: int) -> Iterator[None]:
    """Start a process that calls `write(path, number)` with rising numbers, kill it with SIGKILL, yield; and again.

    `write` is the source of that function, with its imports.
    """
    moments = random.Random(0)
    for start in range(kills):
        command = [sys.executable, "-c", WRITER.format(write=write), str(path), str(start * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "writes\n"
            time.sleep(moments.uniform(0.002, 0.05))
            process.kill()
            assert process.wait() == -signal.SIGKILL
        yield
