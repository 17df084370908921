"""The study as Ray Tune's searcher: it proposes trials, and every trial ends in the study as what it was.

Only a trial that used its full budget is COMPLETE. One that the scheduler stopped is PRUNED with its intermediate
values, and one that failed is FAIL with its reason. One that cannot be trained at all breaks a constraint besides
(`trials/trial_state.py`). Ray's own `OptunaSearch` is not used, because it calls a stopped trial COMPLETE and swallows
a NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from gazetune.config import ResourcesConfig
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.objectives import objective_values, validation_objective
from gazetune.search.study.samplers import SamplerFactory
from gazetune.search.study.tried_configs import read_tried
from gazetune.trials.feeder import FeederConfig, message_in
from gazetune.trials.ledger import Ledger
from gazetune.trials.messages import STOPPED_AT, JobFailure, TrainingReport, trial_id_of
from gazetune.trials.trial_state import tell_failure


class TrialHost(Protocol):
    """Who runs the trials that the searcher proposes."""

    def may_begin_trial(self) -> bool:
        """Tell whether the search goes on: once it does not, no trial begins any more."""

    def has_capacity(self, running: Sequence[ResourcesConfig]) -> bool:
        """Tell whether there is a slot for one more trial beside those that run, given by what they need."""

    def feeder_config(self, trial_id: str, params: Mapping[str, object]) -> FeederConfig:
        """Return what Tune's trial is to feed for a proposal."""

    def stop_reason(self, trial_id: str) -> str | None:
        """Return why the scheduler stopped a trial, where it says."""

    def end_trial(self, trial_id: str, ended: FrozenTrial) -> None:
        """Take a trial off the slots, once the study and the ledger know how it ended."""


class StudySearcher(Searcher):
    """Proposes trials from a study and records there what became of them.

    Tune makes up trial ids of its own. Here they only serve to find a trial again; the one that everybody else uses
    follows from the trial's number in the study.
    """

    def __init__(
        self, space: SearchSpace, study: optuna.Study, samplers: SamplerFactory, ledger: Ledger, host: TrialHost
    ) -> None:
        super().__init__(metric="objective", mode="max")
        self._space, self._study, self._samplers, self._ledger, self._host = space, study, samplers, ledger, host
        self._search = space.config.search
        self._reported_objective = validation_objective(self._search)
        self._trials: dict[str, optuna.Trial] = {}
        """Trials that run, by Tune's id."""
        self._occupied: dict[str, ResourcesConfig] = {}
        """What each of these trials needs."""
        self._tried = read_tried(study, space)
        trials = study.get_trials(deepcopy=False)
        self._begun = sum(trial.state != TrialState.WAITING for trial in trials)
        # Trials that an earlier driver left: asked again, they answer with the parameters they have.
        left = [trial._trial_id for trial in trials if trial.state == TrialState.RUNNING]
        self._unfinished = list(enumerate(left, start=self._begun - len(left)))
        """For each, how many trials were begun before it, and Optuna's id of it."""

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask the study for a trial, and return the config of Tune's trial.

        None says that there is no slot for it: Tune counts no trial then, and asks again. While no trial runs, though,
        it would ask without looking whether the search is to end.
        """
        if not self._host.may_begin_trial():
            finished: Any = Searcher.FINISHED  # a text, whatever Tune's annotation says
            return finished
        if self._trials and not self._host.has_capacity(list(self._occupied.values())):
            return None
        trial = self._take_unfinished(*self._unfinished.pop(0)) if self._unfinished else self._ask_study()
        params = propose_values(trial, self._space, self._tried)
        self._trials[trial_id], self._occupied[trial_id] = trial, self._space.trial_resources(params)
        own_id = trial_id_of(trial.number)
        self._ledger.start_trial(trial, self._space.trial_config(params), params)
        return dict(self._host.feeder_config(own_id, params))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an intermediate value at its number of training examples."""
        self._record_report(self._trials[trial_id], message_in(result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how the trial ended."""
        trial = self._trials.pop(trial_id)
        del self._occupied[trial_id]
        if error or not result:
            return  # Ray lost the trial's feeder, for which no trial is to blame: it stays RUNNING, to be resumed
        own_id, message = trial_id_of(trial.number), message_in(result)
        # Tune does not pass a trial's last result to `on_trial_result`.
        self._record_report(trial, message)
        if isinstance(message, JobFailure):
            self._ledger.record_reason(trial, message.reason)
            ended = tell_failure(self._study, trial, message.is_infeasible)
        elif message.done:
            self._ledger.record_reason(trial, None)
            ended = self._study.tell(trial, objective_values(self._search, message))
        else:
            reason = self._host.stop_reason(own_id) or f"{STOPPED_AT}{message.examples} examples"
            self._ledger.record_reason(trial, reason)
            ended = self._study.tell(trial, state=TrialState.PRUNED)
        self._ledger.end_trial(ended)
        self._host.end_trial(own_id, ended)

    def _take_unfinished(self, begun_before: int, optuna_id: int) -> optuna.Trial:
        # A driver may have been killed before the trial had all of its parameters.
        self._study.sampler = self._samplers.make_sampler(begun_before)
        return optuna.Trial(self._study, optuna_id)

    def _ask_study(self) -> optuna.Trial:
        self._study.sampler = self._samplers.make_sampler(self._begun)
        self._begun += 1
        return self._study.ask()

    def _record_report(self, trial: optuna.Trial, message: TrainingReport | JobFailure) -> None:
        if isinstance(message, TrainingReport):
            if len(self._study.directions) == 1:  # Optuna keeps intermediate values of one objective only
                trial.report(self._reported_objective.value(message), step=message.examples)
            self._ledger.add_report(trial, message)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the study is the state, and it is saved at every step."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: see `save`."""

    def __reduce__(self) -> tuple[type[Searcher], tuple[()]]:
        # Tune pickles its searcher into its own snapshot, which a search here never restores from.
        return (Searcher, ())
