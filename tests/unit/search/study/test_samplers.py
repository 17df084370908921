"""Samplers on real studies: what they take, that a seed repeats them, and that a killed search goes on the same."""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from gazetune.config.keys import accepted_values
from gazetune.errors import InputError
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study import samplers
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.samplers import SAMPLERS, SamplerFactory, check_sampler
from gazetune.search.study.samplers.nsga2 import generation_size
from gazetune.search.study.samplers.registry import sampler
from tests.unit.search.markdown_tables import table_rows

NUMBERS = "{optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, optim.weight_decay: {uniform: [0.0, 0.3]}}"
MIXED = """{optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, fusion.kind: {choice: [none, add]},
  gaze.features: {subsets: [FFD, TRT], when: fusion.kind != none}}"""
FINITE = """{train.batch_size: {int: [8, 9]}, fusion.kind: {choice: [none, add]},
  gaze.features: {subsets: [FFD, TRT], when: fusion.kind != none}}"""
SPACES = {"tpe": MIXED, "cmaes": NUMBERS, "nsga2": MIXED, "random": MIXED, "qmc": NUMBERS, "grid": FINITE}

DOCS = Path(__file__).parents[4] / "docs" / "search.md"

ReadSpace = Callable[..., SearchSpace]


@pytest.fixture
def read(tmp_path: Path) -> ReadSpace:
    def make(axes: str, sampler: str, trials: int = 8) -> SearchSpace:
        objective = "[val/accuracy, train_seconds]" if sampler == "nsga2" else "val/accuracy"
        text = f"""
            name: drawn
            base: {{gaze: {{predictor: planted}}}}
            space: {" ".join(axes.split())}
            search: {{trials: {trials}, sampler: {sampler}, scheduler: none, objective: {objective}, seed: 5}}
        """
        (tmp_path / "space.yaml").write_text(textwrap.dedent(text))
        return read_space(tmp_path / "space.yaml")

    return make


def value_of(params: dict[str, Any], several: bool) -> float | list[float]:
    """An objective that depends on nothing but the parameters."""
    quality = -abs(params.get("optim.learning_rate", 1e-3) - 2e-3) + 0.001 * (params.get("fusion.kind") == "add")
    return [quality, params.get("optim.weight_decay", 0.1)] if several else quality


def serial(space: SearchSpace, storage: InMemoryStorage, trials: int) -> list[dict[str, Any]]:
    """Run trials one after another, in a study that is opened anew, and return the parameters of all there are."""
    several = not isinstance(space.config.search.objective, str)
    study = optuna.create_study(
        study_name="drawn",
        storage=storage,
        load_if_exists=True,
        directions=["maximize", "minimize"] if several else ["maximize"],
    )
    samplers = SamplerFactory(space, parallel=False)
    for _ in range(trials):
        study.sampler = samplers.make_sampler(len(study.get_trials(deepcopy=False)))
        trial = study.ask()
        params = propose_values(trial, space)
        study.tell(trial, value_of(params, several))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("sampler", SPACES)
def test_a_serial_search_repeats_exactly_even_when_it_was_interrupted(sampler: str, read: ReadSpace) -> None:
    space, trials = read(SPACES[sampler], sampler), 8 if sampler == "grid" else 14
    whole = serial(space, InMemoryStorage(), trials)
    parts = InMemoryStorage()
    serial(space, parts, trials - 3)
    assert serial(space, parts, 3) == whole
    assert len({tuple(sorted(params.items())) for params in whole}) > 5


@pytest.mark.parametrize("sampler", SPACES)
def test_another_seed_proposes_other_trials(sampler: str, read: ReadSpace) -> None:
    space = read(SPACES[sampler], sampler)
    first = serial(space, InMemoryStorage(), 4)
    space.base["search"]["seed"] = 6
    assert serial(space, InMemoryStorage(), 4) != first


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_random_and_grid_propose_the_same_trials_however_many_run(sampler: str, read: ReadSpace) -> None:
    space = read(SPACES[sampler], sampler)
    proposed = []
    for at_once in (1, 4):
        study, samplers = optuna.create_study(direction="maximize"), SamplerFactory(space, parallel=at_once > 1)
        for begun in range(0, 8, at_once):
            running = []
            for number in range(begun, begun + at_once):
                study.sampler = samplers.make_sampler(number)
                running.append(study.ask())
                propose_values(running[-1], space)
            for trial in reversed(running):
                study.tell(trial, 0.0)
        proposed.append([trial.params for trial in study.trials])
    assert proposed[0] == proposed[1]


