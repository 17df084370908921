"""Which candidate is chosen: the one that is right most often over every pair outside test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gazetune.evaluate.margins import Margins
from gazetune.evaluate.statistics import paired_difference
from gazetune.report.document import CandidateRecord, TrialRecord


def pool_folds(folds: Sequence[Margins]) -> Margins:
    """Return the validation margins of all folds of a candidate together, in the order of the pairs' keys."""
    items = np.concatenate([fold.items for fold in folds])
    order = np.argsort(items, kind="stable")
    return Margins(
        items[order],
        np.concatenate([fold.groups for fold in folds])[order],
        np.concatenate([fold.rewards for fold in folds])[order],
        np.concatenate([fold.words for fold in folds])[order],
    )


def choose_candidate(
    trials: Sequence[TrialRecord], pooled: Mapping[str, Margins]
) -> tuple[str | None, tuple[CandidateRecord, ...]]:
    """Return the id of the chosen candidate, and what each reached; ties go to the better rank in the search.

    Parameters
    ----------
    trials
        The candidates in the order of their rank in the search.
    pooled
        What `pool_folds` made, by trial id, of each candidate all of whose trainings reached their end. One that cannot
        be trained on some fold is not chosen.

    Returns
    -------
    The id, None where no candidate is whole; and a record of each.

    Raises
    ------
    ValueError
        When two candidates were scored on other pairs.
    """
    whole = [trial.id for trial in trials if trial.id in pooled]
    if not whole:
        return None, tuple(_record(trial, None, None) for trial in trials)
    first = pooled[whole[0]]
    for other in whole[1:]:
        if not np.array_equal(pooled[other].items, first.items):
            raise ValueError(f"trials {whole[0]} and {other} were scored on other pairs outside test")
    # `max` keeps the first on ties.
    chosen = max(whole, key=lambda trial_id: float(pooled[trial_id].correctness.mean()))
    return chosen, tuple(
        _record(trial, pooled.get(trial.id), None if trial.id == chosen else pooled[chosen]) for trial in trials
    )


def _record(trial: TrialRecord, own: Margins | None, chosen: Margins | None) -> CandidateRecord:
    """Return the record of a candidate; `chosen` are the margins of the one that was chosen instead."""
    searched = float(trial.val_accuracy or 0.0)
    if own is None:
        return CandidateRecord(trial.id, trial.params, searched, None, 0)
    accuracy = float(own.correctness.mean())
    if chosen is None:
        return CandidateRecord(trial.id, trial.params, searched, accuracy, len(own))
    found = paired_difference(chosen.correctness, own.correctness, groups=own.groups)
    ends = (found.low, found.high)
    return CandidateRecord(trial.id, trial.params, searched, accuracy, len(own), found.difference, ends)
