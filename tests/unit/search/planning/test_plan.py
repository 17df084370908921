"""The plan of a search against what the search's own parts do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.cluster.capacity import NodeResources
from gazetune.errors import InputError
from gazetune.preferences.splits import load_splits
from gazetune.search.planning.plan import SearchPlan, TrialSeconds, TrialSizes, plan_search
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space

SPACE = """
name: planned
base: {data: {source: planted, pairs: 200}, train: {batch_size: 16}}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  fusion.kind: {choice: [none, add]}
search: {confirm: off}
"""
SIZES = TrialSizes(checkpoint=3000, saved_model=1000)
NODES = [NodeResources("a", 4.0), NodeResources("b", 3.0)]


def space_of(folder: Path, *overrides: str) -> SearchSpace:
    (folder / "space.yaml").write_text(SPACE)
    return read_space(folder / "space.yaml", overrides=overrides)


def planned(folder: Path, *overrides: str) -> SearchPlan:
    return plan_search(space_of(folder, *overrides), NODES, SIZES)


def test_slots_examples_and_evaluations_are_those_of_the_search(tmp_path: Path) -> None:
    plan = planned(tmp_path, "search.trials=9", "resources.workers=3", "search.rungs=40", "search.scheduler=none")
    splits = load_splits(space_of(tmp_path).config.data)
    assert (plan.trials, plan.slots) == (9, 2)
    assert plan.pairs == (len(splits.train), len(splits.validation))
    assert (
        plan.evaluated_at == (len(splits.train),)
        and plan.without_pruning.examples == plan.with_pruning.examples == 9 * plan.evaluated_at[0]
    )
    pruned = planned(tmp_path, "search.trials=9", "search.rungs=40")
    assert pruned.evaluated_at == (48, 128, len(splits.train)), "rungs at 40 and 120, after whole steps of 16"
    assert pruned.slots == 7 and pruned.with_pruning.examples < plan.with_pruning.examples
    assert planned(tmp_path, "search.trials=2").slots == 2, "no more than trials"


def test_a_trial_that_no_node_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no node can hold one worker, which needs 5 CPUs .*: a has 4 CPUs; b has 3"):
        planned(tmp_path, "resources.cpus_per_worker=5")
    with pytest.raises(InputError, match=r"search.max_gpu_hours: 1 is never reached"):
        planned(tmp_path, "search.max_gpu_hours=1")


def test_the_disk_grows_with_what_is_kept_and_what_runs(tmp_path: Path) -> None:
    few, many = (planned(tmp_path, f"search.keep_models={count}", "search.trials=20") for count in (2, 6))
    assert (few.kept_models, many.kept_models) == (3, 7), "the best run without gaze beside them"
    assert many.peak_disk - few.peak_disk == 4 * SIZES.saved_model
    wide = planned(tmp_path, "search.keep_models=2", "search.trials=20", "resources.workers=7")
    assert wide.slots == 1 and few.peak_disk - wide.peak_disk == 6 * (2 * 3000 + 1000) - 1000, "or the baselines' model"
    assert planned(tmp_path, "search.trials=3").kept_models == 3
    several = planned(tmp_path, "search.objective=[val/accuracy, train_seconds]", "search.scheduler=none")
    assert several.kept_models == several.trials, "all may be on the Pareto front"


def test_hours_are_those_of_examples_evaluations_and_saves(tmp_path: Path) -> None:
    plan = planned(tmp_path, "search.scheduler=none", "search.trials=10")
    train, validation = plan.pairs
    assert plan.trial_hours(TrialSeconds(per_example=3.6)) == pytest.approx(10 * train / 1000)
    assert plan.trial_hours(TrialSeconds(3.6, per_evaluated_pair=36.0)) == pytest.approx(
        10 * train / 1000 + validation / 10
    )
    assert plan.trial_hours(TrialSeconds(3.6, per_save=36.0)) == pytest.approx(10 * train / 1000 + 0.1)
    assert plan.baseline_hours(TrialSeconds(3.6)) == pytest.approx(2 * train / 1000)


def test_a_confirmation_is_in_the_plan(tmp_path: Path) -> None:
    off, full = (planned(tmp_path, "search.trials=20", f"search.confirm={value}") for value in ("off", "full"))
    assert (off.confirmation, full.confirmation) == (None, (12, 12))
    train, _ = full.pairs
    assert (full.baseline_hours(TrialSeconds(3.6)), off.confirmation_hours(TrialSeconds(3.6))) == (0.0, 0.0)
    assert full.confirmation_hours(TrialSeconds(3.6)) == pytest.approx(24 * train / 1000)
    assert (full.slots, full.confirmation_rounds) == (7, 2 + 2), "12 trainings in 7 slots, twice"
    assert full.peak_disk > off.peak_disk
    alone = planned(tmp_path, "search.trials=1", "search.confirm=quick")
    assert alone.confirmation == (0, 6) and alone.confirmation_rounds == 6


def searching_workers(folder: Path, choices: str) -> SearchSpace:
    axis = f"  resources.workers: {{choice: {choices}}}\nsearch:"
    (folder / "space.yaml").write_text(SPACE.replace("search:", axis))
    return read_space(folder / "space.yaml", overrides=["search.trials=20"])


def test_where_trials_need_different_resources_the_plan_is_for_those_that_need_the_most(tmp_path: Path) -> None:
    plan = plan_search(searching_workers(tmp_path, "[1, 3]"), NODES, SIZES)
    assert {shape.workers: slots for shape, slots in plan.shapes.items()} == {1: 7, 3: 2}
    assert (plan.largest_shape.workers, plan.slots) == (3, 2)
    narrow = planned(tmp_path, "search.trials=20", "resources.workers=1")
    assert plan.peak_disk == narrow.peak_disk, "so many may run at a time"
    with pytest.raises(InputError, match="one trial needs 9 workers"):
        plan_search(searching_workers(tmp_path, "[1, 9]"), NODES, SIZES)
