"""A trial that cannot be trained is FAIL to everybody, and to the sampler one to keep away from."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from gazetune.search.study.samplers.cmaes import CmaEsAwareOfFailures
from gazetune.trials.trial_state import ended_state, tell_failure


def study_of(is_infeasible: bool) -> optuna.Study:
    """Return a study in which every trial with `wide` failed, and every other one was worth the same."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, group=True)
    )
    for number in range(20):
        study.enqueue_trial({"wide": number % 2 == 0})
        trial = study.ask()
        if trial.suggest_categorical("wide", [True, False]):
            tell_failure(study, trial, is_infeasible)
        else:
            study.tell(trial, 0.6)
    return study


def proposals_to_fail(study: optuna.Study) -> int:
    """Ask for 30 proposals, and return how many of them would fail."""
    return sum(study.ask().suggest_categorical("wide", [True, False]) for _ in range(30))


def test_tpe_keeps_away_from_what_cannot_be_trained() -> None:
    told = proposals_to_fail(study_of(is_infeasible=True))
    not_told = proposals_to_fail(study_of(is_infeasible=False))
    assert told <= 0.7 * not_told, (told, not_told)


def count_failing_proposals(sampler: optuna.samplers.BaseSampler) -> int:
    """Search 60 trials in which the left half of a space cannot be trained; return how many of the last 30 were there.

    Within the right half the best place is at its border to the left one.
    """
    study = optuna.create_study(direction="maximize", sampler=sampler)
    failed = []
    for _ in range(60):
        trial = study.ask()
        across, up = trial.suggest_float("across", -1.0, 1.0), trial.suggest_float("up", -1.0, 1.0)
        failed.append(across < 0)
        if across < 0:
            tell_failure(study, trial, is_infeasible=True)
        else:
            study.tell(trial, -across - up * up)
    return sum(failed[30:])


def test_cmaes_keeps_away_from_what_cannot_be_trained() -> None:
    ours = sum(count_failing_proposals(CmaEsAwareOfFailures(seed=seed)) for seed in range(5))
    optunas_own = sum(count_failing_proposals(optuna.samplers.CmaEsSampler(seed=seed)) for seed in range(5))
    assert ours <= 0.8 * optunas_own, (ours, optunas_own)


def test_a_trial_that_cannot_be_trained_is_fail_and_one_that_was_stopped_is_not() -> None:
    study = optuna.create_study()
    assert ended_state(tell_failure(study, study.ask(), is_infeasible=True)) == "FAIL"
    assert ended_state(tell_failure(study, study.ask(), is_infeasible=False)) == "FAIL"
    assert ended_state(study.tell(study.ask(), state=TrialState.PRUNED)) == "PRUNED"
    assert ended_state(study.tell(study.ask(), 1.0)) == "COMPLETE"
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "FAIL", "PRUNED", "COMPLETE"]
