"""What a search costs beside training: the way from one trial to the next in a warm slot, a fresh group, memory.

Two real searches with the tiny backbone, each on a Ray of its own, as `gazetune search` starts it: many short trials,
then a few long ones. The workers note when their steps began and ended (`tests.bench.search_worker`).
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import psutil
import yaml
from optuna.trial import FrozenTrial, TrialState

from gazetune.cli.main import main as gazetune
from gazetune.search.study.storage import own_study_url
from gazetune.trials import slot_pool
from tests.bench.search_worker import Stamp, stamping_loop, stamps, use

EARLY, LATE = 5, 50
"""Trials after which resident memory is compared."""
LOOK_SECONDS = 0.2
"""How often the driver's memory is looked at."""
PAIRS = {"short": 200, "long": 3000}


@dataclass
class Measured:
    """One search that ended."""

    name: str
    folder: Path
    began: float
    """When the command was called; like every time here in seconds since the epoch."""
    slots_began: float
    """When it began to start its slots."""
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Bytes of the driver, and when."""

    @property
    def trials(self) -> list[FrozenTrial]:
        """The study's trials by number."""
        study = optuna.load_study(study_name=self.name, storage=own_study_url(self.folder))
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def stamps(self) -> list[list[Stamp]]:
        """Return the stamp of each rank of each trial, in the order in which the slot trained them."""
        found = [stamps(self.folder / "trials" / f"{trial.number:04d}") for trial in self.trials]
        return sorted(found, key=lambda ranks: ranks[0].first_step)

    def resident(self, at: float) -> int:
        """Return the bytes of the driver when they were looked at last before that time."""
        return next(size for when, size in reversed(self.memory) if when <= at)


def measure(storage: Path, trials: int, long_trials: int, minutes: float) -> dict[str, Any]:
    """Run both searches and return the figures; the second one only where `long_trials` is above 0."""
    use(stamping_loop)
    short = run_search(storage, space("short", trials, epochs=1.0, kinds=["none", "concat", "add"]))
    found = handover(short) | growth(short)
    fresh = [fresh_group(short)]
    if long_trials:
        # Trials with gaze alone, so that all take about as long.
        rate = seconds_per_example(short)
        epochs = max(0.1, 60 * minutes / (rate * 0.7 * PAIRS["long"]))
        long = run_search(storage, space("long", long_trials, epochs, kinds=["add"]))
        found |= overhead(long)
        fresh.append(fresh_group(long))
    return {
        "handover_seconds": found.pop("handover_seconds"),
        "fresh_group_seconds": round(statistics.median(fresh), 2),
        "overhead_share": found.pop("overhead_share", None),
        "rss_growth": found.pop("rss_growth"),
        "slots": {"fresh_groups_seconds": [round(each, 2) for each in fresh], **found},
    }


def space(name: str, trials: int, epochs: float, kinds: list[str]) -> dict[str, Any]:
    """Return a space of trials that use their full budget, one after another in one slot of two workers."""
    return {
        "name": name,
        "base": {
            "data": {"source": "planted", "pairs": PAIRS[name], "seed": 0},
            "backbone": "tiny",
            "gaze": {"predictor": "planted"},
            "train": {"epochs": round(epochs, 3), "batch_size": 32},
        },
        "space": {
            "optim.learning_rate": {"log_uniform": [1e-4, 1e-2]},
            "fusion.kind": {"choice": kinds},
        },
        "search": {"confirm": None, "trials": trials, "sampler": "random", "scheduler": "none", "seed": 0},
        "resources": {"workers": 2, "cpus_per_worker": 1, "gpus_per_worker": 0},
    }


