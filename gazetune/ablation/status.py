"""How far an ablation is, read from its folder, while any process may drive it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazetune.ablation.folder import AblationFolder
from gazetune.ablation.study.study_file import read_study
from gazetune.errors import InputError
from gazetune.report.wording import resume_ablation_command
from gazetune.trials.driver_requests import DriverNote


@dataclass(frozen=True)
class AblationStatus:
    """What an ablation has done so far."""

    name: str
    storage: str
    state: Literal["running", "interrupted", "finished", "unreadable"]
    driver: DriverNote | None = None
    """None unless one is at work."""
    cells: int | None = None
    complete: int | None = None
    failed: tuple[str, ...] = ()
    """Each cell that failed, with its reason."""
    problem: str | None = None
    """Why an unreadable ablation cannot be read."""


def list_ablations(storage: Path) -> list[AblationStatus]:
    """Return the ablations of a storage folder by name, without writing anything."""
    listed = []
    for name in AblationFolder.list_names(storage):
        try:
            listed.append(read_ablation_status(storage, name))
        except InputError as error:  # of one ablation, which hides no other
            listed.append(AblationStatus(name, str(storage / name), "unreadable", problem=str(error)))
    return listed


def read_ablation_status(storage: Path, name: str) -> AblationStatus:
    """Return what an ablation has done so far, without writing anything.

    Raises
    ------
    InputError
        When its study cannot be read.
    """
    folder = AblationFolder(storage / name)
    driven = folder.is_driven()
    study = read_study(folder.path / "study.yaml", name=name)
    records = [folder.read_cell(cell) for cell in study.cells]
    finished = folder.read_document() is not None
    return AblationStatus(
        name=name,
        storage=str(folder.path),
        state="running" if driven else "finished" if finished else "interrupted",
        driver=folder.requests.read_note() if driven else None,
        cells=len(study.cells),
        complete=len(folder.read_complete_cells(study)),
        failed=tuple(
            f"{each.arm}, seed {each.seed}: {each.reason}" for each in records if each is not None and each.reason
        ),
    )


def describe_ablation(status: AblationStatus) -> list[str]:
    """Return the status for people, line by line."""
    if status.problem is not None:
        return [f"ablation {status.name}: {status.problem}"]
    storage = Path(status.storage).parent
    doing = {
        "finished": f"finished; its report is {Path(status.storage) / 'report.md'}",
        "interrupted": f"interrupted; go on with: {resume_ablation_command(status.name, storage)}",
    }.get(status.state, "starting" if status.driver is None else f"{status.driver.phase}, process {status.driver.pid}")
    counted = f"cells: {status.complete} of {status.cells} COMPLETE, {len(status.failed)} FAIL"
    return [f"ablation {status.name}: {doing}", counted, *(f"FAIL: cell {each}" for each in status.failed)]
