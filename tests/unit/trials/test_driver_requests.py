"""What a driver and other terminals write down for each other."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from gazetune.trials.driver_requests import Steering


def test_a_request_is_for_one_trial_or_for_all_and_may_be_repeated(tmp_path: Path) -> None:
    asking, driver = Steering(tmp_path / "driver"), Steering(tmp_path / "driver")
    assert not driver.asked_to_stop("0003") and not driver.asked_to_stop(None)
    for _ in range(2):
        asking.ask_to_stop("0003")
    assert driver.asked_to_stop("0003")
    assert not driver.asked_to_stop("0004") and not driver.asked_to_stop(None)
    asking.ask_to_stop(None)
    assert driver.asked_to_stop(None)


def test_a_driver_is_known_by_what_it_announced(tmp_path: Path) -> None:
    steering = Steering(tmp_path / "driver")
    assert steering.driver() is None
    steering.announce(3)
    note = steering.driver()
    assert note is not None and (note.pid, note.slots) == (os.getpid(), 3)
    (tmp_path / "driver" / "driver.json").write_text(json.dumps({**asdict(note), "since": "2026-01-01T00:00:00"}))
    steering.announce(4)
    note = steering.driver()
    assert note is not None and (note.slots, note.since) == (4, "2026-01-01T00:00:00"), "it is the same driver"


def test_clearing_forgets_driver_and_requests(tmp_path: Path) -> None:
    steering = Steering(tmp_path / "driver")
    steering.announce(1)
    steering.ask_to_stop(None)
    steering.clear()
    assert steering.driver() is None and not steering.asked_to_stop(None)
    steering.clear()
