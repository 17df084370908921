"""No configuration is proposed twice while there is one that no trial of the search has."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.samplers import SamplerFactory
from gazetune.search.study.seeding import seed_study
from gazetune.search.study.tried_configs import read_tried

SMALL = """{train.batch_size: {int: [8, 11]}, fusion.kind: {choice: [none, add]},
  gaze.features: {subsets: [FFD, TRT], when: fusion.kind != none}}"""
"""16 combinations."""
COUNTED = "{train.batch_size: {int: [1, 4]}, adapter.r: {int: [1, 4]}}"
"""16 combinations that CMA-ES takes."""
LARGE = """{train.batch_size: {int: [1, 30]}, adapter.r: {int: [1, 8]}, fusion.kind: {choice: [none, add]},
  gaze.features: {subsets: [FFD, GPT, TRT], when: fusion.kind != none}}"""
REAL = "{optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, fusion.kind: {choice: [none, add]}}"
SAMPLERS = {"tpe": SMALL, "random": SMALL, "qmc": SMALL, "nsga2": SMALL, "grid": SMALL, "cmaes": COUNTED}

ReadSpace = Callable[..., SearchSpace]


@pytest.fixture
def read(tmp_path: Path) -> ReadSpace:
    def make(axes: str, sampler: str = "random", more: str = "", trials: int = 16) -> SearchSpace:
        objective = "[val/accuracy, train_seconds]" if sampler == "nsga2" else "val/accuracy"
        text = f"""
            name: tried
            base: {{gaze: {{predictor: planted}}}}
            space: {" ".join(axes.split())}
            search: {{trials: {trials}, sampler: {sampler}, scheduler: none, objective: {objective}, seed: 5}}
        """
        (tmp_path / "space.yaml").write_text(textwrap.dedent(text) + more)
        return read_space(tmp_path / "space.yaml")

    return make


def value_of(params: dict[str, Any], several: bool) -> float | list[float]:
    """An objective with one best combination, so that samplers that learn want it again and again."""
    quality = -abs(params["train.batch_size"] - 9) + 0.5 * (params.get("fusion.kind") == "add")
    return [quality, float(params["train.batch_size"])] if several else quality


def open_study(space: SearchSpace, storage: Any = None) -> optuna.Study:
    several = not isinstance(space.config.search.objective, str)
    return optuna.create_study(
        study_name="tried",
        storage=storage,
        load_if_exists=True,
        directions=["maximize", "minimize"] if several else ["maximize"],
    )


def serial(space: SearchSpace, trials: int, storage: Any = None, check: bool = True) -> list[FrozenTrial]:
    """Run trials one after another as a driver that starts here does, and return all that the study has."""
    study, samplers = open_study(space, storage), SamplerFactory(space, parallel=False)
    tried = read_tried(study, space) if check else None
    for _ in range(trials):
        study.sampler = samplers.make_sampler(sum(trial.state != TrialState.WAITING for trial in study.trials))
        trial = study.ask()
        propose_values(trial, space, tried)
        study.tell(trial, value_of(trial.params, len(study.directions) > 1))
    return study.trials


class WatchedSpace(SearchSpace):
    """A space that remembers which draws it was asked about."""

    @cached_property
    def looked_at(self) -> list[Mapping[str, object]]:
        return []

    def is_allowed(self, chosen: Mapping[str, object]) -> bool:
        self.looked_at.append(chosen)
        return super().is_allowed(chosen)


def combinations(trials: list[FrozenTrial]) -> list[frozenset[tuple[str, Any]]]:
    return [frozenset(trial.params.items()) for trial in trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_combination_comes_once_before_any_comes_again(sampler: str, read: ReadSpace) -> None:
    space = read(SAMPLERS[sampler], sampler)
    found = combinations(serial(space, 17))
    assert len(set(found[:16])) == 16
    assert found[16] in found[:16], "nothing is left, so a repeat is taken and the search goes on"


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2", "cmaes"])
def test_without_the_check_these_samplers_would_repeat_themselves(sampler: str, read: ReadSpace) -> None:
    assert len(set(combinations(serial(read(SAMPLERS[sampler], sampler), 16, check=False)))) < 16


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_that_was_resumed_goes_on_with_the_same_proposals(sampler: str, read: ReadSpace) -> None:
    space, parts = read(SAMPLERS[sampler], sampler), InMemoryStorage()
    whole = combinations(serial(space, 16))
    serial(space, 10, parts)
    assert combinations(serial(space, 6, parts)) == whole


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_draw_that_is_new_is_the_one_that_was_made_without_the_check(sampler: str, read: ReadSpace) -> None:
    space = read(LARGE, sampler)
    plain = combinations(serial(space, 40, check=False))
    new = list(takewhile(lambda at: plain[at] not in plain[:at], range(40)))
    assert len(new) > 12, "TPE's own draws, after 10 random ones, are among them"
    assert combinations(serial(space, len(new))) == plain[: len(new)]


def test_after_a_repeat_tpe_stays_near_what_it_wanted(read: ReadSpace) -> None:
    space = read(LARGE, "tpe")
    found = serial(space, 160)
    assert len(set(combinations(found))) == 160
    near = sum(abs(trial.params["train.batch_size"] - 9) <= 3 for trial in found[40:])
    assert near > 80, "43 to 67 of 120 with uniform draws in the place of repeats (seeds 1 to 3)"


def test_random_proposes_the_same_trials_however_many_run(read: ReadSpace) -> None:
    space, proposed = read(SMALL, "random"), []
    for at_once in (1, 4):
        study, samplers = open_study(space), SamplerFactory(space, parallel=at_once > 1)
        tried = read_tried(study, space)
        for begun in range(0, 16, at_once):
            running = []
            for number in range(begun, begun + at_once):
                study.sampler = samplers.make_sampler(number)
                running.append(study.ask())
                propose_values(running[-1], space, tried)
            for trial in reversed(running):
                study.tell(trial, 0.0)
        proposed.append(combinations(study.trials))
    assert proposed[0] == proposed[1] and len(set(proposed[0])) == 16


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING])
def test_trials_in_every_state_count(state: TrialState, read: ReadSpace) -> None:
    space = read("{fusion.kind: {choice: [none, add]}}", trials=2)
    for seed in range(8):  # some seeds draw the same first
        study = open_study(space)
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        first = study.ask()
        propose_values(first, space)
        if state != TrialState.RUNNING:
            study.tell(first, 0.5 if state == TrialState.COMPLETE else None, state=state)
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
        second = study.ask()
        propose_values(second, space, read_tried(study, space))
        assert second.params != first.params


def test_trials_of_another_search_do_not_count(read: ReadSpace) -> None:
    more = "history: [{from: 'old:0000', values: [0.9], params: {fusion.kind: add}}]\n"
    space = read("{fusion.kind: {choice: [none, add]}}", more=more, trials=2)
    study = open_study(space)
    seed_study(study, space)
    tried = read_tried(study, space)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for _ in range(2):
        propose_values(study.ask(), space, tried)
    assert {trial.params["fusion.kind"] for trial in study.trials[1:]} == {"none", "add"}


def test_a_trial_that_a_killed_driver_left_keeps_its_parameters(read: ReadSpace) -> None:
    space, study = read(SMALL), open_study(read(SMALL))
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    left, half = study.ask(), study.ask()
    params = propose_values(left, space, read_tried(study, space))
    half.suggest_int("train.batch_size", 8, 11)
    tried = read_tried(study, space)
    assert propose_values(optuna.Trial(study, left._trial_id), space, tried) == params
    propose_values(optuna.Trial(study, half._trial_id), space, tried)
    assert study.trials[1].params["train.batch_size"] == half.params["train.batch_size"]
    assert study.trials[1].params != study.trials[0].params
    # A trial that is not decided yet is no combination: the last one is still found.
    for _ in range(14):
        propose_values(study.ask(), space, tried)
    assert len(set(combinations(study.trials))) == 16


def test_what_is_tried_first_counts_before_it_begins(read: ReadSpace) -> None:
    first = "try_first: [{fusion.kind: none}, {fusion.kind: add}, {train.batch_size: 8, fusion.kind: none}]\n"
    space = read("{train.batch_size: {int: [8, 9]}, fusion.kind: {choice: [none, add]}}", more=first, trials=4)
    for seed in range(6):
        study = open_study(space)
        seed_study(study, space)
        study.sampler, tried = optuna.samplers.RandomSampler(seed=seed), read_tried(study, space)
        for _ in range(4):
            propose_values(study.ask(), space, tried)
        assert study.trials[0].params == {"train.batch_size": 9, "fusion.kind": "none"}
        assert study.trials[2].params == {"train.batch_size": 8, "fusion.kind": "none"}
        assert len(set(combinations(study.trials))) == 4


def test_nothing_is_drawn_again_in_vain(read: ReadSpace) -> None:
    space = read("{train.batch_size: {int: [8, 9]}, fusion.kind: {choice: [none, add]}}", trials=4)
    study = open_study(space)
    study.sampler, tried = optuna.samplers.RandomSampler(seed=0), read_tried(study, space)
    given = {"train.batch_size": 8, "fusion.kind": "add"}
    for _ in range(2):  # by somebody who wants to see the same twice
        study.enqueue_trial(given)
    draws: list[int] = []
    for _ in range(6):
        watched = WatchedSpace(**{each.name: getattr(space, each.name) for each in fields(space)})
        propose_values(study.ask(), watched, tried)
        draws.append(len(watched.looked_at))
    assert draws[:2] == [1, 1], "what was enqueued leaves nothing to be drawn"
    assert draws[-1] == 1, "all was tried"
    assert max(draws) < 300


def test_what_is_forbidden_is_not_left_to_be_tried(read: ReadSpace) -> None:
    space = read(SMALL, more="forbid: [fusion.kind == add and train.batch_size > 8]\n", trials=7)
    found = combinations(serial(space, 9))
    assert len(set(found[:7])) == 7 == len(set(found))


def test_where_every_trial_has_a_real_number_nothing_is_kept(read: ReadSpace) -> None:
    assert read_tried(open_study(read(REAL)), read(REAL)) is None
    some = REAL.replace("1.0e-2]", "1.0e-2], when: fusion.kind == add")
    space = read(some, trials=20)
    study = open_study(space)
    study.sampler, tried = optuna.samplers.RandomSampler(seed=0), read_tried(study, space)
    for _ in range(20):
        propose_values(study.ask(), space, tried)
    assert sum(trial.params["fusion.kind"] == "none" for trial in study.trials) == 1


def test_children_of_nsga2_that_are_like_a_parent_are_drawn_again(read: ReadSpace) -> None:
    axes = REAL.replace("}}", "}, train.batch_size: {int: [8, 9]}}")
    assert len(set(combinations(serial(read(axes, "nsga2"), 50, check=False)))) < 50
    assert len(set(combinations(serial(read(axes, "nsga2"), 50)))) == 50


def test_more_trials_than_combinations_are_said_when_a_driver_starts(
    read: ReadSpace, caplog: pytest.LogCaptureFixture
) -> None:
    space = read(SMALL, trials=16)
    read_tried(open_study(space), space)
    assert "search.trials" not in caplog.text
    space = read(SMALL, trials=17)
    read_tried(open_study(space), space)
    assert "search.trials: 17 are more than the 16 combinations of the space" in caplog.text
