"""What a study has before its own trials: configs to try first, trials of another search."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from gazetune.config import Config
from gazetune.config.config_file import write_config
from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder
from gazetune.search.run import run_search
from gazetune.search.space.points import try_first_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.own_trials import is_taken_over, own_trials
from gazetune.search.study.seeding import seed_study
from gazetune.search.study.storage import open_study
from gazetune.search.study.warm_start import with_history
from gazetune.trials.run_folder import RunFacts

SPACE = """\
name: new
base: {gaze: {predictor: planted}}
space:
  fusion.kind: {choice: {none: {}, add: {gaze.features: {subsets: [FFD, TRT]}}}}
  optim.learning_rate: {log_uniform: [1e-4, 1e-2]}
try_first: [{fusion.kind: none, optim.learning_rate: 1e-3}, {optim.learning_rate: 2e-3}]
search: {trials: 5}
"""
FACTS = RunFacts("pairs", 1000)


def space_of(folder: Path, text: str = SPACE) -> SearchSpace:
    path = folder / "given.yaml"
    path.write_text(text)
    return read_space(path)


def finished_search(storage: Path, text: str, values: list[float], facts: RunFacts | None = FACTS) -> SearchSpace:
    """Make what a search leaves in its folder; its last trial is PRUNED."""
    space = space_of(storage, text)
    folder = SearchFolder.create(storage, space)
    if facts is not None:
        folder.write_facts(facts)
    study = open_study(space.name, space.config.search, folder.path)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for number, value in enumerate([*values, None]):
        trial = study.ask()
        config: Config = space.trial_config(propose_values(trial, space))
        write_config(config, folder.trial_folder(f"{number:04d}") / "config.yaml")
        study.tell(trial, value, state=TrialState.PRUNED if value is None else None)
    folder.unlock()
    return space


OLD = SPACE.replace("name: new", "name: old").replace("try_first", "# try_first")


def test_what_is_tried_first_comes_first_and_once_however_often_a_driver_starts(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = optuna.create_study(storage=url, study_name="s", direction="maximize")
    seed_study(first, space)
    trial = first.ask()
    assert propose_values(trial, space) == {"fusion.kind": "none", "optim.learning_rate": 1e-3}
    first.tell(trial, 0.5)
    again = optuna.load_study(study_name="s", storage=url)
    seed_study(again, space)
    second = propose_values(again.ask(), space)
    assert second["optim.learning_rate"] == 2e-3 and second["fusion.kind"] in ("none", "add")
    seed_study(again, space)
    assert len(again.trials) == 2


def test_complete_trials_of_another_search_become_history_that_is_no_trial_of_this_one(tmp_path: Path) -> None:
    finished_search(tmp_path, OLD, [0.6, 0.7, 0.8])
    space = with_history(space_of(tmp_path), "old", tmp_path, FACTS)
    assert [past.source for past in space.extras.history] == ["old:0000", "old:0001", "old:0002"]
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=1))
    seed_study(study, space)
    seed_study(study, space)
    history = [trial for trial in study.trials if is_taken_over(trial)]
    assert [trial.value for trial in history] == [0.6, 0.7, 0.8]
    assert all(trial.state == TrialState.COMPLETE for trial in history)
    old = open_study("old", space.config.search, tmp_path / "old")
    assert [trial.params for trial in history] == [trial.params for trial in old.trials[:3]]
    assert [trial.distributions for trial in history] == [trial.distributions for trial in old.trials[:3]]
    assert [trial.state for trial in own_trials(study)] == [TrialState.WAITING] * 2
    assert trial_records(study, space) == ()


@pytest.mark.parametrize(
    ("kind", "targets", "inside"),
    [("full", ["q_proj"], True), ("lora", ["q_proj", "v_proj"], True), ("lora", ["q_proj"], False)],
)
def test_targets_that_were_written_by_name_are_those_that_auto_takes(
    kind: str, targets: list[str], inside: bool, tmp_path: Path
) -> None:
    new, old = (text.replace("planted}}", f"planted}}, adapter: {{kind: {kind}}}}}") for text in (SPACE, OLD))
    finished_search(tmp_path, old, [0.6])
    file = tmp_path / "old" / "trials" / "0000" / "config.yaml"
    file.write_text(file.read_text().replace("targets: auto", f"targets: {targets}"))  # as older versions wrote it
    assert str(targets) in file.read_text()
    if inside:
        space = with_history(space_of(tmp_path, new), "old", tmp_path, FACTS)
        assert [past.source for past in space.extras.history] == ["old:0000"]
    else:
        with pytest.raises(InputError, match=r"adapter\.targets"):
            with_history(space_of(tmp_path, new), "old", tmp_path, FACTS)


def test_what_is_wrong_with_a_warm_start_is_told_before_data_are_prepared(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    with pytest.raises(InputError, match=r"--warm-start 'nowhere': neither a search in"):
        run_search(file, storage=tmp_path / "runs", warm_start="nowhere")
    assert not list(tmp_path.glob("runs/*"))


def test_history_stays_in_the_space_that_a_resumed_search_reads(tmp_path: Path) -> None:
    finished_search(tmp_path, OLD, [0.6, 0.7])
    space = with_history(space_of(tmp_path), "old", tmp_path, FACTS)
    (tmp_path / "again.yaml").write_text(space.to_yaml())
    again = read_space(tmp_path / "again.yaml")
    assert again.extras.history == space.extras.history and try_first_points(again) == try_first_points(space)
    studies = [optuna.create_study(direction="maximize") for _ in range(2)]
    for study, each in zip(studies, (space, again), strict=True):
        seed_study(study, each)
    assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]


def test_history_moves_the_sampler(tmp_path: Path) -> None:
    finished_search(tmp_path, OLD, [0.6] * 12)
    space = with_history(
        space_of(tmp_path, SPACE.replace("try_first", "# try_first")), str(tmp_path / "old"), tmp_path / "x", FACTS
    )
    proposals = []
    for each in (space, space_of(tmp_path, OLD)):
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, multivariate=True))
        seed_study(study, each)
        proposals.append(propose_values(study.ask(), each))
    assert proposals[0] != proposals[1]


def test_trials_outside_this_space_are_left_out_and_none_inside_is_refused(tmp_path: Path) -> None:
    finished_search(tmp_path, OLD, [0.6, 0.7, 0.8, 0.9])
    inside = with_history(
        space_of(
            tmp_path, SPACE.replace("none: {}, ", "").replace("[{fusion.kind: none, optim.learning_rate: 1e-3}, ", "[")
        ),
        "old",
        tmp_path,
        FACTS,
    )
    assert 0 < len(inside.extras.history) < 4
    assert all(past.params["fusion.kind"] == "add" for past in inside.extras.history)
    elsewhere = SPACE.replace("predictor: planted}", "predictor: planted}, train: {seed: 7}")
    with pytest.raises(
        InputError,
        match=r"--warm-start old: none of its COMPLETE trials lies inside .*yaml; the first "
        r"one: trial 0000: train.seed: 42 is outside the space",
    ):
        with_history(space_of(tmp_path, elsewhere), "old", tmp_path, FACTS)


@pytest.mark.parametrize(
    ("text", "facts", "message"),
    [
        (SPACE, RunFacts("others", 1000), r"--warm-start old: data: .* have fingerprint pairs and .* others"),
        (SPACE, RunFacts("pairs", 500), r"train.epochs: its trials saw 1000 .* those of this search 500"),
        (SPACE.replace("s: 5", "s: 5, objective: val/loss"), FACTS, r"it improved val/accuracy and .* val/loss"),
        (SPACE.replace("s: 5", "s: 5, sampler: random"), FACTS, r"sampler: random does not learn .* accepted: tpe"),
    ],
)
def test_values_that_do_not_compare_are_refused_with_the_reason(
    tmp_path: Path, text: str, facts: RunFacts, message: str
) -> None:
    finished_search(tmp_path, OLD, [0.6])
    with pytest.raises(InputError, match=message) as caught:
        with_history(space_of(tmp_path, text), "old", tmp_path, facts)
    assert "\n" not in str(caught.value)


def test_a_search_that_is_not_there_or_says_nothing_of_its_data_is_refused(tmp_path: Path) -> None:
    finished_search(tmp_path, OLD, [0.6], facts=None)
    with pytest.raises(InputError, match=r"--warm-start old: it says nowhere which data it saw"):
        with_history(space_of(tmp_path), "old", tmp_path, FACTS)
    with pytest.raises(InputError, match=r"--warm-start 'odl': neither a search in .* did you mean 'old'\?"):
        with_history(space_of(tmp_path), "odl", tmp_path, FACTS)
