"""A hand at another terminal and too many failures, as Tune hears of them."""

from __future__ import annotations

import pickle
from pathlib import Path

from ray.tune.schedulers import TrialScheduler

from gazetune.search.steering import Steering
from gazetune.search.stopping.failures import Failures
from gazetune.search.stopping.halting import Halting, StoppedByHand
from gazetune.search.stopping.schedulers import Stopping


def test_a_trial_is_stopped_at_its_next_report_and_the_scheduler_says_why(tmp_path: Path) -> None:
    steering, scheduler = Steering(tmp_path), Stopping()
    scheduler.add(StoppedByHand(steering))

    class Trial:
        def __init__(self, trial_id: str) -> None:
            self.config = {"job": {"id": trial_id, "folder": ""}}

    def decision(trial_id: str) -> str:
        return scheduler.on_trial_result(None, Trial(trial_id), {"examples": 1, "objective": 0.5})

    assert decision("0001") == TrialScheduler.CONTINUE
    steering.ask_to_stop("0001")
    assert decision("0002") == TrialScheduler.CONTINUE
    assert decision("0001") == TrialScheduler.STOP
    assert scheduler.reason("0001") == "stopped by hand" and scheduler.reason("0002") is None


def test_all_is_halted_by_a_request_or_by_failures(tmp_path: Path) -> None:
    steering, failures = Steering(tmp_path), Failures(0)
    halting = Halting(steering, failures)
    assert not halting.stop_all()
    steering.ask_to_stop("0001")
    assert not halting.stop_all(), "one trial is not all of them"
    steering.ask_to_stop(None)
    assert halting.stop_all()
    steering.clear()
    failures.ended("a")
    assert halting.stop_all()
    assert pickle.loads(pickle.dumps(halting)).stop_all(), "Tune writes it down"
