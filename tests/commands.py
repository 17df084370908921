"""The package's commands as tests run them: each in a process of its own, as a user would start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"

BOUND = 900.0
"""Seconds after which something is taken to hang. Far more than it takes: the machine may be busy with other tests."""


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of a process; on SIGABRT it prints where its threads are."""
    return [sys.executable, "-X", "faulthandler", "-m", "gazetune.cli.main", *map(str, arguments)]


def gazetune(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with these environment variables more."""
    return run_to_end(command(*arguments), environment)


def run_example(script: str, *arguments: str | Path) -> str:
    """Run a script of the folder `examples`, which must end well, and return what it printed."""
    done = run_to_end([sys.executable, "-X", "faulthandler", str(EXAMPLES / script), *map(str, arguments)], {})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_to_end(line: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end; one that hangs is killed with all that it started, and its stacks are shown."""
    process = subprocess.Popen(
        line,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=BOUND)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has started holds its pipes
        _, err = process.communicate()
        raise AssertionError(f"{' '.join(line[3:])} did not end in {BOUND:.0f} s: {_stacks(err)}") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(line, process.returncode, out, err)


def gazetune_json(*arguments: str | Path, **environment: str) -> Any:
    """Run a command with `--json`, which must end well, and return its document."""
    done = gazetune(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def ended(process: subprocess.Popen[Any], log: Path) -> int:
    """Wait for the end of a process that was made of `command` and logs to this file; return its exit code."""
    try:
        return process.wait(timeout=BOUND)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        process.wait()
        raise AssertionError(f"it did not end in {BOUND:.0f} s: {_stacks(log.read_text())}") from None


def _stacks(said: str) -> str:
    """Return the end of what a process said, without the list of modules that follows the stacks of its threads."""
    return said.partition("\nExtension modules: ")[0][-12000:]
