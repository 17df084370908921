"""The first phase of a search: Tune proposes and schedules trials until all are finished, or something ends them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState
from ray import tune
from ray.tune.stopper import CombinedStopper

from gazetune.config import ResourcesConfig
from gazetune.errors import RunError
from gazetune.search.active_search import ActiveSearch
from gazetune.search.stopping.combined_scheduler import CombinedScheduler
from gazetune.search.stopping.prune_unfinished import prune_unfinished_trials
from gazetune.search.stopping.repeated_failures import RepeatedFailures
from gazetune.search.stopping.schedulers import create_scheduler
from gazetune.search.stopping.stop_rules import SearchStopper, SlotLossStopper, StopAtCap, StopOnRequest
from gazetune.search.study.finished_trials import finished_trials
from gazetune.search.study.objectives import validation_objective
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.samplers import SamplerFactory
from gazetune.search.study.searcher import StudySearcher
from gazetune.trials.feeder import Feeder, FeederConfig
from gazetune.trials.messages import StudyRecord
from gazetune.trials.trial_state import ended_state

_TUNE_ENVIRONMENT = {
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # a stopped search does not wait for reports that nobody reads
    # Tune's own handler of Ctrl-C stays when the trials are over, and would swallow the next one.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has it all
    "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints even when told not to
}


def run_trials(active: ActiveSearch) -> None:
    """Run trials until the search has all of them, or a cap has ended it.

    Raises
    ------
    RunError
        When too many trials FAILed for one reason, or no slot can be kept up any more.
    Interrupted
        When somebody stopped the search.
    """
    for name, value in _TUNE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    wanted, finished = active.prepared.config.search.trials, len(finished_trials(active.study))
    if finished == wanted:
        return
    phase = TrialPhase(active)
    if not active.caps.is_reached():
        phase.create_tuner(wanted - finished).fit()
        active.caps.save_time()
    if len(finished_trials(active.study)) < wanted:
        phase.end_early()


class TrialPhase:
    """What the searcher proposes is handed to the slots, and the scheduler stops it: a `TrialHost`."""

    def __init__(self, active: ActiveSearch) -> None:
        """Make the scheduler, and tell it what the trials of an earlier driver reached."""
        self._active = active
        prepared, search = active.prepared, active.prepared.config.search
        self._objective = validation_objective(search)
        self._failures = RepeatedFailures(search.max_failures)
        self._scheduler: CombinedScheduler = create_scheduler(search, prepared.rungs)
        self._scheduler.remember_trials(own_trials(active.study), self._objective, prepared.folder.trial_folder)
        self._scheduler.add_rule(StopOnRequest(prepared.folder.requests))
        self._scheduler.add_rule(StopAtCap(active.caps))

    def may_begin_trial(self) -> bool:
        """Tell whether no cap was reached yet."""
        return not self._active.caps.is_reached()

    def has_capacity(self, running: Sequence[ResourcesConfig]) -> bool:
        """Tell whether there is a slot for one more trial beside those that run."""
        return self._active.slots.has_capacity(running)

    def feeder_config(self, trial_id: str, params: Mapping[str, object]) -> FeederConfig:
        """Return the job of a trial, and to whom it is fed."""
        prepared = self._active.prepared
        job = prepared.train_job(trial_id, prepared.space.trial_config(params), prepared.folder.trial_folder(trial_id))
        return FeederConfig(board=self._active.slots.board_name, job=job, objective=self._objective)

    def stop_reason(self, trial_id: str) -> str | None:
        """Return why the scheduler stopped a trial, where it says."""
        return self._scheduler.stop_reason(trial_id)

    def end_trial(self, trial_id: str, ended: FrozenTrial) -> None:
        """Count a failure, drop a model that is no longer needed, and take the job off the board."""
        self._failures.count_trial(StudyRecord.read(ended).reason if ended_state(ended) == "FAIL" else None)
        if ended.state == TrialState.COMPLETE:
            self._active.models.drop_others()
        self._active.slots.finish_job(trial_id)

    def create_tuner(self, trials: int) -> tune.Tuner:
        """Return what runs so many trials."""
        active, prepared = self._active, self._active.prepared
        parallel = prepared.cluster.slots > 1 or prepared.cluster.joined
        samplers = SamplerFactory(prepared.space, parallel)
        stopper = SearchStopper(prepared.folder.requests, self._failures, active.caps)
        return tune.Tuner(
            tune.with_resources(Feeder, tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])),
            tune_config=tune.TuneConfig(
                search_alg=StudySearcher(prepared.space, active.study, samplers, active.ledger, self),
                scheduler=self._scheduler,
                num_samples=trials,
                max_concurrent_trials=trials,  # the searcher holds back what no slot could take
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(prepared.folder.path),
                # A feeder fails when Ray does, so a trial must not FAIL for it: the search ends, to be resumed.
                failure_config=tune.FailureConfig(fail_fast="raise"),
                # The slots write the checkpoints; a feeder has nothing to save.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                stop=CombinedStopper(stopper, SlotLossStopper(active.slots)),
                verbose=0,
            ),
        )

    def end_early(self) -> None:
        """Close the trials of a search that a cap ended; raise what a search ends with that was stopped or given up."""
        active, prepared = self._active, self._active.prepared
        active.check_slots()
        if self._failures.verdict is not None:
            raise RunError(
                f"search '{prepared.space.name}' was given up, since {self._failures.verdict}; once that is put right, "
                f"it can go on: it ended {active.how_to_go_on()}"
            )
        if active.caps.reached is None or prepared.folder.requests.is_stop_requested(None):
            raise active.interruption()
        prune_unfinished_trials(active.study, prepared.space, active.ledger, active.caps.reached.reason)
