"""What a search has done so far, read from its folder while it runs, after it was stopped, or when it is finished."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from optuna.trial import FrozenTrial, TrialState

from gazetune.config import SearchConfig
from gazetune.errors import InputError
from gazetune.report.document import EndedRecord
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.caps import HOURS_FILE, WorkingTime
from gazetune.search.study.candidates import is_candidate
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.storage import find_study, own_study_url
from gazetune.trials.disk import folder_bytes
from gazetune.trials.driver_requests import DriverNote, Phase
from gazetune.trials.messages import StudyRecord, trial_id_of
from gazetune.trials.run_folder import JsonObject
from gazetune.trials.trial_state import ended_state

SHOWN_STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING")


@dataclass(frozen=True, slots=True)
class TrialStatus:
    """How far one trial is: one that is not over, or the one that leads."""

    id: str
    examples: int
    budget: int | None
    """Training examples of a full trial."""
    val_accuracy: float | None


@dataclass(frozen=True, slots=True)
class CapUse:
    """A cap that is set, and what was used of it so far."""

    cap: str
    """Its key, such as `search.max_hours`."""
    used: float
    limit: float
    """As `used`: hours, GPU hours, or bytes."""


@dataclass(frozen=True, slots=True)
class SearchStatus:
    """What a search has done when it was looked at; the document of `gazetune status --json`."""

    name: str
    storage: str
    state: Literal["running", "interrupted", "finished"]
    driver: DriverNote | None
    """None unless one is at work."""
    trials: int
    """Trials in all."""
    states: Mapping[str, int]
    """Trials by state; a trial of an interrupted search that is not over is RUNNING, as the study has it."""
    failures: Mapping[str, Sequence[str]]
    """Trial ids by the reason for which they FAILed."""
    best: TrialStatus | None
    """The COMPLETE trial with the highest validation accuracy, controls left out; once one is confirmed, that one."""
    running: Sequence[TrialStatus]
    trial_hours: float
    """Hours of training, summed over trials."""
    gpu_hours: float
    hours_left: float | None
    """Until the last trial ends, without the baselines: trials to come take as long as those that did not FAIL."""
    caps: Sequence[CapUse]
    ended_by: EndedRecord | None
    """The cap that ended a finished search; None where all trials had what they were to have."""


@dataclass(frozen=True, slots=True)
class ListedSearch:
    """One line of `gazetune status` without a name."""

    name: str
    state: Literal["running", "interrupted", "finished", "unreadable"]
    phase: Phase | None = None
    """What its driver does; None unless one is at work."""
    trials: int | None = None
    """Trials in all."""
    finished: int | None = None
    """Trials that are over."""
    best_val_accuracy: float | None = None
    problem: str | None = None
    """Why an unreadable search cannot be read."""


def list_searches(storage: Path) -> list[ListedSearch]:
    """Return the searches of a storage folder by name, without writing anything."""
    listed = []
    for name in SearchFolder.list_names(storage):
        try:
            status = read_status(storage, name)
        except InputError as error:  # of one search, which hides no other
            listed.append(ListedSearch(name, "unreadable", problem=str(error)))
            continue
        finished = sum(status.states[state] for state in ("COMPLETE", "PRUNED", "FAIL"))
        best = None if status.best is None else status.best.val_accuracy
        phase = None if status.driver is None else status.driver.phase
        listed.append(ListedSearch(name, status.state, phase, status.trials, finished, best))
    return listed


def read_status(storage: Path, name: str) -> SearchStatus:
    """Return what a search has done so far, without writing anything.

    Raises
    ------
    InputError
        When there is no such search, or its study cannot be read.
    """
    folder, space = SearchFolder.find(storage, name)
    # The lock is looked at before the document: a search that ends in between is finished then, not interrupted.
    driven = folder.is_driven()
    document = folder.read_document()
    finished = document is not None
    trials = _begun_trials(folder, space)
    # The driver is looked at after the trials, which take long to read: one that has announced nothing has no trials.
    driver = folder.requests.read_note() if driven and not finished else None
    facts = folder.read_facts()
    budget = None if facts is None else facts.budget
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    seconds = sum(StudyRecord.read(trial).seconds for trial in trials)
    gpu_hours = sum(StudyRecord.read(trial).gpu_seconds or 0.0 for trial in trials) / 3600
    ended_by = None if document is None else SearchFolder.read_ended_by(document)
    states = Counter(ended_state(trial) if trial.state.is_finished() else trial.state.name for trial in trials)
    slots = max(1, len(running) if driver is None else driver.slots)
    return SearchStatus(
        name=name,
        storage=str(folder.path),
        state="finished" if finished else "running" if driven else "interrupted",
        driver=driver,
        trials=space.config.search.trials,
        states={state: states[state] for state in SHOWN_STATES},
        failures=_failures_by_reason(trials),
        best=_best_trial(trials, space, budget, document),
        running=[_trial_status(trial, budget) for trial in running],
        trial_hours=seconds / 3600,
        gpu_hours=gpu_hours,
        hours_left=0.0 if finished else _hours_left(trials, space.config.search.trials, slots),
        caps=_cap_uses(space.config.search, folder.path, gpu_hours),
        ended_by=None if ended_by is None else EndedRecord(**ended_by),
    )


def _begun_trials(folder: SearchFolder, space: SearchSpace) -> list[FrozenTrial]:
    """Return the search's own trials that were begun; none where the study is not there yet."""
    study = find_study(space.config.search.storage or own_study_url(folder.path), space.name)
    return [] if study is None else [trial for trial in own_trials(study) if trial.state != TrialState.WAITING]


