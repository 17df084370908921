"""Real processes that end in every way; what they leave on stderr."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, subprocess, sys, time
from gazetune.trials.start.exit_message import ExitMessage
with ExitMessage() as exit_message:
    exit_message.print_if_killed("go on 'so' & \\"$HOME\\"")
    END
"""


def run_program(end: str) -> tuple[int, str]:
    command = [sys.executable, "-c", PROGRAM.replace("END", end)]
    # Its stderr is open until the child that waits for its end is gone, too.
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os._exit(1)", 1),
        # Another child of the process outlives it.
        ("subprocess.Popen(['sleep', '20'], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL); os._exit(1)", 1),
    ],
)
def test_the_message_of_a_killed_process_is_printed(end: str, code: int) -> None:
    assert run_program(end) == (code, "go on 'so' & \"$HOME\"\n")


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("sys.exit(3)", 3)])
def test_nothing_is_printed_for_a_block_that_ends(end: str, code: int) -> None:
    assert run_program(end) == (code, "")


def test_an_error_is_printed_without_the_message() -> None:
    code, text = run_program("raise ValueError('mine')")
    assert code == 1 and text.splitlines()[-1] == "ValueError: mine" and "go on" not in text


def test_ctrl_c_at_the_terminal_does_not_suppress_the_message() -> None:
    # A terminal sends it to every process of the group; this process is the first of a group of its own.
    end = "signal.signal(signal.SIGINT, signal.SIG_IGN); os.killpg(0, signal.SIGINT); time.sleep(0.2); os._exit(1)"
    command = [sys.executable, "-c", PROGRAM.replace("END", end)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, start_new_session=True)
    assert done.stderr.startswith("go on")
