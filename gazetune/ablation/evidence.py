"""What the report of an ablation shows, gathered from its folder; nothing is trained and nothing scored."""

from __future__ import annotations

import shlex
from pathlib import Path

from gazetune.ablation.folder import AblationFolder
from gazetune.errors import InputError
from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.report.ablation_document import AblationDocument, CellRecord
from gazetune.report.evidence import Curve, RunEvidence, ScoredRun
from gazetune.report.html.ablation_parts import document_of_cells
from gazetune.report.read_document import read_ablation_document
from gazetune.report.wording import resume_ablation_command


def read_ablation_evidence(storage: Path, name: str) -> RunEvidence:
    """Return what there is of a finished ablation.

    Raises
    ------
    InputError
        When it is not finished, or its document cannot be read.
    """
    folder = AblationFolder(storage / name)
    stored = folder.read_document()
    if stored is None:
        raise InputError(
            f"ablation '{name}' is not finished, and has its report at its end; go on with: "
            f"{resume_ablation_command(name, storage)}"
        )
    try:
        return gather_evidence(read_ablation_document(stored), folder)
    except ValueError as error:
        raise InputError(f"{folder.document}: {error}; accepted: the document of a finished ablation") from None


def gather_evidence(document: AblationDocument, folder: AblationFolder) -> RunEvidence:
    """Return what the report of an ablation shows."""
    storage = shlex.quote(str(folder.path.parent))
    configs = {cell.id: folder.trial_folder(cell.id) / "config.yaml" for cell in document.cells}
    again = f"gazetune ablate {shlex.quote(str(folder.path / 'study.yaml'))} --name {shlex.quote(document.name)}-again"
    curves = tuple(Curve(cell.id, points) for cell in document.cells if (points := folder.read_curve(cell.id)))
    return RunEvidence(
        document_of_cells(document),
        ablation=document,
        notes=document.notes,
        curves=curves,
        no_curves="" if curves else "no cell was evaluated before its end",
        scored=_scored_runs(document, folder),
        commands=(("the whole ablation", f"{again} --storage {storage}"),),
        trial_commands={
            cell: f"gazetune train {shlex.quote(str(config))} --storage {storage}"
            for cell, config in configs.items()
            if config.is_file()
        },
    )


def _scored_runs(document: AblationDocument, folder: AblationFolder) -> tuple[ScoredRun, ...]:
    """Return the rewards on test of the first cell of the best arm with gaze, or else of the best arm."""
    complete = [cell for cell in document.cells if cell.state == "COMPLETE"]

    def rank(cell: CellRecord) -> tuple[bool, float]:
        arm = document.arms[cell.arm]
        return arm.has_gaze, arm.accuracy or 0.0

    best = max(complete, key=rank, default=None)
    if best is None or not margins_file(folder.trial_folder(best.id), "test").is_file():
        return ()
    kept = read_margins(margins_file(folder.trial_folder(best.id), "test"))
    return (ScoredRun(f"{best.arm}, seed {best.seed}", "test", kept.margins, kept.rewards, kept.words),)
