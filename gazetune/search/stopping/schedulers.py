"""Which trials go on: Tune's schedulers and the paired rung test, with rungs counted in training examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.tune.schedulers import (
    ASHAScheduler,
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from gazetune.config import SearchConfig
from gazetune.errors import InputError
from gazetune.search.stopping.paired_rungs import PairedRungs
from gazetune.search.stopping.stop_rules import StoppedByCap, StoppedByHand
from gazetune.search.study.objectives import validation_objective
from gazetune.trials.messages import TrainJob


@dataclass(frozen=True)
class Rungs:
    """Where trials are compared."""

    examples: tuple[int, ...]
    """Training examples of each rung below the full budget, rising."""
    budget: int


@dataclass(frozen=True)
class KnownTrial:
    """A trial as the study knows it, which stays the same when a search is resumed; Tune makes up ids of its own."""

    trial_id: str
    folder: str


def plan_rungs(search: SearchConfig, budget: int) -> Rungs:
    """Return the rungs of a search whose full trials see `budget` training examples.

    Raises
    ------
    InputError
        When the first rung is not below the budget.
    """
    if search.scheduler == "none":
        return Rungs((), budget)
    first = search.rungs if search.rungs is not None else _first_rung(budget, search.reduction)
    if first >= budget:
        raise InputError(f"search.rungs: {first} is not below a full trial's {budget} training examples")
    rungs = [first]
    while rungs[-1] * search.reduction < budget:
        rungs.append(rungs[-1] * search.reduction)
    return Rungs(tuple(rungs), budget)


def _first_rung(budget: int, reduction: int) -> int:
    """Return the examples of the first of two rungs; rounded up, or a third one would lie just before the end."""
    return math.ceil(budget / reduction**2)


class Stopping(FIFOScheduler):
    """The scheduler that Tune gets: rules, any of which may stop a trial. They know trials by the study's ids."""

    def __init__(self, rules: Sequence[TrialScheduler] = ()) -> None:
        super().__init__()
        self.rules: tuple[Any, ...] = tuple(rules)  # a KnownTrial has all that they ask of one of Tune's trials

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Pass a new trial on."""
        self._add(_known(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop the trial when a rule says so; every rule hears of every result."""
        known = _known(trial)
        decisions = [rule.on_trial_result(tune_controller, known, result) for rule in self.rules]
        return TrialScheduler.STOP if TrialScheduler.STOP in decisions else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Pass the last result of a trial that ended by itself on."""
        for rule in self.rules:
            rule.on_trial_complete(tune_controller, _known(trial), result)

    def add(self, rule: TrialScheduler) -> None:
        """Take in one rule more, which knows no trial yet."""
        self.rules = (*self.rules, rule)

    def remember(self, trial: KnownTrial, results: Sequence[Mapping[str, Any]]) -> None:
        """Take in what a trial reached before the search was resumed."""
        nobody: Any = None
        self._add(trial)
        for rule in self.rules:
            # Asked again, median stopping would judge by trials that came later, and assert that those it stops end.
            silent = isinstance(rule, MedianStoppingRule)
            hear: Callable[..., Any] = rule.on_trial_complete if silent else rule.on_trial_result
            for result in results:
                hear(nobody, trial, dict(result))

    def reason(self, trial_id: str) -> str | None:
        """Return why a rule stopped the trial of this id of the study, where it says."""
        telling = (rule for rule in self.rules if isinstance(rule, PairedRungs | StoppedByHand | StoppedByCap))
        told = (rule.reasons.get(trial_id) for rule in telling)
        return next((reason for reason in told if reason is not None), None)

    def _add(self, trial: KnownTrial) -> None:
        nobody: Any = None
        for rule in self.rules:
            rule.on_trial_add(nobody, trial)


class SeededHyperband(AsyncHyperBandScheduler):
    """Hyperband without pauses, whose trials keep their bracket when the search is repeated or resumed.

    A bracket s has its first rung at the search's rung s, so brackets differ in how early they stop; the last one never
    does. Tune draws a trial's bracket from numpy's global generator; here it follows from seed and trial.
    """

    def __init__(self, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._seed = seed

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Choose the trial's bracket with Tune's probabilities: the more rungs it has, the likelier."""
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])
        weights = np.exp(sizes - sizes.max())
        drawn = np.random.default_rng([self._seed, int(trial.trial_id)]).choice(len(sizes), p=weights / weights.sum())
        self._trial_info[trial.trial_id] = self._brackets[drawn]


def create_scheduler(search: SearchConfig, rungs: Rungs) -> Stopping:
    """Return the scheduler that `search.scheduler` names, for these rungs.

    `asha`: Li et al. 2020, arXiv 1810.05934. `hyperband`: Li et al. 2018, JMLR 18:1-52, its brackets run
    asynchronously as ASHA does. `median`: Golovin et al. 2017, Google Vizier. `paired`: see `paired_rungs`.
    """
    if search.scheduler == "none":
        return Stopping()
    common: dict[str, Any] = {"time_attr": "examples", "metric": "objective", "mode": "max"}
    common["grace_period"] = rungs.examples[0]
    halving = {**common, "max_t": rungs.budget, "reduction_factor": search.reduction}
    match search.scheduler:
        case "hyperband":
            return Stopping([SeededHyperband(search.seed, **halving, brackets=len(rungs.examples) + 1)])
        case "median":
            return Stopping([MedianStoppingRule(**common, **_NO_PAUSE)])
        case "asha":
            return Stopping([ASHAScheduler(**halving)])
    paired = PairedRungs(rungs.examples, rungs.budget, search.level, validation_objective(search).name)
    return Stopping([paired] if search.scheduler == "paired" else [ASHAScheduler(**halving), paired])


def check_comparable(search: SearchConfig, fingerprints: Sequence[str]) -> None:
    """Refuse the paired rung test when trials may have different preference pairs.

    Raises
    ------
    InputError
        When the prepared data sets, given by the fingerprints of their pairs, are not all the same.
    """
    different = len(set(fingerprints))
    if search.scheduler in ("paired", "asha_paired") and different > 1:
        raise InputError(
            f"search.scheduler: {search.scheduler} compares trials on the same validation pairs, and the axes of this "
            f"space lead to {different} different data sets; accepted: asha, hyperband, median, none"
        )


_NO_PAUSE: dict[str, Any] = {"min_time_slice": float("inf")}
"""Median stopping pauses a trial with too few others to be compared with, and a feeder cannot be paused."""


def milestones(rungs: Rungs) -> Sequence[int]:
    """Return the training examples at which every trial is evaluated, the end among them."""
    return (*rungs.examples, rungs.budget)


def _known(trial: Any) -> KnownTrial:
    job: TrainJob = trial.config["job"]
    return KnownTrial(job.id, str(job.folder))
