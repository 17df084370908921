"""Signals that stop a command: one line at once, a second one says that it is stopping, a third ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from gazetune.cli.program.stop_signals import StopSignals

STOPPED = """
import os, signal, sys, time
from gazetune.cli.program.stop_signals import StopSignals
with StopSignals():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(60)
    except KeyboardInterrupt:
        print("ending", flush=True)
        os.kill(os.getpid(), int(sys.argv[1]))
        print("still ending", flush=True)
        if sys.argv[2] == "third":
            os.kill(os.getpid(), int(sys.argv[1]))
        print("ended", flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_once_and_what_is_put_in_order_goes_on(sent: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(int(sent)), ""], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ending\nstill ending\nended\n")
    name = "Ctrl-C" if sent == signal.SIGINT else sent.name
    assert done.stderr.splitlines() == [
        f"gazetune: {name}: stopping; ending what runs can take up to a minute",
        f"gazetune: {name}: already stopping; once more ends the process at once",
    ]


def test_the_third_signal_ends_the_process_at_once() -> None:
    line = [sys.executable, "-c", STOPPED, str(int(signal.SIGTERM)), "third"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "ending\nstill ending\n")


def test_a_command_under_nohup_stays_when_its_terminal_closes_and_handlers_come_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    usual = signal.getsignal(signal.SIGTERM)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
            assert stop.received == 0
            assert signal.getsignal(signal.SIGTERM) != usual
        assert signal.getsignal(signal.SIGTERM) == usual
    finally:
        signal.signal(signal.SIGHUP, before)