def run_search(storage: Path, tree: Mapping[str, Any]) -> Measured:
    """Run `gazetune search` in this process, so that its memory is the driver's.

    Raises
    ------
    SystemExit
        When the search does not end with 0.
    """
    file = storage / f"{tree['name']}.yaml"
    file.write_text(yaml.safe_dump(dict(tree), sort_keys=False))
    made = Measured(tree["name"], storage / tree["name"], time.time(), 0.0)
    started, begin = slot_pool.SlotPool.__init__, time.time

    def stamped(self: slot_pool.SlotPool, *arguments: Any, **named: Any) -> None:
        made.slots_began = begin()
        started(self, *arguments, **named)

    ended = threading.Event()

    def watch() -> None:
        process = psutil.Process()
        while not ended.wait(LOOK_SECONDS):
            made.memory.append((time.time(), process.memory_info().rss))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    slot_pool.SlotPool.__init__ = stamped  # type: ignore[method-assign]
    try:
        code = gazetune(["search", str(file), "--storage", str(storage), "--json"])
    finally:
        slot_pool.SlotPool.__init__ = started  # type: ignore[method-assign]
        ended.set()
        watcher.join()
    if code:
        raise SystemExit(f"search '{made.name}' ended with {code}")
    print(f"search '{made.name}' took {time.time() - made.began:.0f} s", file=sys.stderr, flush=True)
    return made


def handover(made: Measured) -> dict[str, Any]:
    """Return how long it took from one trial's last step to the next one's first, on rank 0.

    The evaluation after the last step, the saved model and the report lie in between.
    """
    trained = [ranks[0] for ranks in made.stamps()]
    gaps = [later.first_step - earlier.last_step for earlier, later in pairwise(trained)]
    cuts = statistics.quantiles(gaps, n=10)
    parts = {
        "evaluation_checkpoint_and_report": [each.closed - each.last_step for each in trained],
        "driver_and_next_job": [later.opened - earlier.closed for earlier, later in pairwise(trained)],
        "model_and_engine": [each.first_step - each.opened for each in trained],
    }
    return {
        "handover_seconds": round(statistics.median(gaps), 3),
        "handovers": len(gaps),
        "handover_parts_seconds": {name: round(statistics.median(each), 3) for name, each in parts.items()},
        "handover_tenth_and_ninetieth_percentile": [round(cuts[0], 3), round(cuts[-1], 3)],
        "seconds_of_a_short_trial": round(statistics.median(each.last_step - each.first_step for each in trained), 2),
    }


def fresh_group(made: Measured) -> float:
    """Return how long the first trial waited for its first step, from when its worker group was asked for."""
    return made.stamps()[0][0].first_step - made.slots_began


def seconds_per_example(made: Measured) -> float:
    """Return the training time of one pair, median over the short trials with gaze beside the text."""
    added = [trial.number for trial in made.trials if trial.user_attrs["record"]["params"]["fusion.kind"] == "add"]
    runs = [stamps(made.folder / "trials" / f"{number:04d}")[0] for number in added]
    return statistics.median((run.last_step - run.first_step) / run.examples for run in runs)


def growth(made: Measured) -> dict[str, Any]:
    """Return the largest growth of resident memory from `EARLY` trials to `LATE`, of workers and driver."""
    runs = made.stamps()
    early, late = (min(count, len(runs)) - 1 for count in (EARLY, LATE))
    sizes = {f"worker {rank}": [ranks[rank].resident for ranks in runs] for rank in range(len(runs[0]))}
    sizes["driver"] = [made.resident(ranks[0].last_step) for ranks in runs]
    ratios = {name: each[late] / each[early] for name, each in sizes.items()}
    return {
        "rss_growth": round(max(ratios.values()), 4),
        "rss_growth_of_each": {name: round(ratio, 4) for name, ratio in ratios.items()},
        "rss_compared_after_trials": [early + 1, late + 1],
        "rss_megabytes": {name: [round(size / 1e6) for size in each[::EARLY]] for name, each in sizes.items()},
    }


def overhead(made: Measured) -> dict[str, Any]:
    """Return which share of the search's time its one slot did not train.

    Training time is what trials record: their steps, evaluations and checkpoints. The search begins with the command
    and ends with its last trial; the comparison with baselines is left out.
    """
    trials = made.trials
    training = sum(trial.user_attrs["record"]["seconds"] for trial in trials)
    end = max(trial.datetime_complete.timestamp() for trial in trials)  # local time, as Optuna's `now()`
    first = made.stamps()[0][0].first_step
    return {
        "overhead_share": round(1 - training / (end - made.began), 4),
        "overhead_share_once_the_slot_is_up": round(1 - training / (end - first), 4),
        "long_trials": len(trials),
        "seconds_of_a_long_trial": round(training / len(trials), 1),
        "seconds_before_the_first_step": round(first - made.began, 1),
        "seconds_in_all": round(end - made.began, 1),
    }
