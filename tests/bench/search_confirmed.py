"""The whole rule, from search over confirmation to choice, by replaying the recorded table and its folds.

A search gets what the confirmation leaves of the budget. Its best `TOP` COMPLETE trials are looked up in the folds
(`tests.bench.search_folds`), and the package's own function chooses between them.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from gazetune.config import ConfirmConfig
from gazetune.evaluate.margins import Margins
from gazetune.report.document import TrialRecord
from gazetune.search.confirmation.choice import choose_candidate
from gazetune.search.space.space_file import read_space
from tests.bench.search_folds import FoldTable
from tests.bench.search_regret import BUDGET_SHARE, SEEDS, WAYS, Replay
from tests.bench.search_table import MANY, SPACE, Table

TOP = ConfirmConfig().top


class ConfirmedReplay:
    """The folds, ready to confirm what searches of `replay` find."""

    def __init__(self, replay: Replay, folds: FoldTable, drawn: NDArray[np.int64] | None = None) -> None:
        """`drawn` [p] are pairs outside test, by their place in the folds, that count in place of the recorded ones."""
        self._replay, self._drawn = replay, np.arange(folds.right.shape[1]) if drawn is None else drawn
        self._right = dict(zip(folds.configs.tolist(), folds.right, strict=True))
        self._cost = folds.examples

    def confirmation_share(self, top: int = TOP) -> float:
        """Return the training examples of a confirmation over those of the whole table."""
        table = self._replay.table
        return top * self._cost / (int(table.examples[-1]) * len(table.fresh))

    def choose(self, ranked: Sequence[int], top: int = TOP) -> int:
        """Return the configuration that a confirmation of the best `top` chooses.

        Raises
        ------
        SystemExit
            When one of them was not trained on the folds.
        """
        candidates = ranked[:top]
        if missing := sorted(set(candidates) - set(self._right)):
            raise SystemExit(
                f"configurations {missing} are to be confirmed and have no folds; run tests.bench.search_folds with "
                f"--also {' '.join(map(str, missing))}"
            )
        trials = [TrialRecord(str(each), "COMPLETE", {}, 0, None, 0.0, None) for each in candidates]
        chosen, _ = choose_candidate(trials, {str(each): self._margins(each) for each in candidates})
        assert chosen is not None
        return int(chosen)

    def _margins(self, config: int) -> Margins:
        right = self._right[config][self._drawn]
        items = np.array([f"{at:06d}" for at in range(len(right))])
        rewards = np.stack([np.where(right, 1.0, -1.0), np.zeros(len(right))], axis=1)
        return Margins(items, items, rewards, np.zeros((len(right), 2), dtype=np.int32))


def one_rung(replay: Replay, seed: int, budget_share: float, top: int) -> list[int]:
    """Return the best of random configurations: all to the first rung, and the best `top` of them to the end.

    As many configurations are begun as the budget allows.
    """
    first, full = int(replay.table.examples[0]), int(replay.table.examples[-1])
    budget = budget_share * full * len(replay.table.fresh)
    begun = min(int((budget - top * (full - first)) // first), len(replay.table.fresh))
    configs = np.random.default_rng([seed, 2]).permutation(len(replay.table.fresh))[:begun]
    kept = configs[np.argsort(-replay.accuracy[configs, 0], kind="stable")][:top]
    return kept[np.argsort(-replay.accuracy[kept].max(axis=1), kind="stable")].tolist()


def measure(seeds: int = SEEDS) -> dict[str, Any]:
    """Search and confirm in each of `WAYS` with each seed, and return regrets in points."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        confirmed = measure_confirmed(Replay(Table.read(), read_space(SPACE), Path(folder)), FoldTable.read(), seeds)
    asked = next(iter(WAYS))
    return {
        "confirmed_regret_points": confirmed["ways"][asked]["regret_points"],
        "confirmed_regret_points_drawn_anew": confirmed["pairs_drawn_anew"][asked]["regret_points"],
        "confirmed_regret": confirmed,
    }


def measure_confirmed(replay: Replay, folds: FoldTable, seeds: int) -> dict[str, Any]:
    """Return regrets in points of the whole rule, on the recorded pairs and with all pairs drawn anew for each seed."""
    table, best = replay.table, float(np.nanmax(replay.table.fresh[:, 1]))
    recorded: dict[str, list[int]] = {}
    drawn: dict[str, list[int]] = {}
    for seed in range(seeds):
        for way, config in _choose_each(replay, ConfirmedReplay(replay, folds), seed).items():
            recorded.setdefault(way, []).append(config)
        with tempfile.TemporaryDirectory() as folder:
            pairs, right = _draw_pairs(folds, seed)
            other = Replay(dataclasses.replace(table, right=table.right[:, :, right]), replay.space, Path(folder))
            for way, config in _choose_each(other, ConfirmedReplay(other, folds, pairs), seed).items():
                drawn.setdefault(way, []).append(config)
    return {
        "confirmation_share": round(ConfirmedReplay(replay, folds).confirmation_share(), 4),
        "configurations_with_folds": len(folds.configs),
        "pairs_outside_test": folds.right.shape[1],
        "ways": {way: regrets_of(configs, table, best) for way, configs in recorded.items()},
        "pairs_drawn_anew": {way: regrets_of(configs, table, best) for way, configs in drawn.items()},
    }


def _choose_each(replay: Replay, confirmed: ConfirmedReplay, seed: int) -> dict[str, int]:
    """Return the choice of each way, and of one rung with random configurations."""
    left = BUDGET_SHARE - confirmed.confirmation_share()
    chosen = {way: confirmed.choose(replay.search({**keys, "seed": seed}, left).ranked) for way, keys in WAYS.items()}
    return {**chosen, "one rung, keep the top k": confirmed.choose(one_rung(replay, seed, left, TOP))}


def _draw_pairs(folds: FoldTable, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs outside test drawn with replacement, and the validation pairs among them by their place there.

    Pairs that trials train on and pairs that they are validated on are drawn each among themselves.
    """
    generator = np.random.default_rng([seed, 1])
    train, validation = (np.flatnonzero(chosen) for chosen in (folds.validation < 0, folds.validation >= 0))
    drawn = generator.choice(validation, len(validation))
    return np.concatenate([generator.choice(train, len(train)), drawn]), folds.validation[drawn]


def regrets_of(configs: Sequence[int], table: Table, best: float) -> dict[str, Any]:
    """Return the regret in points of each choice, with their median and mean.

    A configuration that is not measured on all fresh pairs counts with the few it is measured on, and is counted.
    """
    few, many = table.fresh[list(configs)].T
    regrets = 100 * (best - np.where(np.isnan(many), few, many))
    return {
        "regret_points": round(statistics.median(regrets.tolist()), 2),
        "mean": round(float(regrets.mean()), 2),
        "largest": round(float(regrets.max()), 2),
        f"not_measured_on_{MANY}": int(np.isnan(many).sum()),
    }
