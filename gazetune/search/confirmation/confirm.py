"""The confirmation of a search, from its trials to the confirmed winner.

    candidates --folds--> the chosen one --seeds, on the usual split--> test --> the kept model and the comparison

What cannot be confirmed has a defined end, which the record tells: then the search's own choice stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gazetune.config import Config, ConfirmConfig
from gazetune.evaluate.margins import Margins, margins_file, read_margins, write_margins
from gazetune.report.document import BestRecord, CandidateRecord, ConfirmationRecord, ControlRecord, TrialRecord
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.search.active_search import ActiveSearch
from gazetune.search.baselines import (
    TestComparison,
    best_of_controls,
    best_trial,
    best_trial_without_gaze,
    compare_correctness,
    control_record,
    controls_on_validation,
    diagnose,
    have_same_pairs,
)
from gazetune.search.confirmation.arms import WINNER, ArmsComparison, ScoredRun, compare_arms, describe_accuracy
from gazetune.search.confirmation.choice import choose_candidate, pool_folds
from gazetune.search.confirmation.perform import ConfirmationRuns
from gazetune.search.confirmation.runs import ConfirmationRun, list_arm_runs, list_fold_runs
from gazetune.trials.jobs import JobQueue
from gazetune.trials.messages import EvaluateJob, EvaluationResult


@dataclass(frozen=True)
class _Choice:
    """The outcome of the first stage."""

    trial: TrialRecord
    candidates: tuple[CandidateRecord, ...] = ()


def confirm_winner(
    active: ActiveSearch,
    settings: ConfirmConfig,
    trials: Sequence[TrialRecord],
    configs: Mapping[str, Config],
    folders: Mapping[str, Path],
) -> tuple[TestComparison | None, ConfirmationRecord]:
    """Train the candidates again, choose one, and compare it on test.

    Parameters
    ----------
    active
        The search, with its slots.
    settings
        Its `search.confirm`.
    trials, configs, folders
        The finished trials, the config of each by its id, and the saved model of each that has one.

    Returns
    -------
    The comparison, None where nothing was confirmed; and what the document says of it.

    Raises
    ------
    RunError, Interrupted
        As `ActiveSearch.check_interrupted`.
    """
    winner = best_trial(trials)
    if winner is None:
        return None, ConfirmationRecord(None, missing="there is no winner")
    return _Confirmation(active, settings, trials, configs, folders).run(winner)


class _Confirmation:
    def __init__(
        self,
        active: ActiveSearch,
        settings: ConfirmConfig,
        trials: Sequence[TrialRecord],
        configs: Mapping[str, Config],
        folders: Mapping[str, Path],
    ) -> None:
        self._active, self._settings = active, settings
        self._trials, self._configs, self._folders = trials, configs, folders
        self._runs = ConfirmationRuns(active)
        self._notes: list[str] = []

    def run(self, searched: TrialRecord) -> tuple[TestComparison | None, ConfirmationRecord]:
        """Confirm, where `searched` is what the search alone would call the best trial."""
        caps = self._active.caps
        if caps.reached is not None:
            self._notes.append(f"trials have used two thirds of {caps.reached.key}; the rest was kept back for this")
        caps.begin_confirmation()
        choice = None if caps.is_used_up() else self._choose(searched)
        if choice is None:
            return None, self._end_by_cap(())
        chosen = self._configs[choice.trial.id]
        without_gaze = best_trial_without_gaze([each for each in self._trials if self._is_comparable(searched, each)])
        is_other = without_gaze is not None and without_gaze.id != choice.trial.id
        arms = list_arm_runs(
            chosen, self._configs[without_gaze.id] if is_other and without_gaze else None, self._settings
        )
        self._runs.planned += sum(map(len, arms.values()))
        self._print_stage(f"training trial {choice.trial.id}, runs without gaze and controls for the test split")
        if not self._runs.perform([run for runs in arms.values() for run in runs], scores_test=True):
            return None, self._end_by_cap(choice.candidates)
        scored = {name: self._scored_runs(runs) for name, runs in arms.items()}
        scored = {name: runs for name, runs in scored.items() if runs}
        record = self._record(choice)
        if WINNER not in scored:
            return None, replace(record, missing=f"every training of trial {choice.trial.id} on the usual split failed")
        return self._compare(searched, choice, compare_arms(scored), record)

    def _choose(self, searched: TrialRecord) -> _Choice | None:
        """Train the candidates on other folds and choose one; None when a cap ended that."""
        candidates = [each for each in self._ranked() if self._is_comparable(searched, each)][: self._settings.top]
        if all(self._configs[each.id].fusion.kind == "none" for each in candidates):
            self._notes.append(
                f"none of the {len(candidates)} candidates has gaze, so no gain of gaze can be confirmed"
            )
        if len(candidates) == 1:
            self._notes.append(f"trial {searched.id} is the only candidate, so no folds were trained to choose one")
            return _Choice(searched)
        data = prepare_data(self._configs[searched.id], self._active.prepared.folder.cache)
        groups = len({*data.item_groups("train"), *data.item_groups("validation")})
        if groups < self._settings.folds:
            self._notes.append(
                f"{groups} prompts outside test are fewer than {self._settings.folds} folds (search.confirm.folds), so "
                "the choice is the search's own"
            )
            return _Choice(searched)
        runs = {each.id: list_fold_runs(each.id, self._configs[each.id], self._settings) for each in candidates}
        self._runs.planned += sum(map(len, runs.values()))
        self._print_stage(f"training the best {len(candidates)} trials again on {self._settings.folds} folds")
        if not self._runs.perform([run for each in runs.values() for run in each], scores_test=False):
            return None
        pooled = {trial_id: self._pool(of_trial) for trial_id, of_trial in runs.items()}
        chosen, records = choose_candidate(
            candidates, {each: made for each, made in pooled.items() if made is not None}
        )
        if chosen is None:
            self._notes.append("no candidate could be trained on every fold, so the choice is the search's own")
        return _Choice(next((each for each in candidates if each.id == chosen), searched), records)

    def _ranked(self) -> list[TrialRecord]:
        """Return the trials that may win, best first, the earliest first on ties."""
        may_win = [each for each in self._trials if each.state == "COMPLETE" and not each.is_control]
        return sorted(may_win, key=lambda each: -(each.val_accuracy or 0.0))

    def _is_comparable(self, searched: TrialRecord, other: TrialRecord) -> bool:
        return have_same_pairs(
            self._configs[searched.id],
            self._configs[other.id],
            lambda config: prepare_data(config, self._active.prepared.folder.cache),
        )

    def _pool(self, runs: Sequence[ConfirmationRun]) -> Margins | None:
        """Return the margins of a candidate over all folds; None where one of its trainings failed."""
        if any(self._runs.results[run.name].failure is not None for run in runs):
            return None
        return pool_folds([self._read_margins(run, "validation") for run in runs])

    def _scored_runs(self, runs: Sequence[ConfirmationRun]) -> list[ScoredRun]:
        """Return the trainings of an arm that reached their end."""
        return [
            ScoredRun(
                run.config.train.seed,
                str(self._folder(run).relative_to(self._active.prepared.folder.path)),
                self._runs.results[run.name].val_accuracy,
                self._read_margins(run, "test"),
            )
            for run in runs
            if self._runs.results[run.name].failure is None
        ]

    def _compare(
        self, searched: TrialRecord, choice: _Choice, arms: ArmsComparison, record: ConfirmationRecord
    ) -> tuple[TestComparison, ConfirmationRecord]:
        """Return the comparison on test, with what the search's own model and controls reach there."""
        comparable = [each for each in self._trials if self._is_comparable(searched, each)]
        controls = {name: each for name, each in best_of_controls(comparable).items() if each.id in self._folders}
        saved = {each.id: each for each in controls.values()}
        if searched.id in self._folders:
            saved[searched.id] = searched
        scored = self._score_saved(list(saved))
        groups = arms.kept.test.groups
        records: dict[str, ControlRecord] = controls_on_validation(self._trials)
        for name, trial in controls.items():
            if trial.id not in scored:
                continue
            found = compare_correctness(arms.right, scored[trial.id].correctness, groups)
            records[name] = control_record(self._trials, trial, found)
        own = scored.get(searched.id)
        test = None if own is None else describe_accuracy(own.correctness)
        best = BestRecord(choice.trial.id, choice.trial.params, arms.kept.val_accuracy, describe_accuracy(arms.right))
        # A winner without gaze to which no other run without gaze is compared is its own baseline.
        no_gaze = arms.no_gaze
        if no_gaze is None and self._configs[choice.trial.id].fusion.kind == "none":
            no_gaze = compare_correctness(arms.right, arms.right, groups)
        compared = TestComparison(
            best, {"shorter": arms.shorter, "no_gaze": no_gaze}, records, diagnose(arms.kept.test)
        )
        return compared, replace(
            record,
            searched=BestRecord(searched.id, searched.params, float(searched.val_accuracy or 0.0), test),
            arms=arms.records,
            model=arms.kept.folder,
            seed=arms.kept.seed,
        )

    def _score_saved(self, trial_ids: Sequence[str]) -> Mapping[str, Margins]:
        """Score the saved models of trials on test, and keep their margins."""
        margins: dict[str, Margins] = {}

        queue = JobQueue(self._active.slots.board, self._active.check_interrupted)
        for each in trial_ids:
            queue.submit(EvaluateJob(f"saved-{each}", self._configs[each], self._folders[each], "test"))
        while (told := queue.next_message()) is not None:
            job, message = told
            if isinstance(message, EvaluationResult) and not np.isnan(message.rewards).any():
                trial_id = job.id.removeprefix("saved-")
                data = prepare_data(self._configs[trial_id], self._active.prepared.folder.cache)
                margins[trial_id] = Margins.of_split(data, "test", message.rewards)
                write_margins(margins_file(self._folders[trial_id].parent, "test"), margins[trial_id])
        return margins

    def _record(self, choice: _Choice) -> ConfirmationRecord:
        results = self._runs.results
        failed = {name: result.failure for name, result in results.items() if result.failure is not None}
        return ConfirmationRecord(
            searched=None,
            folds=self._settings.folds if choice.candidates else 0,
            candidates=choice.candidates,
            trainings=len(results) - len(failed),
            failed=failed,
            notes=tuple(self._notes),
        )

    def _end_by_cap(self, candidates: tuple[CandidateRecord, ...]) -> ConfirmationRecord:
        used = self._active.caps.used_up
        reason = "a cap was reached" if used is None else f"{used.key} {used.limit:g} was reached"
        trained = sum(result.failure is None for result in self._runs.results.values())
        return ConfirmationRecord(
            None,
            missing=f"{reason} before it was over",
            candidates=candidates,
            trainings=trained,
            notes=tuple(self._notes),
        )

    def _folder(self, run: ConfirmationRun) -> Path:
        return self._active.prepared.folder.baseline_folder(run.name)

    def _read_margins(self, run: ConfirmationRun, split: str) -> Margins:
        return read_margins(margins_file(self._folder(run), split))

    def _print_stage(self, text: str) -> None:
        self._active.prepared.progress.print_stage(f"confirming: {text}")
