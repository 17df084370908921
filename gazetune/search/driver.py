"""The driver of one search: slots, trials, the comparison with the baselines, the report.

::

    PreparedSearch -> slots start -> ActiveSearch -> trials are run -> winner and baselines -> SearchDocument
                                                     trial_phase.py    comparison.py

What happened is read from the study. A driver therefore goes on where another one stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from gazetune.config.config_file import dump_config
from gazetune.errors import RunError
from gazetune.report.document import SearchDocument
from gazetune.report.wording import best_line, state_verdict
from gazetune.search.active_search import ActiveSearch, PreparedSearch
from gazetune.search.comparison import compare_on_test
from gazetune.search.confirmation.runs import count_trainings
from gazetune.search.kept_models import KeptModels
from gazetune.search.stopping.caps import Caps
from gazetune.search.study.finished_trials import finished_trials
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.storage import open_study
from gazetune.search.trial_phase import run_trials
from gazetune.tracking.mlflow_runs import BEST_METRIC, NOTE_TAG
from gazetune.tracking.registry import register_model
from gazetune.trials.ledger import Ledger, fingerprint_tags
from gazetune.trials.slot_pool import SlotPool
from gazetune.trials.start.cluster_connection import SLOT_END_SECONDS


def drive_search(prepared: PreparedSearch, start_slots: Callable[[int], SlotPool]) -> SearchDocument:
    """Start the slots, search, compare with the baselines, and write the report.

    Raises
    ------
    RunError
        When every trial FAILed, the search was given up, or no slot could be kept up any more.
    Interrupted
        When the user stopped it.
    """
    parent_run = _open_parent_run(prepared)
    try:
        active = _start_search(prepared, parent_run, start_slots)
    except BaseException:
        prepared.tracker.end_all_running(parent_run)
        raise
    try:
        run_trials(active)
        document = compare_on_test(active)
    except BaseException as error:
        prepared.tracker.end_all_running(active.parent_run)
        if isinstance(error, KeyboardInterrupt):
            prepared.progress.print_stage("ending the workers")
            raise active.interruption() from None
        raise
    finally:
        active.slots.close(SLOT_END_SECONDS)
    _finish_search(active, document)
    if document.trials and all(trial.state == "FAIL" for trial in document.trials):
        raise RunError(f"every trial failed, the first one: {document.trials[0].reason}; see {document.report}")
    return document


def _start_search(prepared: PreparedSearch, parent_run: str, start_slots: Callable[[int], SlotPool]) -> ActiveSearch:
    """Open the study, put in order what an earlier driver left, and start the slots."""
    folder, search = prepared.folder, prepared.config.search
    folder.requests.announce_driver(0)
    folder.requests.announce_phase("running")
    prepared.progress.print_stage("starting workers")
    ledger = Ledger(folder, prepared.tracker, parent_run, prepared.progress)
    study = open_study(prepared.space.name, search, folder.path)
    ledger.end_earlier_trials(finished_trials(study))
    models = KeptModels(study, prepared.space, folder)
    models.drop_others()
    caps = Caps(search, folder.path)
    caps.add_earlier_trials(own_trials(study))
    left = search.trials - len(finished_trials(study))
    if search.confirm is not None:
        stages = count_trainings(search.confirm, search.trials)
        prepared.progress.print_line(
            f"after the trials comes a confirmation: at most {sum(stages)} trainings (search.confirm: off, quick, full)"
        )
        left += stages[0] or stages[1]  # the slots stay for the first of its stages
    slots = start_slots(left)
    return ActiveSearch(prepared, parent_run, study, ledger, models, caps, slots)


def _open_parent_run(prepared: PreparedSearch) -> str:
    """Return the search's MLflow run, the same one when the search is resumed."""
    run = prepared.folder.read_parent_run()
    if run is None:
        tags = fingerprint_tags(prepared.fingerprints["data"], prepared.fingerprints["gaze"])
        tags |= {f"gazetune.{name}": counts for name, counts in prepared.pair_counts.items()}
        run = prepared.tracker.start_search(prepared.space.name, dump_config(prepared.config), {}, tags)
        prepared.folder.write_parent_run(run)
    else:
        prepared.tracker.reopen_run(run)
    return run


