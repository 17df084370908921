"""The driver of one ablation: data are prepared, every cell is trained and scored on test, the arms are compared.

::

    Study -> data sets -> slots start -> all cells that are missing -> AblationDocument
                                         cell_phase.py                 comparisons.py, outcome.py

What happened is read from the folders of the cells. A driver therefore goes on where another one stopped.
"""

from __future__ import annotations

import contextlib

from mlflow.exceptions import MlflowException

from gazetune.ablation.cell_phase import CellPhase
from gazetune.ablation.folder import AblationFolder
from gazetune.ablation.outcome import describe_outcome
from gazetune.ablation.study.study import Study
from gazetune.config.config_file import dump_config
from gazetune.errors import InputError, RunError
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.report.ablation_document import AblationDocument
from gazetune.report.ablation_markdown import write_ablation_report
from gazetune.reward.data.dataset import PreparedData
from gazetune.tracking.mlflow_runs import NOTE_TAG, Tracker
from gazetune.trials.ledger import fingerprint_tags
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFacts
from gazetune.trials.start.cluster_connection import SLOT_END_SECONDS, ClusterConnection
from gazetune.trials.start.data_sets import check_backbones, prepare_data_sets


def drive_ablation(
    study: Study, folder: AblationFolder, cluster: ClusterConnection, progress: ProgressDisplay
) -> AblationDocument:
    """Prepare the data, run the cells that are missing, compare the arms, and write document and report.

    Raises
    ------
    InputError
        For whatever is wrong with data, predictors, tracking server or cluster.
    RunError
        When every cell failed, or no slot can be kept up any more.
    KeyboardInterrupt
        When the user stopped it.
    """
    progress.print_stage("preparing data and gaze")
    check_backbones(study.arm_configs.values())
    data = prepare_data_sets(study.data_configs(), folder.cache, progress, RayPrediction(cluster.join))
    _check_same_pairs(folder, data)
    progress.print_stage("joining the cluster")
    size = cluster.join()
    if size.gpus and not any(shape.gpus for shape in study.resource_shapes()):
        progress.print_line(f"{size.gpus:g} GPU(s) stay unused, as resources.gpus_per_worker is 0")
    tracker = Tracker.open(study.config.tracking.uri, folder.path.parent, "gazetune")
    parent_run = _open_parent_run(study, folder, tracker, data)
    try:
        _run_cells(CellPhase(study, folder, tracker, parent_run, progress, data), cluster, progress)
        folder.requests.announce_phase("comparing")
        document = describe_outcome(study, folder, tracker.shown_uri, parent_run, data)
    except BaseException:
        with contextlib.suppress(MlflowException):  # it may be what went away; what was raised says more
            tracker.end_all_running(parent_run)
        raise
    write_ablation_report(document, folder.report)
    tracker.log_file(parent_run, folder.report)
    _write_pages(document, folder, tracker, progress)
    tracker.set_tags(parent_run, {NOTE_TAG: document.verdict})
    any_complete = any(cell.state == "COMPLETE" for cell in document.cells)
    tracker.finish_run(parent_run, "COMPLETE" if any_complete else "FAIL", None)
    folder.write_document(document.to_json_text())
    if not any_complete:
        raise RunError(f"every cell failed, the first one: {document.cells[0].reason}; see {document.report}")
    return document


def _write_pages(
    document: AblationDocument, folder: AblationFolder, tracker: Tracker, progress: ProgressDisplay
) -> None:
    """Write the report's page, LaTeX and CSV beside its Markdown. What was found does not depend on them."""
    # Imported here: matplotlib is not needed before an ablation ends.
    from gazetune.ablation.evidence import gather_evidence
    from gazetune.report.html.report_files import write_report_files

    try:
        files = write_report_files(gather_evidence(document, folder), folder.path, keep_markdown=True)
    except Exception as error:  # hours of training do not end in an error because of a picture
        again = f"gazetune report {document.name} --storage {folder.path.parent}"
        line = f"the page of the report was not written ({type(error).__name__}: {error}); try again with: {again}"
        progress.print_line(line)
        return
    tracker.log_file(document.mlflow_parent_run, files["html"])


def _run_cells(phase: CellPhase, cluster: ClusterConnection, progress: ProgressDisplay) -> None:
    if not phase.missing:
        return
    phase.announce()
    progress.print_stage("starting workers")
    slots = cluster.start_slots(len(phase.missing))
    try:
        phase.run(slots)
    except KeyboardInterrupt:
        progress.print_stage("ending the workers")
        raise
    finally:
        slots.close(SLOT_END_SECONDS)


def _check_same_pairs(folder: AblationFolder, data: list[PreparedData]) -> None:
    """Refuse to go on with other preference pairs than the finished cells have."""
    now = RunFacts(" ".join(sorted({each.facts.data_fingerprint for each in data})), 0)
    before = folder.read_facts()
    if before is not None and before.data != now.data:
        raise InputError(f"--resume: the preference pairs have changed since the ablation '{folder.path.name}' began")
    folder.write_facts(now)


def _open_parent_run(study: Study, folder: AblationFolder, tracker: Tracker, data: list[PreparedData]) -> str:
    """Return the ablation's MLflow run, the same one when it is resumed."""
    run = folder.read_parent_run()
    if run is not None:
        tracker.reopen_run(run)
        return run
    prints = [", ".join(dict.fromkeys(each)) for each in zip(*(_fingerprints(one) for one in data), strict=True)]
    params = {"arms": ", ".join(arm.name for arm in study.arms), "seeds": ", ".join(map(str, study.seeds))}
    run = tracker.start_ablation(study.name, dump_config(study.config), params, fingerprint_tags(*prints))
    folder.write_parent_run(run)
    return run


def _fingerprints(data: PreparedData) -> tuple[str, str]:
    return data.facts.data_fingerprint, data.facts.gaze_fingerprint
