"""How good the configuration is that a search chooses, by replaying the recorded table (`tests.bench.search_table`).

Samplers, schedulers and space are those of a real search; only the training is looked up. Trials run one at a time.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.schedulers import TrialScheduler

from gazetune.config.keys import set_key
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.stopping.combined_scheduler import CombinedScheduler
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers import create_scheduler
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.samplers import SamplerFactory
from gazetune.search.study.tried_configs import read_tried
from gazetune.train.state.rung_margins import save_margins
from gazetune.trials.messages import trial_id_of
from tests.bench.search_table import MANY, SPACE, Table, numbers

BUDGET_SHARE = 0.15
"""Share of the table's training examples that one search may use."""
SEEDS = 20
WAYS = {
    "tpe + asha_paired": {"sampler": "tpe", "scheduler": "asha_paired"},
    "random + asha": {"sampler": "random", "scheduler": "asha"},
    "tpe + none": {"sampler": "tpe", "scheduler": "none"},
}
"""The first one is what is asked for; the others stand beside it."""


@dataclass(frozen=True)
class Found:
    """What one search came to."""

    config: int
    """The configuration of the COMPLETE trial with the highest validation accuracy."""
    share: float
    """Training examples used, over those of the whole table."""
    trials: int
    """Trials that ended; the one that the budget cut off is none."""
    complete: int
    ranked: tuple[int, ...] = ()
    """The configurations of all COMPLETE trials, the best on validation first."""


class Replay:
    """The table, ready to be searched."""

    def __init__(self, table: Table, space: SearchSpace, folder: Path) -> None:
        self.table, self.space, self._folder = table, space, folder
        self._number = numbers(space)
        self.accuracy = table.right.mean(axis=2)
        """[c, r] on the validation pairs."""
        for number, evaluations in enumerate(table.right):
            for examples, right in zip(table.examples.tolist(), evaluations, strict=True):
                # The paired rung test reads margins where the worker left them, and asks for their signs alone.
                save_margins(folder / str(number), examples, np.where(right, 1.0, -1.0))

    def search(self, changed: Mapping[str, Any], budget_share: float = BUDGET_SHARE) -> Found:
        """Search with these keys of `search` changed, until the next evaluation would exceed the budget."""
        space = _with_search(self.space, {"trials": len(self.table.fresh), **changed})
        *rungs, full = self.table.examples.tolist()
        scheduler, samplers = (
            create_scheduler(space.config.search, Rungs(tuple(rungs), full)),
            SamplerFactory(space, parallel=False),
        )
        study = optuna.create_study(direction="maximize")
        tried = read_tried(study, space)
        whole = full * len(self.table.fresh)
        used, ended, complete = 0, 0, list[int]()
        while True:
            study.sampler = samplers.make_sampler(ended)
            trial = study.ask()
            number = self._number(space.trial_config(propose_values(trial, space, tried)).model_dump(mode="json"))
            examples, state = self._train(trial, number, scheduler, budget_share * whole - used)
            used += examples
            if state is None:
                # Stable: of those that reached the same, the first one that was tried.
                ranked = sorted(complete, key=lambda each: -self.accuracy[each].max())
                return Found(ranked[0], used / whole, ended, len(complete), tuple(ranked))
            ended += 1
            if state == TrialState.COMPLETE:
                complete.append(number)
            study.tell(trial, float(self.accuracy[number, -1]) if state == TrialState.COMPLETE else None, state)

    def _train(
        self, trial: optuna.Trial, number: int, scheduler: CombinedScheduler, left: float
    ) -> tuple[int, TrialState | None]:
        """Return the examples that a trial used, and how it ended; None when the budget did not last."""
        tuned = SimpleNamespace(
            config={"job": SimpleNamespace(id=trial_id_of(trial.number), folder=self._folder / str(number))}
        )
        scheduler.on_trial_add(None, tuned)
        used = 0
        for examples, accuracy in zip(self.table.examples.tolist(), self.accuracy[number].tolist(), strict=True):
            if examples > left:
                return used, None
            used = examples
            trial.report(accuracy, examples)
            result = {"examples": examples, "objective": accuracy}
            if examples == self.table.examples[-1]:
                scheduler.on_trial_complete(None, tuned, result)
            elif scheduler.on_trial_result(None, tuned, result) == TrialScheduler.STOP:
                return used, TrialState.PRUNED
        return used, TrialState.COMPLETE


