"""What the report of an ablation shows, gathered from the folders of its cells; nothing is trained or scored."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gazetune.ablation.folder import AblationFolder
from gazetune.errors import InputError
from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.files.names import is_folder_name
from gazetune.files.paths import show_text
from gazetune.report.ablation_document import AblationDocument, CellRecord
from gazetune.report.evidence import Curve, RunEvidence, RunState, ScoredRun, document_of_cells
from gazetune.report.read_document import read_ablation_document
from gazetune.report.wording import resume_ablation_command
from gazetune.search.evidence import again_command, read_evidence
from gazetune.search.folder import SearchFolder


def read_run_evidence(storage: Path, name: str) -> RunEvidence:
    """Return what there is of a search or of an ablation, whichever has the name.

    Raises
    ------
    InputError
        When there is neither, or what it wrote cannot be read.
    """
    ablations, searches = AblationFolder.list_names(storage), SearchFolder.list_names(storage)
    if is_folder_name(name) and name in ablations:
        return read_ablation_evidence(AblationFolder(storage / name))
    if is_folder_name(name) and name in searches:
        return read_evidence(storage, name)
    accepted = ", ".join([*searches, *ablations]) or "none, nothing was started there"
    raise InputError(f"there is no search or ablation {show_text(name)} in {storage}; accepted: {accepted}")


def read_ablation_evidence(folder: AblationFolder) -> RunEvidence:
    """Return what there is of an ablation: of one that is not finished, the cells that have ended.

    Raises
    ------
    InputError
        When its document or a file of margins cannot be read.
    """
    # The lock is looked at before the document: a run that ends in between is finished then, not interrupted.
    driven = folder.is_driven()
    try:
        stored = folder.read_document()
        document = None if stored is None else read_ablation_document(stored)
    except ValueError as error:
        accepted = "the document of a finished ablation"
        raise InputError(f"{folder.document}: {error}; accepted: {accepted}") from None
    if document is None:
        cells = _read_cells(folder)
        return gather_evidence(_unfinished_document(folder, cells), folder, "running" if driven else "interrupted")
    return gather_evidence(document, folder)


def gather_evidence(document: AblationDocument, folder: AblationFolder, state: RunState = "finished") -> RunEvidence:
    """Return what the report of an ablation shows: its document, curves, margins and commands."""
    if not document.config:
        document = replace(document, config=(folder.path / "study.yaml").read_text(encoding="utf-8"))
    return RunEvidence(
        document_of_cells(document),
        ablation=document,
        state=state,
        notes=_notes(document, folder, state),
        curves=tuple(Curve(cell.id, folder.read_curve(cell.id)) for cell in document.cells),
        scored=_scored_runs(document, folder),
        commands=_commands(folder),
        trial_commands=_cell_commands(document, folder, state),
    )


def _read_cells(folder: AblationFolder) -> list[CellRecord]:
    files = sorted((folder.path / "trials").glob("*/cell.json"))
    return [CellRecord(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def _unfinished_document(folder: AblationFolder, cells: Sequence[CellRecord]) -> AblationDocument:
    return AblationDocument(
        name=folder.path.name,
        storage=str(folder.path),
        tracking_uri="not noted before the end of an ablation",
        mlflow_parent_run=folder.read_parent_run() or "none yet",
        arms={},
        comparisons=(),
        cells=tuple(cells),
        answer=None,
        verdict="",
        report=str(folder.report),
    )


def _notes(document: AblationDocument, folder: AblationFolder, state: RunState) -> tuple[str, ...]:
    if state == "finished":
        return document.notes
    ended = f"{len(document.cells)} cells have ended. Nothing was compared yet"
    if state == "running":
        return (f"This ablation still runs: {ended}.", "This report shows what there is so far.")
    resume = resume_ablation_command(folder.path.name, folder.path.parent)
    return (f"This ablation was stopped: {ended}.", f"This report shows what there is. It goes on with: {resume}")


def _scored_runs(document: AblationDocument, folder: AblationFolder) -> tuple[ScoredRun, ...]:
    """Return the rewards on test of the best arm that sees gaze, else of the best arm: of its first cell."""
    reached = [(arm.has_gaze, arm.accuracy, name) for name, arm in document.arms.items() if arm.accuracy is not None]
    if not reached:
        return ()
    _, _, best = max(reached)
    for cell in document.cells:
        file = margins_file(folder.trial_folder(cell.id), "test")
        if cell.arm == best and cell.state == "COMPLETE" and file.is_file():
            kept = read_margins(file)
            return (ScoredRun(f"the arm {best}, seed {cell.seed}", "test", kept.margins, kept.rewards, kept.words),)
    return ()


def _commands(folder: AblationFolder) -> tuple[tuple[str, str], ...]:
    study, storage = shlex.quote(str(folder.path / "study.yaml")), shlex.quote(str(folder.path.parent))
    name = shlex.quote(f"{folder.path.name}-again")
    return (("the whole ablation", f"gazetune ablate {study} --name {name} --storage {storage}"),)


def _cell_commands(document: AblationDocument, folder: AblationFolder, state: RunState) -> dict[str, str]:
    storage = folder.path.parent
    commands = {}
    for cell in document.cells:
        run = folder.trial_folder(cell.id)
        # Of an ablation that is not finished a cell has no name but its folder's.
        name = f"{folder.path.name}:{cell.arm}/{cell.seed}" if state == "finished" else str(run)
        if command := again_command(run, name, storage):
            commands[cell.id] = command
    return commands
