"""A trial that cannot be trained is FAIL to everybody, and to the sampler one to keep away from."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

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


def test_a_trial_that_cannot_be_trained_is_fail_and_one_that_was_stopped_is_not() -> None:
    study = optuna.create_study()
    assert ended_state(tell_failure(study, study.ask(), is_infeasible=True)) == "FAIL"
    assert ended_state(tell_failure(study, study.ask(), is_infeasible=False)) == "FAIL"
    assert ended_state(study.tell(study.ask(), state=TrialState.PRUNED)) == "PRUNED"
    assert ended_state(study.tell(study.ask(), 1.0)) == "COMPLETE"
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "FAIL", "PRUNED", "COMPLETE"]