def measure(seeds: int = SEEDS) -> dict[str, Any]:
    """Search the table in each of `WAYS` with each seed, and return regrets in points with what they hold for."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = Table.read()
    best, ways = float(np.nanmax(table.fresh[:, 1])), {}
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(table, read_space(SPACE), Path(folder))
        for way, keys in WAYS.items():
            ways[way] = summary([replay.search({**keys, "seed": seed}) for seed in range(seeds)], table, best)
            print(way, ways[way], file=sys.stderr, flush=True)
    drawn = {way: resampled(replay, keys, seeds, best) for way, keys in WAYS.items()}
    asked, other, unpruned = ways.values()
    return {
        "regret_budget_share": asked["largest_budget_share"],
        "regret_points": asked["regret_points"],
        "random_regret_points": other["regret_points"],
        "unpruned_regret_points": unpruned["regret_points"],
        "regret": {
            "configurations": len(table.fresh),
            "validation_pairs": table.right.shape[2],
            "evaluated_at_examples": table.examples.tolist(),
            "seeds": seeds,
            "best_accuracy": round(best, 4),
            "measured_on_all_fresh_pairs": int(np.isfinite(table.fresh[:, 1]).sum()),
            "within_1.5_points_of_the_best": int((table.fresh[:, 1] >= best - 0.015).sum()),
            "regret_points_of_the_best_on_validation": round(100 * (best - _measured(table, _first(table))), 2),
            "ways": ways,
            "validation_pairs_drawn_anew": drawn,
        },
    }


def summary(found: Sequence[Found], table: Table, best: float) -> dict[str, Any]:
    """Return medians over the searches of one way, and each one's regret.

    Raises
    ------
    SystemExit
        When one chose a configuration that was not measured on all fresh pairs.
    """
    missing = sorted({each.config for each in found if np.isnan(table.fresh[each.config, 1])})
    if missing:
        raise SystemExit(
            f"configurations {missing} were chosen and not measured on {MANY} pairs; run tests.bench.search_table with "
            f"--also {' '.join(map(str, missing))}"
        )
    regrets = [round(100 * (best - float(table.fresh[each.config, 1])), 2) for each in found]
    return {
        "regret_points": round(statistics.median(regrets), 2),
        "regret_points_of_each_seed": regrets,
        "largest_budget_share": round(max(each.share for each in found), 4),
        "trials": statistics.median(each.trials for each in found),
        "complete_trials": statistics.median(each.complete for each in found),
        "chose_the_best_on_validation": sum(each.config == _first(table) for each in found),
    }


def resampled(replay: Replay, keys: Mapping[str, Any], seeds: int, best: float) -> dict[str, float]:
    """Search once for each seed with that many of the recorded validation pairs, drawn anew with replacement.

    The table has one set of validation pairs, and by chance one configuration does best on it: searches that are good
    enough all choose that one. Here the chance differs from seed to seed. A configuration that is not measured on all
    fresh pairs counts with the `FEW` it is measured on.
    """
    table, regrets = replay.table, list[float]()
    for seed in range(seeds):
        pairs = np.random.default_rng([seed, 1]).integers(0, table.right.shape[2], table.right.shape[2])
        with tempfile.TemporaryDirectory() as folder:
            other = Replay(dataclasses.replace(table, right=table.right[:, :, pairs]), replay.space, Path(folder))
            regrets.append(100 * (best - _measured(table, other.search({**keys, "seed": seed}).config)))
    return {"regret_points": round(statistics.median(regrets), 2), "mean": round(statistics.mean(regrets), 2)}


def _first(table: Table) -> int:
    """Return the configuration with the highest validation accuracy of all evaluations."""
    return int(table.right.mean(axis=2).max(axis=1).argmax())


def _measured(table: Table, config: int) -> float:
    few, many = table.fresh[config].tolist()
    return few if np.isnan(many) else many


def _with_search(space: SearchSpace, changed: Mapping[str, Any]) -> SearchSpace:
    base = copy.deepcopy(space.base)
    for key, value in changed.items():
        set_key(base, f"search.{key}", value)
    return dataclasses.replace(space, base=base)
