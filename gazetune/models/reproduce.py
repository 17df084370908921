"""Running a finished run again: its config, its evaluations, its threads; and whether the figures are the same.

A trial of a search is evaluated at the search's rungs, and may have been stopped at one of them. Its saved model is
that of its best evaluation. So a run is reproduced with the evaluations that it had, which its folder tells, and ends
at the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gazetune.config import TrackingConfig
from gazetune.config.config_file import load_config
from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins, margins_file, read_margins
from gazetune.files.paths import resolve_path
from gazetune.models.resolve_margins import resolve_run
from gazetune.tracking.environment import read_environment
from gazetune.train.run import RunAgain, train_model


@dataclass(frozen=True, slots=True)
class ReproducedSplit:
    """The rewards of both runs on one split."""

    accuracy_before: float
    accuracy: float
    largest_difference: float
    """Of a reward; 0 where all are the same bits."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A run and the same run again."""

    run: str
    """Folder of the first one."""
    again: str
    """Folder of the second one."""
    mlflow_run: str
    """Of the second one."""
    differences: tuple[str, ...]
    """What is another now: code, packages, processor, threads. Then figures may differ."""
    splits: dict[str, ReproducedSplit]
    """By `validation`, and `test` where the first run was scored there."""

    @property
    def is_identical(self) -> bool:
        """Whether every reward has the same bits."""
        return all(split.largest_difference == 0.0 for split in self.splits.values())


def reproduce_run(text: str, storage: Path, name: str | None, tell: Callable[[str], None]) -> Reproduction:
    """Run a finished run again in `storage`, and compare the rewards of both.

    Parameters
    ----------
    text
        What `resolve_margins` takes, apart from files: a run of `gazetune train`, a trial, a cell of an ablation.
    storage
        The folder of all results; the new run lies in it, too.
    name
        Of the new run; that of the old one with `-again` by default.
    tell
        Takes lines for people.

    Raises
    ------
    InputError
        When there is no such run, it left no evaluation, its pairs have changed, or the name is taken.
    RunError
        As `train_model`.
    """
    storage = resolve_path(storage, "--storage")
    folder = resolve_run(text, storage)
    evaluations = tuple(sorted(int(each.name) for each in folder.glob("margins/[0-9]*")))
    if not (folder / "config.yaml").is_file() or not evaluations:
        raise InputError(f"{text}: {folder} has no config.yaml and evaluations; accepted: a run that was trained")
    before = read_environment(folder)
    if before is None:
        tell(f"{folder} is of an older version, which did not note its threads: figures may differ")
    # The runs of a search are on its server, which another user may not reach; the new run is this storage's own.
    config = load_config(folder / "config.yaml").model_copy(update={"tracking": TrackingConfig()})
    fingerprint = None if before is None else before.data_fingerprint
    again = RunAgain(evaluations, None if before is None else before.threads, fingerprint)
    document = train_model(config, name or f"{_name_of(folder)}-again", storage, again)
    new = Path(document["folder"])
    now = read_environment(new)
    differences = () if before is None or now is None else tuple(before.list_differences(now))
    splits = {
        split: _compare_split(read_margins(margins_file(folder, split)), read_margins(margins_file(new, split)))
        for split in ("validation", "test")
        if margins_file(folder, split).exists()
    }
    return Reproduction(str(folder), str(new), document["mlflow_run"], differences, splits)


def _name_of(folder: Path) -> str:
    """Return what a run is called: `demo-0003` of a trial, `mine` of a run of `gazetune train`."""
    if folder.parent.name in ("trials", "baselines"):
        return f"{folder.parent.parent.name}-{folder.name}"
    return folder.name


def _compare_split(before: Margins, after: Margins) -> ReproducedSplit:
    if before.items.tolist() != after.items.tolist():
        raise InputError("the pairs of both runs are not the same ones: the data have changed since")
    largest = float(np.abs(before.rewards - after.rewards).max())
    return ReproducedSplit(float(before.correctness.mean()), float(after.correctness.mean()), largest)
