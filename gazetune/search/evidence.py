"""What the report of a search shows, gathered from its folder and its study; nothing is trained and nothing scored."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from gazetune.config.config_file import dump_config
from gazetune.errors import InputError
from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.report.document import SearchDocument
from gazetune.report.evidence import Curve, RunEvidence, RunState, ScoredRun
from gazetune.report.read_document import read_document
from gazetune.report.wording import resume_command
from gazetune.reward.saved.saved_files import OLD_MARGINS
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.own_trials import TAKEN_FROM, is_taken_over, own_trials
from gazetune.search.study.storage import find_study, own_study_url
from gazetune.trials.messages import StudyRecord, trial_id_of

_BEGUN = tuple(state for state in TrialState if state != TrialState.WAITING)


def read_evidence(storage: Path, name: str) -> RunEvidence:
    """Return what there is of a search: of a finished one its document too, of another one what its study has.

    Raises
    ------
    InputError
        When there is no such search, or its document or its study cannot be read.
    """
    folder, space = SearchFolder.find(storage, name)
    # The lock is looked at before the document: a search that ends in between is finished then, not interrupted.
    driven = folder.is_driven()
    try:
        stored = folder.read_document()
    except ValueError as error:
        raise _no_document(folder, error) from None
    missing = "the search has no study any more"
    try:
        study = find_study(space.config.search.storage or own_study_url(folder.path), space.name)
    except InputError as error:
        if stored is None:
            raise
        study, missing = None, str(error)  # a finished search has its document
    if stored is None:
        document = _unfinished_document(folder, space, study)
        state: RunState = "running" if driven else "interrupted"
        return gather_evidence(document, folder, space, study, state)
    try:
        document = read_document(_with_controls(stored, space))
    except ValueError as error:
        raise _no_document(folder, error) from None
    if not document.config:
        document = replace(document, config=dump_config(space.config))
    evidence = gather_evidence(document, folder, space, study, "finished")
    return evidence if study is not None else replace(evidence, no_curves=missing)


def _no_document(folder: SearchFolder, error: ValueError) -> InputError:
    return InputError(f"{folder.document}: {error}; accepted: the document of a finished search")


def gather_evidence(
    document: SearchDocument,
    folder: SearchFolder,
    space: SearchSpace,
    study: optuna.Study | None,
    state: RunState,
) -> RunEvidence:
    """Return what the report of a search shows.

    Parameters
    ----------
    document
        Its document, or what can be said so far.
    folder, space
        Its own.
    study
        Its study; None where it is not there.
    state
        Whether it is over.
    """
    search, facts = space.config.search, folder.read_facts()
    own = [] if study is None else own_trials(study, _BEGUN)
    taken = Counter[str]()
    for trial in [] if study is None else study.get_trials(deepcopy=False, states=_BEGUN):
        if is_taken_over(trial):
            taken[str(trial.user_attrs[TAKEN_FROM]).rpartition(":")[0]] += 1
    several = not isinstance(search.objective, str)
    gpu = {trial_id_of(trial.number): StudyRecord.read(trial).gpu_seconds for trial in own}
    return RunEvidence(
        document=document,
        state=state,
        notes=_notes(document, folder, space, own, state),
        objective=search.objective if isinstance(search.objective, str) else "",
        curves=() if several else tuple(map(_curve_of, own)),
        no_curves="with several objectives the study keeps no values on the way" if several else "",
        rungs=_rungs_of(own, facts.budget if facts is not None else None),
        gpu_seconds={trial: seconds for trial, seconds in gpu.items() if seconds},
        scored=_scored_runs(document, folder),
        commands=_commands(folder, space),
        trial_commands=_trial_commands(document, folder),
        learned_from=dict(taken),
    )


def _rungs_of(own: Sequence[FrozenTrial], budget: int | None) -> tuple[int, ...]:
    """Return the rungs of a search: its trials are evaluated at them and at the end of the budget, nowhere else."""
    steps = sorted({step for trial in own for step in trial.intermediate_values})
    end = budget if budget is not None else max(steps, default=0)
    return tuple(step for step in steps if step < end)


def _curve_of(trial: FrozenTrial) -> Curve:
    points = sorted((step, value) for step, value in trial.intermediate_values.items() if math.isfinite(value))
    return Curve(trial_id_of(trial.number), tuple(points))


def _with_controls(stored: Mapping[str, object], space: SearchSpace) -> dict[str, object]:
    """Return a document whose trials say which of them are controls; one of an older version does not."""
    trials = stored.get("trials")
    if not isinstance(trials, list) or all("control" in trial for trial in trials):
        return dict(stored)
    return {**stored, "trials": [{**each, "control": space.control_of(each.get("params", {}))} for each in trials]}


def _unfinished_document(folder: SearchFolder, space: SearchSpace, study: optuna.Study | None) -> SearchDocument:
    return SearchDocument(
        name=space.name,
        storage=str(folder.path),
        tracking_uri="not noted before the end of a search",
        mlflow_parent_run=folder.read_parent_run() or "none yet",
        trials=() if study is None else trial_records(study, space),
        best=None,
        baselines={},
        report=str(folder.report),
        config=dump_config(space.config),
    )


def _notes(
    document: SearchDocument, folder: SearchFolder, space: SearchSpace, own: Sequence[FrozenTrial], state: RunState
) -> tuple[str, ...]:
    """Return what is to be known of a search that is not over."""
    if state == "finished":
        return ()
    running = sum(trial.state == TrialState.RUNNING for trial in own)
    of = f"{len(document.trials)} of {space.config.search.trials} trials are over"
    if state == "running":
        told = f"This search still runs: {of}, {running} are at work. Nothing was compared on test pairs yet."
        return (told, "This report shows what there is so far; it is written anew when the search ends.")
    resume = resume_command(space.name, folder.path.parent)
    told = f"This search was stopped: {of}, {running} were begun. Nothing was compared on test pairs."
    return (told, f"This report shows what there is. The search goes on with: {resume}")


def _scored_runs(document: SearchDocument, folder: SearchFolder) -> tuple[ScoredRun, ...]:
    """Return the rewards of the winner that were kept pair by pair: on test, and else on validation."""
    if document.best is None:
        return ()
    confirmed = None if document.confirmation is None else document.confirmation.model
    run = folder.trial_folder(document.best.id) if confirmed is None else folder.path / confirmed
    label = f"the winner, trial {document.best.id}"
    for split in ("test", "validation"):
        if margins_file(run, split).is_file():
            kept = read_margins(margins_file(run, split))
            return (ScoredRun(label, split, kept.margins, kept.rewards, kept.words),)
    earlier = run / "best" / OLD_MARGINS  # of a version that kept no more
    if not earlier.is_file():
        return ()
    return (ScoredRun(label, "validation", np.load(earlier).astype(np.float64).reshape(-1)),)


def _commands(folder: SearchFolder, space: SearchSpace) -> tuple[tuple[str, str], ...]:
    storage = shlex.quote(str(folder.path.parent))
    again = (
        f"gazetune search {shlex.quote(str(folder.path / 'space.yaml'))} --name {shlex.quote(space.name + '-again')}"
    )
    lines = [("the whole search", f"{again} --storage {storage}")]
    for run in sorted((folder.path / "baselines").glob("*")):
        if command := again_command(run, f"{folder.path.name}:{run.name}", folder.path.parent):
            lines.append((f"{run.name}, trained to compare with", command))
    return tuple(lines)


def _trial_commands(document: SearchDocument, folder: SearchFolder) -> dict[str, str]:
    commands = {
        trial.id: again_command(folder.trial_folder(trial.id), f"{folder.path.name}:{trial.id}", folder.path.parent)
        for trial in document.trials
    }
    return {trial: command for trial, command in commands.items() if command is not None}


def again_command(run: Path, name: str, storage: Path) -> str | None:
    """Return the command that trains what is in the folder of a run again; None where no config was kept.

    Parameters
    ----------
    run
        The folder. `gazetune reproduce` takes a run that was evaluated; another one is trained from its config.
    name
        What the run is called below `storage`, such as `demo:0003`.
    storage
        The folder of all results.
    """
    configs = (run / "config.yaml", run / "best" / "config.yaml")  # a baseline of an older version has the latter alone
    config = next((each for each in configs if each.is_file()), None)
    if config is None:
        return None
    evaluated = config == configs[0] and any(run.glob("margins/[0-9]*"))
    what = f"reproduce {shlex.quote(name)}" if evaluated else f"train {shlex.quote(str(config))}"
    return f"gazetune {what} --storage {shlex.quote(str(storage))}"
