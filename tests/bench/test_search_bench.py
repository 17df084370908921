"""The parts of the search bench: the recorded table and its replay in the usual run, real searches with `-m bench`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
from tests.bench.search import FIGURES
from tests.bench.search_regret import Found, Replay, summary
from tests.bench.search_table import SPACE, Recording, Table, configurations, fresh_pairs, numbers

ROOT = Path(__file__).parents[2]
EXAMPLES = np.array([60, 180, 540])


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return read_space(SPACE)


def table_of(accuracy: np.ndarray, pairs: int = 400) -> Table:
    """Make a table in which each configuration orders this share of its pairs rightly at every evaluation."""
    right = np.arange(pairs) < np.round(accuracy * pairs)[:, None]
    return Table(EXAMPLES, np.repeat(right[:, None], 3, axis=1), np.stack([accuracy, accuracy], axis=1))


def bench(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.search", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_configuration_has_a_place_of_its_own(space: SearchSpace) -> None:
    points, number = configurations(space), numbers(space)
    trees = [space.trial_config(params).model_dump(mode="json") for params in points]
    assert [number(tree) for tree in trees] == list(range(315))


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    written = Table(EXAMPLES, generator.random((4, 3, 13)) < 0.5, generator.random((4, 2)))
    written.write(tmp_path / "table.npz")
    read = Table.read(tmp_path / "table.npz")
    assert np.array_equal(read.right, written.right)
    assert np.array_equal(read.fresh, written.fresh)
    assert np.array_equal(read.examples, written.examples)


def test_the_recorded_table_has_every_configuration_and_its_best_ones_measured_on_all_pairs() -> None:
    table = Table.read()
    assert table.right.shape[0] == len(table.fresh) == 315
    assert (np.diff(table.examples) > 0).all()
    assert np.isfinite(table.fresh[:, 0]).all()
    measured = np.isfinite(table.fresh[:, 1])
    # More data at the end than at the first rung: what was recorded is learning.
    final = table.right[measured].mean(axis=(0, 2))
    assert final[-1] > final[0] + 0.03


def test_a_replayed_search_keeps_to_its_budget_and_stops_trials(space: SearchSpace, tmp_path: Path) -> None:
    replay = Replay(table_of(np.linspace(0.5, 0.9, 315)), space, tmp_path)
    stopping = replay.search({"sampler": "random", "scheduler": "asha", "seed": 0}, 0.1)
    unpruned = replay.search({"sampler": "random", "scheduler": "none", "seed": 0}, 0.1)
    assert unpruned.complete == unpruned.trials == 31  # a tenth of 315 full budgets
    assert stopping.trials > 1.5 * unpruned.trials
    assert stopping.complete < stopping.trials
    assert 0.09 < stopping.share <= 0.1


def test_the_paired_rung_test_stops_in_a_replay(space: SearchSpace, tmp_path: Path) -> None:
    # All but one configuration are far worse, on the same pairs.
    accuracy = np.full(315, 0.6)
    accuracy[:200] = 0.9
    replay = Replay(table_of(accuracy), space, tmp_path)
    found = replay.search({"sampler": "random", "scheduler": "paired", "seed": 0}, 0.1)
    assert accuracy[found.config] == 0.9
    assert found.complete < found.trials


def test_regret_is_in_points_below_the_best_on_all_fresh_pairs() -> None:
    accuracy = np.array([0.80, 0.83, 0.85])
    table = table_of(accuracy)
    found = [Found(config, 0.15, 10, 5) for config in (0, 1, 1, 2)]
    assert summary(found, table, best=0.85)["regret_points_of_each_seed"] == [5.0, 2.0, 2.0, 0.0]
    assert summary(found, table, best=0.85)["regret_points"] == 2.0


def test_a_choice_that_was_not_measured_is_refused() -> None:
    table = table_of(np.array([0.80, 0.83]))
    table.fresh[0, 1] = np.nan
    with pytest.raises(SystemExit, match="--also 0"):
        summary([Found(0, 0.15, 10, 5)], table, best=0.83)


def test_the_regret_part_prints_every_figure() -> None:
    document = bench("--only", "regret", "--seeds", "2")
    assert set(FIGURES) <= set(document)
    assert document["failed"] == {}
    assert document["handover_seconds"] is None
    assert 0 < document["regret_budget_share"] <= 0.15
    assert document["regret_points"] >= 0


@pytest.mark.bench
def test_a_configuration_trained_again_has_the_recorded_curve(tmp_path: Path) -> None:
    recording, table = Recording(tmp_path), Table.read()
    number = int(np.nanargmax(table.fresh[:, 1]))
    worker = join_worker_group()
    recording.record(number, worker, fresh_pairs(recording.space.config, recording.data, 100))
    leave_worker_group()
    right = recording.right(number)
    assert right.shape == table.right[number].shape
    # Other processors add up in another order.
    assert (right == table.right[number]).mean() > 0.98


@pytest.mark.bench
def test_the_parts_with_ray_measure_their_figures() -> None:
    sizes = ("--short-trials", "7", "--trials", "2", "--minutes", "0.1", "--study-trials", "90")
    document = bench("--only", "handover,study", *sizes)
    assert document["failed"] == {}
    measured = {name for name in FIGURES if document[name] is not None}
    assert measured == {name for name in FIGURES if "regret" not in name}
    assert 0 < document["handover_seconds"] < document["fresh_group_seconds"]
    assert document["study"]["trials"] >= 90
