"""Optuna as Ray Tune's searcher, told the truth.

Only a trial that used its full budget is COMPLETE; one that the scheduler stopped is PRUNED with its intermediate
values; one that failed is FAIL with its reason. (Ray's own `OptunaSearch` calls a stopped trial COMPLETE and swallows a
NaN.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import ge
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.report.document import ImportanceRecord, ParetoRecord
from gazetune.search.ledger import Ledger
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.importance import parameter_importance
from gazetune.search.study.objectives import directions, objectives, sign, validation_objective, values
from gazetune.search.study.samplers import Samplers
from gazetune.search.study.seeding import own_trials, trial_name
from gazetune.search.study.storage import own_study, shared_study
from gazetune.search.study.tried_configs import tried_in


def open_study(name: str, search: SearchConfig, folder: Path) -> optuna.Study:
    """Open the search's study, under its own name, where `search.storage` says; it is made where it is missing.

    Raises
    ------
    InputError
        As `shared_study`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if search.storage is not None:
        return shared_study(search.storage, name, directions(search), folder)
    return own_study(name, directions(search), folder)


def pareto_front(study: optuna.Study, search: SearchConfig) -> tuple[ParetoRecord, ...]:
    """Return the COMPLETE trials that no other one of the search dominates; nothing with one objective."""
    names = objectives(search)
    if len(names) == 1:
        return ()
    signs = [sign(name) for name in names]
    # Not `study.best_trials`: the trials of another search have no model here, and must not hide those that have.
    complete = own_trials(study, (TrialState.COMPLETE,))
    points = [tuple(s * value for s, value in zip(signs, trial.values, strict=True)) for trial in complete]
    return tuple(
        ParetoRecord(trial_name(trial.number), dict(zip(names, trial.values, strict=True)))
        for trial, point in zip(complete, points, strict=True)
        if not any(other != point and all(map(ge, other, point)) for other in points)
    )


def importance(study: optuna.Study, space: SearchSpace) -> ImportanceRecord:
    """Return how much each searched key mattered among the COMPLETE trials of the search; of one objective alone."""
    way = directions(space.config.search)
    if len(way) > 1:
        return ImportanceRecord(missing="there are several objectives; the Pareto front says which trials are good")
    keys = {name: axis.key for axis in space.axes for value in axis.examples() for name in axis.parameters(value)}
    return parameter_importance(own_trials(study, (TrialState.COMPLETE,)), way[0], keys)


class TruthfulOptuna(Searcher):
    """Proposes trials from a study and records there, by trial number, what became of them."""

    def __init__(
        self,
        space: SearchSpace,
        study: optuna.Study,
        samplers: Samplers,
        ledger: Ledger,
        board: str,
        job: Callable[[str, dict[str, Any]], dict[str, Any]],
        cancel: Callable[[str], None],
        why: Callable[[str], str | None],
        ended: Callable[[FrozenTrial], None],
        room: Callable[[Sequence[ResourcesConfig]], bool],
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        """`job` makes the board's job of a trial id and its parameters; `cancel` takes one back from the board.

        `why` says for what reason the scheduler stopped a trial id, if it has one; `ended` hears of each trial that
        ended. `room` tells whether there is a slot for one more trial beside those that need these resources. Once
        `over` says so, no trial begins.
        """
        super().__init__(metric="objective", mode="max")
        self._space, self._study, self._samplers, self._ledger = space, study, samplers, ledger
        self._board, self._job, self._cancel, self._why = board, job, cancel, why
        self._heard, self._room, self._over = ended, room, over
        self._search = space.config.search
        self._sign = sign(validation_objective(self._search))
        self._trials: dict[str, optuna.Trial] = {}
        self._occupied: dict[str, ResourcesConfig] = {}
        """What each of these trials needs."""
        self._tried = tried_in(study, space)
        trials = study.get_trials(deepcopy=False)
        self._begun = sum(trial.state != TrialState.WAITING for trial in trials)
        # Trials that an earlier driver left: asked again, they answer with the parameters they have.
        left = [trial._trial_id for trial in trials if trial.state == TrialState.RUNNING]
        self._unfinished = list(enumerate(left, start=self._begun - len(left)))
        """For each, how many trials were begun before it, and Optuna's id of it."""

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask the study for a trial; Tune's `trial_id` only serves to find it again.

        None says that there is no slot for it: Tune counts no trial then, and asks again. While no trial runs, though,
        it would ask without looking whether the search is to end.
        """
        if self._over():
            finished: Any = Searcher.FINISHED  # a text, whatever Tune's annotation says
            return finished
        if self._trials and not self._room(list(self._occupied.values())):
            return None
        trial = self._again(*self._unfinished.pop(0)) if self._unfinished else self._ask()
        params = self._space.suggest(trial, self._tried)
        self._trials[trial_id], self._occupied[trial_id] = trial, self._space.resources(params)
        number = trial_name(trial.number)
        self._ledger.started(trial, number, params)
        return {"board": self._board, "job": self._job(number, params)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an intermediate value at its number of training examples."""
        self._record(self._trials[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how the trial ended."""
        trial = self._trials.pop(trial_id)
        del self._occupied[trial_id]
        if error or not result:
            return  # Ray lost the trial's feeder, for which no trial is to blame: it stays RUNNING, to be resumed
        number, outcome = trial_name(trial.number), result["outcome"]
        # Tune does not pass a trial's last result to `on_trial_result`.
        self._record(trial, result)
        if outcome == "FAIL":
            self._ledger.ending(trial, result["reason"])
            ended = self._study.tell(trial, state=TrialState.FAIL)
        elif outcome == "COMPLETE":
            self._ledger.ending(trial, None)
            ended = self._study.tell(trial, values(self._search, result["report"][0]))
        else:
            self._ledger.ending(trial, self._why(number) or f"stopped at {result['examples']} examples")
            ended = self._study.tell(trial, state=TrialState.PRUNED)
        self._ledger.ended(ended, number)
        self._heard(ended)
        self._cancel(number)

    def _again(self, begun: int, trial: int) -> optuna.Trial:
        # A driver may have been killed before the trial had all of its parameters.
        self._study.sampler = self._samplers.at(begun)
        return optuna.Trial(self._study, trial)

    def _ask(self) -> optuna.Trial:
        self._study.sampler = self._samplers.at(self._begun)
        self._begun += 1
        return self._study.ask()

    def _record(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        if "report" in result:
            if len(self._study.directions) == 1:  # Optuna keeps intermediate values of one objective only
                trial.report(self._sign * result["objective"], step=result["examples"])
            self._ledger.reported(trial, trial_name(trial.number), result["report"][0])

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the study is the state, and it is saved at every step."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: see `save`."""

    def __reduce__(self) -> tuple[type[Searcher], tuple[()]]:
        # Tune pickles its searcher into its own snapshot, which a search here never restores from.
        return (Searcher, ())
