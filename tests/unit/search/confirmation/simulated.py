"""Searches in closed form: who is right on which pair is drawn, and nothing is trained.

A model with accuracy p on pairs is right on a pair when a latent value is below the p-quantile of the standard normal
distribution: half of its variance is the pair's own, as pairs are easy or hard for every model, the rest is the run's.
Two models of 75 % then differ on a quarter of the pairs. From there on the functions are those of a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from gazetune.config import ConfirmConfig
from gazetune.evaluate.margins import Margins
from gazetune.report.document import BestRecord, ConfirmationRecord, SearchDocument, TrialRecord
from gazetune.report.wording import state_verdict
from gazetune.search.baselines import best_trial, best_trial_without_gaze
from gazetune.search.confirmation.arms import CONTROL, OWN_CONFIG, SEARCHED, WINNER, ScoredRun, compare_arms
from gazetune.search.confirmation.choice import choose_candidate, pool_folds

NORMAL = NormalDist()


class Pairs:
    """Pairs of one split, each with its own difficulty."""

    def __init__(self, rng: np.random.Generator, count: int) -> None:
        self._rng, self._own = rng, rng.normal(size=count)
        self.items = np.array([f"{number:06d}" for number in range(count)])
        self._words = np.tile(np.array([[1, 2], [2, 1]], dtype=np.int32), (count // 2 + 1, 1))[:count]

    def score(self, accuracy: float, chosen: slice = slice(None)) -> Margins:
        """Return what a fresh run of this accuracy gives to some of the pairs."""
        own = self._own[chosen]
        latent = np.sqrt(0.5) * (own + self._rng.normal(size=len(own)))
        margins = np.where(latent < NORMAL.inv_cdf(accuracy), 1.0, -1.0)
        rewards = np.stack([margins, np.zeros(len(own))], axis=1)
        return Margins(self.items[chosen], self.items[chosen], rewards, self._words[chosen])


def simulate_search(
    seed: int,
    gain: float,
    settings: ConfirmConfig,
    trials: int = 30,
    validation: int = 450,
    outside: int = 2500,
    test: int = 500,
) -> SearchDocument:
    """Return what the document says of a search whose gaze gives a gain, in accuracy, at every configuration.

    Configurations differ: their accuracies without gaze are normal, of mean 0.74 and standard deviation 0.015. Two of
    three trials have gaze.
    """
    rng = np.random.default_rng(seed)
    pairs = {"validation": Pairs(rng, validation), "outside": Pairs(rng, outside), "test": Pairs(rng, test)}
    base = rng.normal(0.74, 0.015, trials)
    has_gaze = np.arange(trials) % 3 != 0
    truth = base + gain * has_gaze
    records = [
        TrialRecord(
            f"{number:04d}",
            "COMPLETE",
            {"fusion.kind": "add" if has_gaze[number] else "none", "gaze.features": ["FFD"]},
            100,
            float(pairs["validation"].score(truth[number]).correctness.mean()),
            1.0,
            None,
        )
        for number in range(trials)
    ]
    candidates = sorted(records, key=lambda trial: -(trial.val_accuracy or 0.0))[: settings.top]
    pooled = {trial.id: _train_on_folds(pairs["outside"], truth[int(trial.id)], settings) for trial in candidates}
    chosen_id, told = choose_candidate(candidates, pooled)
    chosen = records[int(chosen_id or 0)]
    searched, without = best_trial(records), best_trial_without_gaze(records)
    assert searched is not None and without is not None
    accuracies = {WINNER: truth[int(chosen.id)]}
    if chosen.params["fusion.kind"] != "none":
        without_gaze = base[int(chosen.id)]
        accuracies |= {OWN_CONFIG: without_gaze, **{CONTROL + name: without_gaze for name in settings.controls}}
    if without.id != chosen.id:
        accuracies[SEARCHED] = truth[int(without.id)]
    found = compare_arms({name: _train_arm(pairs, accuracy, settings) for name, accuracy in accuracies.items()})
    return SearchDocument(
        name="simulated",
        storage="",
        tracking_uri="",
        mlflow_parent_run="",
        trials=tuple(records),
        best=BestRecord(chosen.id, chosen.params, found.kept.val_accuracy, found.records[WINNER].test),
        baselines={"no_gaze": found.no_gaze, "shorter": found.shorter},
        report="",
        confirmation=replace(ConfirmationRecord(None, candidates=told), arms=found.records),
    )


def claims_gain(document: SearchDocument) -> bool:
    """Tell whether the verdict says that gaze helps."""
    return state_verdict(document).startswith("Gaze helps")


def _train_on_folds(pairs: Pairs, accuracy: float, settings: ConfirmConfig) -> Margins:
    edges = np.linspace(0, len(pairs.items), settings.folds + 1).astype(int)
    return pool_folds([pairs.score(accuracy, slice(*ends)) for ends in pairwise(edges)])


def _train_arm(pairs: dict[str, Pairs], accuracy: float, settings: ConfirmConfig) -> Sequence[ScoredRun]:
    return [
        ScoredRun(
            seed,
            f"run-{seed}",
            float(pairs["validation"].score(accuracy).correctness.mean()),
            pairs["test"].score(accuracy),
        )
        for seed in range(settings.seeds)
    ]