def test_a_grid_goes_through_every_point_once_and_past_trials_that_were_given(read: ReadSpace) -> None:
    space = read(FINITE, "grid")
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial({"train.batch_size": 9, "fusion.kind": "none"})
    samplers = SamplerFactory(space, parallel=False)
    for _ in range(8):
        study.sampler = samplers.make_sampler(len(study.trials))
        propose_values(study.ask(), space)
    seen = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(set(seen)) == len(seen) == 8


def test_more_trials_than_the_grid_has_points_are_refused(read: ReadSpace) -> None:
    check_sampler(read(FINITE, "grid", 8))
    with pytest.raises(InputError, match=r"space.yaml: search.trials: 9 are more than the 8 points of the grid"):
        check_sampler(read(FINITE, "grid", 9))


def test_a_grid_over_a_range_is_refused(read: ReadSpace) -> None:
    with pytest.raises(InputError, match=r"grid takes choice, int and subsets and optim.learning_rate is a range"):
        check_sampler(read(MIXED, "grid"))


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        (FINITE, "fusion.kind is none"),
        (NUMBERS.replace("0.3]", "0.3], when: fusion.kind == add"), "optim.weight_decay has a condition"),
        ("{optim.weight_decay: {uniform: [0.0, 0.3]}}", "needs at least two axes"),
    ],
)
def test_cmaes_names_the_axis_that_is_in_the_way(axes: str, told: str, read: ReadSpace) -> None:
    with pytest.raises(InputError, match=told):
        check_sampler(read(axes, "cmaes"))


@pytest.mark.parametrize(
    ("sampler", "axes", "told"),
    [
        (
            "cmaes",
            FINITE,
            r"draws numbers \(uniform, log_uniform, int\) and fusion.kind is none; tpe, random and qmc take",
        ),
        ("grid", MIXED, "grid takes choice, int and subsets and optim.learning_rate is a range"),
    ],
)
def test_a_refusal_names_what_is_taken_and_who_takes_everything(
    sampler: str, axes: str, told: str, read: ReadSpace
) -> None:
    with pytest.raises(InputError, match=told):
        check_sampler(read(axes, sampler))


def test_every_accepted_value_is_a_registered_sampler_and_tested_here() -> None:
    assert sorted(accepted_values("search.sampler").split(", ")) == sorted(SAMPLERS)
    assert set(SPACES) == set(SAMPLERS)


def test_a_sampler_without_a_file_of_its_name_and_a_name_taken_twice_are_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SAMPLERS, "forgotten", SAMPLERS["random"])
    with pytest.raises(ImportError, match="'forgotten'"):
        importlib.reload(samplers)
    with pytest.raises(ValueError, match="two samplers are named 'random'"):
        sampler("random", summary="", source="")(SAMPLERS["random"].prepare)


def test_the_table_of_the_docs_says_what_the_records_say() -> None:
    rows = table_rows(DOCS, "sampler")
    assert set(rows) == set(SAMPLERS)
    objectives = {"one": "one objective", "several": "several objectives", "any": "one objective or several"}
    for name, (summary, takes) in rows.items():
        record = SAMPLERS[name]
        assert summary == record.summary
        assert takes.endswith(objectives[record.objectives])
        kinds = [kind for axis in record.axis_kinds for kind in axis.kind_names]
        assert takes.startswith("every space") == (not kinds)
        assert set(re.findall(r"`(\w+)`", takes)) - {"when"} == set(kinds)
        assert ("without `when`" in takes) == (not record.conditional_axes)
        assert ("at least two" in takes) == record.needs_two_axes


def test_cmaes_learns_where_the_good_values_are(read: ReadSpace) -> None:
    tried = serial(read(NUMBERS, "cmaes"), InMemoryStorage(), 60)
    errors = [abs(params["optim.learning_rate"] - 2e-3) for params in tried]
    assert sum(errors[-15:]) < 0.5 * sum(errors[:15])


def test_qmc_spreads_over_each_axis(read: ReadSpace) -> None:
    _, *tried = serial(read(NUMBERS, "qmc"), InMemoryStorage(), 9)  # the first one is drawn at random
    assert {int(8 * params["optim.weight_decay"] / 0.3) for params in tried} == set(range(8))


def test_tpe_uses_the_constant_liar_only_when_trials_run_at_once(read: ReadSpace) -> None:
    space = read(MIXED, "tpe")
    assert [SamplerFactory(space, parallel).make_sampler(0)._constant_liar for parallel in (True, False)] == [
        True,
        False,
    ]


def test_a_generation_is_a_fifth_of_the_trials_up_to_optunas_own() -> None:
    assert [generation_size(trials) for trials in (5, 100, 1000)] == [4, 20, 50]


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_proposal_warns_of_nothing(name: str, read: ReadSpace, recwarn: pytest.WarningsRecorder) -> None:
    SamplerFactory(read(SPACES[name], name), parallel=True).make_sampler(0)
    assert [str(each.message) for each in recwarn] == []
