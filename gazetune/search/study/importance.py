"""How much each axis of a search decides whether a trial is one of the better ones.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255), with the conditional parameters of arXiv 2601.20800, as
Optuna has them: how far the values of an axis in the better trials differ from those in all trials.

All trials count that the scheduler has judged, not the COMPLETE ones alone: those are good already, and what made them
so is the same in most of them. A trial that was stopped comes after all that went on further, as the scheduler decided,
and among those that were stopped with it by its value there. For the same reason the better trials are the better half.
A sampler that learns proposes many trials alike near the best one, and the best tenth differ by chance alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gazetune.config.section import MEASURES
from gazetune.report.document import ImportanceRecord
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.candidates import list_judged_trials
from gazetune.search.study.objectives import directions_of
from gazetune.trials.messages import StudyRecord
from gazetune.trials.objective import Direction

ENOUGH = 10
"""Judged trials, controls left out, below which nothing is said."""

_BETTER = 0.5
"""Share of the trials that are the better ones."""


def measure_importance(study: optuna.Study, space: SearchSpace) -> ImportanceRecord:
    """Return how much each searched key mattered among the trials that may win; with one objective alone."""
    directions = directions_of(space.config.search)
    if len(directions) > 1:
        return ImportanceRecord(missing="there are several objectives; the Pareto front says which trials are good")
    keys = {
        name: axis.key
        for axis in space.axes
        for value in axis.example_values()
        for name in axis.optuna_parameters(value)
    }
    trials = list_judged_trials(study, space)
    masks = [StudyRecord.read(trial).measures for trial in trials]
    return parameter_importance(trials, directions[0], keys, masks if "gaze.features" in keys.values() else ())


def parameter_importance(
    trials: Sequence[FrozenTrial],
    direction: Direction,
    keys: Mapping[str, str],
    masks: Sequence[frozenset[str] | None] = (),
) -> ImportanceRecord:
    """Return the importance of each key, and of each reading measure where masks are searched.

    Parameters
    ----------
    trials : sequence of FrozenTrial
        COMPLETE ones, and PRUNED ones with the values of their evaluations, of a search with one objective.
    direction : {"maximize", "minimize"}
        Which values of the objective are the better ones.
    keys : mapping
        Optuna's parameter name -> dotted key of its axis. The shares of several parameters of one axis are added.
    masks : sequence of frozenset, optional
        The reading measures of each trial, None where it has no gaze.
    """
    if len(trials) < ENOUGH:
        return ImportanceRecord(missing=f"that takes {ENOUGH} trials that were judged, and there are {len(trials)}")
    from optuna.importance import PedAnovaImportanceEvaluator  # takes seconds, and is needed at the end of a search

    ranked = _rank_by_progress(trials, direction)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_BETTER)
    shares = dict.fromkeys(keys.values(), 0.0)
    for name, value in evaluator.evaluate(_study_of(ranked)).items():
        shares[keys[name]] += value
    if sum(shares.values()) == 0:
        return ImportanceRecord(missing="the better half of the trials is like all of them")
    masked = _study_of(_with_measures(ranked, masks))
    by_measure = evaluator.evaluate(masked) if len(masked.trials) >= ENOUGH else {}
    return ImportanceRecord(_as_shares(shares), len(trials), by_measure=_as_shares(by_measure))


def _with_measures(ranked: Sequence[FrozenTrial], masks: Sequence[frozenset[str] | None]) -> list[FrozenTrial]:
    """Return the trials that have gaze, with a yes or no for each measure as their only parameters."""
    choice = CategoricalDistribution([False, True])
    return [
        create_trial(
            value=trial.value,
            params={name: name in mask for name in MEASURES},
            distributions=dict.fromkeys(MEASURES, choice),
        )
        for trial, mask in zip(ranked, masks, strict=False)
        if mask is not None
    ]


def _study_of(trials: Sequence[FrozenTrial]) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return study


def _rank_by_progress(trials: Sequence[FrozenTrial], direction: Direction) -> list[FrozenTrial]:
    """Return the trials with their places for values, the worst first; those that are alike share a place."""
    sign = 1 if direction == "maximize" else -1

    def progress(trial: FrozenTrial) -> tuple[bool, int, float]:
        if trial.state == TrialState.COMPLETE:
            assert trial.value is not None
            return True, 0, sign * trial.value
        last = max(trial.intermediate_values)
        return False, last, sign * trial.intermediate_values[last]

    places = {each: float(place) for place, each in enumerate(sorted(set(map(progress, trials))))}
    return [
        create_trial(value=places[progress(trial)], params=trial.params, distributions=trial.distributions)
        for trial in trials
    ]


def _as_shares(values: Mapping[str, float]) -> dict[str, float]:
    """Return values as shares of their sum, the largest first; nothing where all are 0."""
    total = sum(values.values())
    ranked = sorted(values.items(), key=lambda item: -item[1])
    return {name: value / total for name, value in ranked} if total else {}
