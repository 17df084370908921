"""Optuna as Ray Tune's searcher, told the truth.

Only a trial that used its full budget is COMPLETE; one that the scheduler stopped is PRUNED with its intermediate
values; one that failed is FAIL with its reason. (Ray's own `OptunaSearch` calls a stopped trial COMPLETE and swallows a
NaN.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from gazetune.config import SearchConfig
from gazetune.search.ledger import Ledger
from gazetune.search.space import SearchSpace


def open_study(name: str, search: SearchConfig, folder: Path, parallel: bool) -> optuna.Study:
    """Open the search's study, under its own name, in a sqlite file of its folder; it is made where it is missing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder.resolve() / 'study.db'}",
        study_name=name,
        direction="minimize" if search.objective == "val/loss" else "maximize",
        load_if_exists=True,
    )
    study.sampler = create_sampler(search, parallel, len(study.get_trials(deepcopy=False)))
    return study


def create_sampler(search: SearchConfig, parallel: bool, begun: int = 0) -> optuna.samplers.BaseSampler:
    """Return the sampler that `search.sampler` names.

    `parallel` says that trials are proposed while others run; `begun` is how many there are already, so that a resumed
    search does not draw the numbers of its beginning again.
    """
    seed = int(np.random.SeedSequence([search.seed, begun]).generate_state(1)[0]) if begun else search.seed
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed,
        multivariate=True,
        group=True,
        # Without it, trials proposed while others run are near-duplicates of those.
        constant_liar=parallel,
    )


class TruthfulOptuna(Searcher):
    """Proposes trials from a study and records there, by trial number, what became of them."""

    def __init__(
        self,
        space: SearchSpace,
        study: optuna.Study,
        ledger: Ledger,
        board: str,
        job: Callable[[str, dict[str, Any]], dict[str, Any]],
        cancel: Callable[[str], None],
    ) -> None:
        """`job` makes the board's job of a trial id and its parameters; `cancel` takes one back from the board."""
        super().__init__(metric="objective", mode="max")
        self._space, self._study, self._ledger = space, study, ledger
        self._board, self._job, self._cancel = board, job, cancel
        self._sign = -1.0 if space.config.search.objective == "val/loss" else 1.0
        self._trials: dict[str, optuna.Trial] = {}
        # Trials that an earlier driver left: asked again, they answer with the parameters they have.
        self._unfinished = [
            optuna.Trial(study, left._trial_id)
            for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        ]

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Ask the study for a trial; Tune's `trial_id` only serves to find it again."""
        trial = self._unfinished.pop(0) if self._unfinished else self._study.ask()
        params = self._space.suggest(trial)
        self._trials[trial_id] = trial
        number = trial_name(trial.number)
        self._ledger.started(trial, number, params)
        return {"board": self._board, "job": self._job(number, params)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an intermediate value at its number of training examples."""
        self._record(self._trials[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how the trial ended."""
        trial = self._trials.pop(trial_id)
        number = trial_name(trial.number)
        result = result or {}
        outcome = result.get("outcome")
        # Tune does not pass a trial's last result to `on_trial_result`.
        self._record(trial, result)
        if error or outcome == "FAIL" or not result:
            self._ledger.ending(trial, result.get("reason") or "the trial's process ended without a result")
            ended = self._study.tell(trial, state=TrialState.FAIL)
        elif outcome == "COMPLETE":
            self._ledger.ending(trial, None)
            ended = self._study.tell(trial, self._sign * result["objective"])
        else:
            self._ledger.ending(trial, f"stopped at {result['examples']} examples")
            ended = self._study.tell(trial, state=TrialState.PRUNED)
        self._ledger.ended(ended, number)
        self._cancel(number)

    def _record(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        if "report" in result:
            trial.report(self._sign * result["objective"], step=result["examples"])
            self._ledger.reported(trial, trial_name(trial.number), result["report"][0])

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the study is the state, and it is saved at every step."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: see `save`."""

    def __reduce__(self) -> tuple[type[Searcher], tuple[()]]:
        # Tune pickles its searcher into its own snapshot, which a search here never restores from.
        return (Searcher, ())


def trial_name(number: int) -> str:
    """Return the trial id that study, folders, MLflow and tables share."""
    return f"{number:04d}"
