"""The lock of a build: one at a time, and no trace of one that failed."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gazetune.files.build_lock import build_lock

WAITS = """
import sys
from pathlib import Path
from gazetune.files.build_lock import build_lock
place = Path(sys.argv[1])
print("waits", flush=True)
with build_lock(place / "new" / ".lock", "it"):
    (place / "new" / "built").touch()
"""
HOLDS = """
import sys, time
from pathlib import Path
from gazetune.files.build_lock import build_lock
with build_lock(Path(sys.argv[1]) / ".lock", "it"):
    print("holds", flush=True)
    time.sleep(0.5)
"""


def test_a_failed_build_takes_the_folders_along_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ZeroDivisionError), build_lock(tmp_path / "there" / "a" / "b" / ".lock", "it"):
        assert (tmp_path / "there" / "a" / "b" / ".lock").exists()
        _ = 1 / 0
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_what_a_failed_build_has_finished_stays(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), build_lock(tmp_path / "a" / "b" / ".lock", "it"):
        (tmp_path / "a" / "part").touch()
        _ = 1 / 0
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "part"]


def test_a_build_that_ends_well_leaves_its_lock_and_a_later_failure_does_not_touch_it(tmp_path: Path) -> None:
    with build_lock(tmp_path / "a" / ".lock", "it"):
        pass
    with pytest.raises(ZeroDivisionError), build_lock(tmp_path / "a" / ".lock", "it"):
        _ = 1 / 0
    assert (tmp_path / "a" / ".lock").exists()


def test_who_waited_for_a_build_that_failed_builds_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), build_lock(tmp_path / "new" / ".lock", "it"):
        waiting = subprocess.Popen([sys.executable, "-c", WAITS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert waiting.stdout is not None and waiting.stdout.readline() == "waits\n"
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        assert not (tmp_path / "new" / "built").exists()
        _ = 1 / 0
    assert waiting.wait(30) == 0
    assert (tmp_path / "new" / "built").exists()


def test_a_wait_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gazetune")
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "holds\n"
    with build_lock(tmp_path / ".lock", "that store"):
        assert "that store: another process builds it; waiting for that" in caplog.text
    assert other.wait(30) == 0
