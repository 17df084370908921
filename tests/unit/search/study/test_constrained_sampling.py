"""Forbidden combinations are never proposed, cost no trial, and leave the sampler's distribution as it is elsewhere."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.constrained_sampling import propose_values

SPACE = """\
name: small
base: {gaze: {predictor: planted}, fusion: {kind: none}}
space:
  train.batch_size: {choice: [8, 16, 32]}
  adapter.r: {int: [1, 4]}
  optim.learning_rate: {uniform: [0.5, 1.5]}
"""
FORBID = "forbid: [train.batch_size == 32 and adapter.r > 1, adapter.r == 2 and optim.learning_rate < 1]\n"


def space_of(tmp_path: Path, text: str) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path)


def forbidden(params: dict) -> bool:
    big = params["train.batch_size"] == 32 and params["adapter.r"] > 1
    return big or (params["adapter.r"] == 2 and params["optim.learning_rate"] < 1)


def run(space: SearchSpace, sampler: optuna.samplers.BaseSampler, count: int) -> tuple[optuna.Study, list[dict]]:
    study = optuna.create_study(sampler=sampler)
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(propose_values(trial, space))
        study.tell(trial, -found[-1]["adapter.r"] - found[-1]["train.batch_size"])  # draws it to what is forbidden
    return study, found


@pytest.mark.parametrize("name", ["random", "tpe", "qmc", "nsga2", "cmaes"])
def test_no_sampler_proposes_what_is_forbidden_nor_spends_a_trial_on_it(tmp_path: Path, name: str) -> None:
    samplers: dict[str, optuna.samplers.BaseSampler] = {
        "random": optuna.samplers.RandomSampler(seed=1),
        "tpe": optuna.samplers.TPESampler(seed=1, multivariate=True, group=True, n_startup_trials=5),
        "qmc": optuna.samplers.QMCSampler(seed=1, warn_independent_sampling=False),
        "nsga2": optuna.samplers.NSGAIISampler(seed=1, population_size=5),
        "cmaes": optuna.samplers.CmaEsSampler(seed=1, warn_independent_sampling=False),
    }
    study, found = run(space_of(tmp_path, SPACE + FORBID), samplers[name], 40)
    assert not [params for params in found if forbidden(params)]
    assert [trial.number for trial in study.trials] == list(range(40))
    for trial, params in zip(study.trials, found, strict=True):
        assert trial.params == params  # the study knows what was proposed


def test_what_is_allowed_keeps_the_samplers_distribution(tmp_path: Path) -> None:
    _, found = run(space_of(tmp_path, SPACE + FORBID), optuna.samplers.RandomSampler(seed=3), 2000)
    cells: dict[tuple[int, int], int] = {}
    for params in found:
        cell = (params["train.batch_size"], params["adapter.r"])
        cells[cell] = cells.get(cell, 0) + 1
    # Uniform on what is left: cells with r == 2 have half the learning rates, and 32 goes with r == 1 alone.
    weights = {(size, r): 0.5 if r == 2 else 1.0 for size in (8, 16) for r in (1, 2, 3, 4)} | {(32, 1): 1.0}
    assert cells.keys() == weights.keys()
    for cell, weight in weights.items():
        expected = 2000 * weight / sum(weights.values())
        assert abs(cells[cell] - expected) < 4.5 * expected**0.5, cell


def test_a_forbid_that_is_never_met_changes_no_proposal(tmp_path: Path) -> None:
    for make in (
        lambda: optuna.samplers.TPESampler(seed=5, multivariate=True, n_startup_trials=5),
        lambda: optuna.samplers.RandomSampler(seed=5),
    ):
        _, plain = run(space_of(tmp_path, SPACE), make(), 25)
        rare = "forbid: [train.batch_size == 32 and adapter.r == 4 and optim.learning_rate > 1.4999]\n"
        _, kept = run(space_of(tmp_path, SPACE + rare), make(), 25)
        assert kept == plain


def test_a_trial_that_was_left_while_it_asked_answers_as_decided(tmp_path: Path) -> None:
    space = space_of(tmp_path, SPACE + FORBID)
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=storage, study_name="s", sampler=optuna.samplers.RandomSampler(seed=0))
    first = study.ask()
    params = propose_values(first, space)
    half = study.ask()
    half.suggest_categorical("train.batch_size", [8, 16, 32])
    # Another process, another seed: what was decided is what is answered.
    later = optuna.load_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler(seed=99))
    later.get_trials()
    assert propose_values(optuna.Trial(later, first._trial_id), space) == params
    again = propose_values(optuna.Trial(later, half._trial_id), space)
    assert again["train.batch_size"] == half.params["train.batch_size"] and not forbidden(again)
