"""What a driver and other terminals write down for each other."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from gazetune.trials.driver_requests import DriverRequests


def test_a_request_is_for_one_trial_or_for_all_and_may_be_repeated(tmp_path: Path) -> None:
    asking, driver = DriverRequests(tmp_path / "driver"), DriverRequests(tmp_path / "driver")
    assert not driver.is_stop_requested("0003") and not driver.is_stop_requested(None)
    for _ in range(2):
        asking.request_stop("0003")
    assert driver.is_stop_requested("0003")
    assert not driver.is_stop_requested("0004") and not driver.is_stop_requested(None)
    asking.request_stop(None)
    assert driver.is_stop_requested(None)


def test_a_driver_is_known_by_what_it_announced(tmp_path: Path) -> None:
    requests = DriverRequests(tmp_path / "driver")
    assert requests.read_note() is None
    requests.announce_driver(3)
    note = requests.read_note()
    assert note is not None and (note.pid, note.slots) == (os.getpid(), 3)
    (tmp_path / "driver" / "driver.json").write_text(json.dumps({**asdict(note), "since": "2026-01-01T00:00:00"}))
    requests.announce_driver(4)
    note = requests.read_note()
    assert note is not None and (note.slots, note.since) == (4, "2026-01-01T00:00:00"), "it is the same driver"


def test_clearing_forgets_driver_and_requests(tmp_path: Path) -> None:
    requests = DriverRequests(tmp_path / "driver")
    requests.announce_driver(1)
    requests.request_stop(None)
    requests.clear()
    assert requests.read_note() is None and not requests.is_stop_requested(None)
    requests.clear()