def _log_winner(active: ActiveSearch, document: SearchDocument) -> None:
    """Write the verdict to the search's MLflow run, and what the winner scores on test pairs to that and to its own."""
    tracker, best = active.prepared.tracker, document.best
    lines = [state_verdict(document)] if best is None else [best_line(best), state_verdict(document)]
    tracker.set_tags(active.parent_run, {NOTE_TAG: "\n\n".join(lines)})
    if best is None or best.test is None:
        return
    (winner,) = (trial for trial in document.trials if trial.id == best.id)
    runs = [(active.parent_run, count_runs(document))]
    if document.confirmation is None or document.confirmation.missing is not None:
        runs.append((winner.mlflow_run or "", winner.examples))  # the runs of a confirmation have theirs
    # A resumed search may end with another winner; the last value is the one that holds, and a step is written once.
    for run, step in runs:
        if run:
            tracker.log_test(run, best.test.accuracy, best.test.n, best.test.ci95, step)
            tracker.log_metrics(run, {BEST_METRIC: best.val_accuracy}, step)


def count_runs(document: SearchDocument) -> int:
    """Return how many trials and trainings of its confirmation a search has had: more after each resume."""
    return len(document.trials) + (0 if document.confirmation is None else document.confirmation.trainings)


def _register_winner(active: ActiveSearch, document: SearchDocument) -> None:
    """Register the winner's model in MLflow. A registry that refuses it takes nothing from what was found."""
    from mlflow.exceptions import MlflowException

    prepared, best, confirmation = active.prepared, document.best, document.confirmation
    if best is None:
        return
    confirmed = None if confirmation is None else confirmation.model
    folder = prepared.folder.trial_folder(best.id) if confirmed is None else prepared.folder.path / confirmed
    if not (folder / "best").is_dir():
        return
    tags = {"gazetune.verdict": state_verdict(document), "gazetune.trial": best.id, "gazetune.search": document.name}
    try:
        text = f"{best_line(best)}\n\n{state_verdict(document)}"
        register_model(prepared.tracker, document.name, folder / "best", active.parent_run, text, tags)
    except MlflowException as error:
        prepared.progress.print_line(f"the best model was not registered in MLflow ({str(error).splitlines()[0]})")


def _write_pages(active: ActiveSearch, document: SearchDocument) -> None:
    """Write the report's page, LaTeX and CSV beside its Markdown. What was found does not depend on them."""
    # Imported here: matplotlib is not needed before a search ends.
    from gazetune.report.html.report_files import write_report_files
    from gazetune.search.evidence import gather_evidence

    folder, space = active.prepared.folder, active.prepared.space
    try:
        evidence = gather_evidence(document, folder, space, active.study, "finished")
        files = write_report_files(evidence, folder.path, keep_markdown=True)
    except Exception as error:  # hours of training do not end in an error because of a picture
        again = f"gazetune report {space.name} --storage {folder.path.parent}"
        line = f"the page of the report was not written ({type(error).__name__}: {error}); try again with: {again}"
        active.prepared.progress.print_line(line)
        return
    active.prepared.tracker.log_file(active.parent_run, files["html"])


def _finish_search(active: ActiveSearch, document: SearchDocument) -> None:
    """Close the search's MLflow run and write its document."""
    prepared = active.prepared
    prepared.tracker.log_file(active.parent_run, Path(document.report))
    _write_pages(active, document)
    _log_winner(active, document)
    _register_winner(active, document)
    any_complete = any(trial.state == "COMPLETE" for trial in document.trials)
    prepared.tracker.finish_run(active.parent_run, "COMPLETE" if any_complete else "FAIL", None)
    # Last, since a search with this file counts as finished.
    prepared.folder.write_document(document.to_json_text())
    # Until now they were needed: a search that is resumed before would train the baselines again.
    for last in (prepared.folder.path / "baselines").glob("*/last"):
        shutil.rmtree(last, ignore_errors=True)
