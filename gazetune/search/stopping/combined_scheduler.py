"""The scheduler that Tune gets: rules, any of which may stop a trial.

Tune makes up a new id for a trial each time a search is resumed, so a rule is shown a `KnownTrial` in place of Tune's
own trial. It has the two things that rules ask for: the id in the study, and the trial's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from optuna.trial import FrozenTrial
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from gazetune.trials.feeder import tune_result
from gazetune.trials.messages import TrainJob, trial_id_of
from gazetune.trials.objective import Objective

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


@dataclass(frozen=True)
class KnownTrial:
    """A trial as the study knows it, which stays the same when a search is resumed."""

    trial_id: str
    folder: str


@runtime_checkable
class GivesReasons(Protocol):
    """A rule that says why it stopped a trial."""

    reasons: dict[str, str]
    """By the study's trial id."""


@runtime_checkable
class RemembersResults(Protocol):
    """A rule that takes in the results of earlier drivers otherwise than it takes in new ones."""

    def remember_result(self, trial: KnownTrial, result: dict[str, Any]) -> None:
        """Take in a result that was decided on already."""


class CombinedScheduler(FIFOScheduler):
    """Stops a trial when any of its rules says so; trials run in the order in which they were proposed."""

    def __init__(self, rules: Sequence[TrialScheduler] = ()) -> None:
        super().__init__()
        self.rules = tuple(rules)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Pass a new trial on."""
        self.add_trial(_known_trial(trial))

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Stop the trial when a rule says so."""
        return TrialScheduler.STOP if self.stops_trial(_known_trial(trial), result) else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Pass the last result of a trial that ended by itself on."""
        self.end_trial(_known_trial(trial), result)

    def add_trial(self, trial: KnownTrial) -> None:
        """Tell every rule of a new trial."""
        for rule in self.rules:
            rule.on_trial_add(no_controller(), _as_trial(trial))

    def stops_trial(self, trial: KnownTrial, result: dict[str, Any]) -> bool:
        """Tell whether a rule stops the trial at this result; every rule hears of every result."""
        decisions = [rule.on_trial_result(no_controller(), _as_trial(trial), result) for rule in self.rules]
        return TrialScheduler.STOP in decisions

    def end_trial(self, trial: KnownTrial, result: dict[str, Any]) -> None:
        """Tell every rule of the last result of a trial that ended by itself."""
        for rule in self.rules:
            rule.on_trial_complete(no_controller(), _as_trial(trial), result)

    def add_rule(self, rule: TrialScheduler) -> None:
        """Take in one rule more, which knows no trial yet."""
        self.rules = (*self.rules, rule)

    def remember_trials(
        self, trials: Sequence[FrozenTrial], objective: Objective, folder_of: Callable[[str], Path]
    ) -> None:
        """Take in what the trials of a resumed search reached at its rungs.

        Parameters
        ----------
        trials
            The trials that were begun. An unfinished one repeats its last report itself, so that one is left out here.
        objective
            What the study's intermediate values are values of.
        folder_of
            Returns the folder of a trial id, in which its validation margins lie.
        """
        for trial in trials:
            trial_id = trial_id_of(trial.number)
            reports = sorted(trial.intermediate_values.items())
            known = reports if trial.state.is_finished() else reports[:-1]
            results = [tune_result(examples, objective.oriented(value)) for examples, value in known]
            self._remember_trial(KnownTrial(trial_id, str(folder_of(trial_id))), results)

    def _remember_trial(self, trial: KnownTrial, results: Sequence[dict[str, Any]]) -> None:
        self.add_trial(trial)
        for rule in self.rules:
            for result in results:
                if isinstance(rule, RemembersResults):
                    rule.remember_result(trial, dict(result))
                else:
                    rule.on_trial_result(no_controller(), _as_trial(trial), dict(result))

    def stop_reason(self, trial_id: str) -> str | None:
        """Return why a rule stopped the trial of this id of the study, where it says."""
        given = (rule.reasons.get(trial_id) for rule in self.rules if isinstance(rule, GivesReasons))
        return next((reason for reason in given if reason is not None), None)


def no_controller() -> TuneController:
    """Return what stands in for Tune's controller, at which no rule here looks."""
    return cast("TuneController", None)


def _as_trial(trial: KnownTrial) -> Trial:
    """A known trial has all that rules ask of one of Tune's trials."""
    return cast(Trial, trial)


def _known_trial(trial: Trial) -> KnownTrial:
    job: TrainJob = trial.config["job"]
    return KnownTrial(job.id, str(job.folder))
