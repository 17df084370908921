"""How much each axis of a search decides whether a trial is among the best ones.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255), with the conditional parameters of arXiv 2601.20800, as
Optuna has them: how far the values of an axis in the best trials differ from those in all trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial

from gazetune.report.document import ImportanceRecord
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.candidates import list_candidates
from gazetune.search.study.objectives import directions_of
from gazetune.trials.objective import Direction

ENOUGH = 10
"""COMPLETE trials, controls left out, below which nothing is said."""

_BEST = 5
"""Trials that stand for the best ones, or a tenth of all where that is more; fewer say little about an axis."""


def measure_importance(study: optuna.Study, space: SearchSpace) -> ImportanceRecord:
    """Return how much each searched key mattered among the COMPLETE trials that may win; with one objective alone."""
    directions = directions_of(space.config.search)
    if len(directions) > 1:
        return ImportanceRecord(missing="there are several objectives; the Pareto front says which trials are good")
    keys = {
        name: axis.key
        for axis in space.axes
        for value in axis.example_values()
        for name in axis.optuna_parameters(value)
    }
    return parameter_importance(list_candidates(study, space), directions[0], keys)


def parameter_importance(
    trials: Sequence[FrozenTrial], direction: Direction, keys: Mapping[str, str]
) -> ImportanceRecord:
    """Return the importance of each key over trials that were trained equally far.

    Parameters
    ----------
    trials : sequence of FrozenTrial
        The COMPLETE trials of a search with one objective. Those that were stopped have values of shorter training, and
        a parameter would seem important for when its trials were stopped.
    direction : {"maximize", "minimize"}
        Which values of the objective are the better ones.
    keys : mapping
        Optuna's parameter name -> dotted key of its axis. The shares of several parameters of one axis are added.
    """
    if len(trials) < ENOUGH:
        return ImportanceRecord(missing=f"that takes {ENOUGH} COMPLETE trials, and there are {len(trials)}")
    from optuna.importance import PedAnovaImportanceEvaluator  # takes seconds, and is needed at the end of a search

    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _BEST / len(trials)))
    shares = dict.fromkeys(keys.values(), 0.0)
    for name, value in evaluator.evaluate(study).items():
        shares[keys[name]] += value
    total = sum(shares.values())
    if total == 0:
        return ImportanceRecord(missing="the best COMPLETE trials are like all others")
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return ImportanceRecord({key: value / total for key, value in ranked}, len(trials))
