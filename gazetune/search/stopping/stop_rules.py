"""What ends trials and searches other than their own results: a request from another terminal, failures, a cap.

::

                         one trial, at its next report       all trials at once
    ends it              StopOnRequest, StopAtCap            SearchStopper, SlotLossStopper
    Tune calls it        scheduler (a rule of `Stopping`)    stopper
    the study is told    PRUNED, with the reason             nothing: the trials stay RUNNING there, to be resumed
"""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.stopper import NoopStopper

from gazetune.search.stopping.caps import Caps
from gazetune.search.stopping.repeated_failures import RepeatedFailures
from gazetune.trials.driver_requests import DriverRequests
from gazetune.trials.feeder import message_in
from gazetune.trials.messages import TrainingReport
from gazetune.trials.slot_pool import SlotPool

STOPPED_BY_HAND = "stopped by hand"


class StopOnRequest(FIFOScheduler):
    """A rule of the scheduler: it stops the trials that somebody asked to stop, at their next report."""

    def __init__(self, requests: DriverRequests) -> None:
        super().__init__()
        self._requests = requests
        self.reasons: dict[str, str] = {}
        """By trial id, those that were stopped."""

    def on_trial_result(self, tune_controller: object, trial: Any, result: dict[str, Any]) -> str:
        """Stop the trial if that was asked for."""
        if not self._requests.is_stop_requested(trial.trial_id):
            return TrialScheduler.CONTINUE
        self.reasons[trial.trial_id] = STOPPED_BY_HAND
        return TrialScheduler.STOP


class StopAtCap(FIFOScheduler):
    """A rule of the scheduler: once a cap of the search is reached, it stops every trial at its next report."""

    def __init__(self, caps: Caps) -> None:
        super().__init__()
        self._caps = caps
        self.reasons: dict[str, str] = {}
        """By trial id, those that were stopped."""

    def on_trial_result(self, tune_controller: object, trial: Any, result: dict[str, Any]) -> str:
        """Stop the trial if a cap is reached."""
        self._add_evaluation(trial.trial_id, result)
        if self._caps.reached is None:
            return TrialScheduler.CONTINUE
        self.reasons[trial.trial_id] = self._caps.reached.reason
        return TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: object, trial: Any, result: dict[str, Any]) -> None:
        """Count the last report of a trial too; one that FAILed has none."""
        self._add_evaluation(trial.trial_id, result)

    def _add_evaluation(self, trial_id: str, result: dict[str, Any]) -> None:
        message = message_in(result)
        if isinstance(message, TrainingReport):
            self._caps.add_evaluation(trial_id, message.gpu_seconds)


class SearchStopper(tune.Stopper):
    """Ends all trials at once, as Ctrl-C does, when that was asked for or too many trials failed alike."""

    def __init__(self, requests: DriverRequests, failures: RepeatedFailures, caps: Caps) -> None:
        self._requests, self._failures, self._caps = requests, failures, caps

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stop one trial: a rule of the scheduler does."""
        return False

    def stop_all(self) -> bool:
        """Tell whether the search has to end; Tune asks about ten times a second.

        A cap is no reason: its trials end one by one (`StopAtCap`), and the study is told of each.
        """
        self._caps.check_time()
        return self._failures.verdict is not None or self._requests.is_stop_requested(None)


class SlotLossStopper(tune.Stopper):
    """Ends all trials at once when no slot can be kept up any more."""

    def __init__(self, slots: SlotPool) -> None:
        self._slots = slots

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stop one trial: a rule of the scheduler does."""
        return False

    def stop_all(self) -> bool:
        """Tell whether the search has to end."""
        return self._slots.fatal_reason is not None

    def __reduce__(self) -> tuple[type[tune.Stopper], tuple[()]]:
        # Tune pickles its stopper into its own snapshot, which a search here never restores from.
        return (NoopStopper, ())
