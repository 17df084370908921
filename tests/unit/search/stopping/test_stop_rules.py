"""A hand at another terminal, too many failures and a cap, as Tune hears of them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ray.tune.schedulers import TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.caps import Caps
from gazetune.search.stopping.combined_scheduler import CombinedScheduler
from gazetune.search.stopping.repeated_failures import RepeatedFailures
from gazetune.search.stopping.stop_rules import SearchStopper, StopAtCap, StopOnRequest
from gazetune.trials.driver_requests import DriverRequests
from gazetune.trials.feeder import tune_result
from gazetune.trials.messages import JobFailure
from tests.unit.trials.messages import train_job, training_report


def test_a_trial_is_stopped_at_its_next_report_and_the_scheduler_says_why(tmp_path: Path) -> None:
    requests, scheduler = DriverRequests(tmp_path), CombinedScheduler()
    scheduler.add_rule(StopOnRequest(requests))

    class Trial:
        def __init__(self, trial_id: str) -> None:
            self.config = {"job": train_job(trial_id)}

    def decision(trial_id: str) -> str:
        return scheduler.on_trial_result(None, Trial(trial_id), {"examples": 1, "objective": 0.5})

    assert decision("0001") == TrialScheduler.CONTINUE
    requests.request_stop("0001")
    assert decision("0002") == TrialScheduler.CONTINUE
    assert decision("0001") == TrialScheduler.STOP
    assert scheduler.stop_reason("0001") == "stopped by hand" and scheduler.stop_reason("0002") is None


def test_once_a_cap_is_reached_every_trial_is_stopped_at_its_next_report(tmp_path: Path) -> None:
    caps = Caps(SearchConfig(max_gpu_hours=1.0), tmp_path)
    scheduler = CombinedScheduler([StopAtCap(caps)])

    class Trial:
        def __init__(self, trial_id: str) -> None:
            self.config = {"job": train_job(trial_id)}

    def result(seconds: float) -> dict[str, Any]:
        return tune_result(1, 0.5, training_report(1, gpu_seconds=seconds))

    assert scheduler.on_trial_result(None, Trial("0001"), result(1200.0)) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, Trial("0001"), result(1700.0)) == TrialScheduler.CONTINUE
    scheduler.on_trial_complete(None, Trial("0002"), result(1890.0))
    scheduler.on_trial_complete(None, Trial("0003"), tune_result(1, 0.5, JobFailure("loss is nan")))
    assert scheduler.on_trial_result(None, Trial("0004"), result(20.0)) == TrialScheduler.STOP
    assert scheduler.stop_reason("0004") == "search.max_gpu_hours reached" and scheduler.stop_reason("0001") is None
    assert not SearchStopper(DriverRequests(tmp_path), RepeatedFailures(None), caps).stop_all(), (
        "trials are to end with their results"
    )


def test_time_passes_while_no_trial_reports(tmp_path: Path) -> None:
    caps = Caps(SearchConfig(max_hours=1e-9), tmp_path)
    assert not caps.is_reached()
    assert not SearchStopper(DriverRequests(tmp_path), RepeatedFailures(None), caps).stop_all()
    assert caps.reached == ("search.max_hours", 1e-9)


def test_all_trials_end_by_a_request_or_by_failures(tmp_path: Path) -> None:
    requests, failures = DriverRequests(tmp_path), RepeatedFailures(0)
    stopper = SearchStopper(requests, failures, Caps(SearchConfig(), tmp_path))
    assert not stopper.stop_all()
    requests.request_stop("0001")
    assert not stopper.stop_all(), "one trial is not all of them"
    requests.request_stop(None)
    assert stopper.stop_all()
    requests.clear()
    failures.count_trial("a")
    assert stopper.stop_all()
    assert pickle.loads(pickle.dumps(stopper)).stop_all(), "Tune writes it down"