def _failures_by_reason(trials: Sequence[FrozenTrial]) -> dict[str, list[str]]:
    failures: dict[str, list[str]] = {}
    for trial in trials:
        if trial.state.is_finished() and ended_state(trial) == "FAIL":
            failures.setdefault(StudyRecord.read(trial).reason or "no reason", []).append(trial_id_of(trial.number))
    return failures


def _cap_uses(search: SearchConfig, folder: Path, gpu_hours: float) -> list[CapUse]:
    caps = []
    if search.max_hours is not None:
        caps.append(CapUse("search.max_hours", WorkingTime(folder / HOURS_FILE).seconds / 3600, search.max_hours))
    if search.max_gpu_hours is not None:
        confirmed = (json.loads(file.read_text())["gpu_seconds"] for file in folder.glob("baselines/*/result.json"))
        caps.append(CapUse("search.max_gpu_hours", gpu_hours + sum(confirmed) / 3600, search.max_gpu_hours))
    if search.max_disk is not None:
        caps.append(CapUse("search.max_disk", folder_bytes(folder), search.max_disk))
    return caps


def _best_trial(
    trials: Sequence[FrozenTrial], space: SearchSpace, budget: int | None, document: JsonObject | None
) -> TrialStatus | None:
    confirmation = cast("JsonObject", {} if document is None else document.get("confirmation") or {})
    if document is not None and confirmation.get("missing", "none there") is None:
        best = cast("JsonObject", document["best"])["id"]
        trials = [trial for trial in trials if trial_id_of(trial.number) == best]
    complete = [_trial_status(trial, budget) for trial in trials if is_candidate(trial, space)]
    return max(complete, key=lambda trial: trial.val_accuracy or 0.0, default=None)


def _hours_left(trials: Sequence[FrozenTrial], wanted: int, slots: int) -> float | None:
    """Return the hours until the last of the wanted trials ends; None before any has ended without a failure."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    seconds = [StudyRecord.read(trial).seconds for trial in ended if ended_state(trial) != "FAIL"]
    if len(ended) >= wanted:
        return 0.0
    if not seconds:
        return None
    done = sum(StudyRecord.read(trial).seconds for trial in trials if not trial.state.is_finished())
    return max(0.0, (wanted - len(ended)) * sum(seconds) / len(seconds) - done) / slots / 3600


def _trial_status(trial: FrozenTrial, budget: int | None) -> TrialStatus:
    record = StudyRecord.read(trial)
    return TrialStatus(trial_id_of(trial.number), record.examples, budget, record.val_accuracy)
