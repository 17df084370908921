from __future__ import annotations

from gazetune.config import Config, ConfirmConfig, OptimConfig
from gazetune.search.confirmation.runs import count_trainings, list_arm_runs, list_fold_runs

QUICK = ConfirmConfig(top=2, folds=2, seeds=1)


def config(kind: str = "add") -> Config:
    return Config.model_validate({"fusion": {"kind": kind}, "gaze": {"predictor": "planted"}})


def test_a_candidate_is_trained_once_on_each_fold_with_seeds_that_no_trial_had() -> None:
    runs = list_fold_runs("0003", config(), ConfirmConfig())
    folds = [run.config.train.fold for run in runs]
    assert [(fold.number, fold.of) for fold in folds if fold is not None] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    seeds = {run.config.train.seed for run in runs}
    assert len(seeds) == 4 and config().train.seed not in seeds
    others = list_fold_runs("0007", config("concat"), ConfirmConfig())
    assert [run.config.train.seed for run in others] == [run.config.train.seed for run in runs], "paired"
    assert len({run.name for run in (*runs, *others)}) == 8
    assert {run.name for run in runs} == {run.name for run in list_fold_runs("0003", config(), ConfirmConfig())}


def test_the_arms_are_winner_runs_without_gaze_and_every_control_of_the_winner() -> None:
    other = config("none").model_copy(update={"optim": OptimConfig(learning_rate=0.01)})
    arms = list_arm_runs(config(), other, ConfirmConfig())
    assert list(arms) == [
        *("winner", "winner-without-gaze", "best-none-trial"),
        *("control-shuffled", "control-noise", "control-constant"),
    ]
    assert {len(runs) for runs in arms.values()} == {2}
    assert {run.config.fusion.kind for run in arms["winner-without-gaze"]} == {"none"}
    assert {run.config.gaze.control for run in arms["control-noise"]} == {"noise"}
    assert {run.config.train.fold for runs in arms.values() for run in runs} == {None}, "the usual split"
    seeds = [[run.config.train.seed for run in runs] for runs in arms.values()]
    assert all(each == seeds[0] for each in seeds)
    fold_seeds = {run.config.train.seed for run in list_fold_runs("0003", config(), ConfirmConfig())}
    assert not fold_seeds & {*seeds[0]}


def test_the_search_s_run_without_gaze_that_is_the_winner_s_own_is_trained_once() -> None:
    masked = Config.model_validate({"fusion": {"kind": "none"}, "gaze": {"predictor": "planted", "features": "TRT"}})
    assert "best-none-trial" not in list_arm_runs(config(), masked, QUICK)


def test_a_winner_without_gaze_has_nothing_to_control() -> None:
    assert list(list_arm_runs(config("none"), None, QUICK)) == ["winner"]
    other = config("none").model_copy(update={"optim": OptimConfig(learning_rate=0.01)})
    assert list(list_arm_runs(config("none"), other, QUICK)) == ["winner", "best-none-trial"]


def test_the_cost_is_counted_before_a_start() -> None:
    assert count_trainings(ConfirmConfig(), trials=30) == (12, 12)
    assert count_trainings(QUICK, trials=30) == (4, 6)
    assert count_trainings(ConfirmConfig(), trials=2) == (8, 12)
    assert count_trainings(ConfirmConfig(), trials=1) == (0, 12), "one candidate needs no folds"
