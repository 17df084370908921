"""The doors of this room: run one ablation from its study to its document, or resume one that was stopped.

A mistake in the study, and a name that is taken, are told before anything heavy is imported, as in `search.run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gazetune.ablation.folder import AblationFolder
from gazetune.ablation.study.study import Study
from gazetune.ablation.study.study_file import read_study
from gazetune.config.keys import set_key
from gazetune.errors import InputError, Interrupted
from gazetune.files.paths import resolve_path
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.report.ablation_document import AblationDocument
from gazetune.report.wording import resume_ablation_command
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.tracking.location import check_tracking_uri, log_unwritten_secret, stored_tracking_uri
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.start.early_checks import check_small_sources
from gazetune.trials.start.session import create_run_folder, open_session


def run_ablation(
    study: str | Path,
    *,
    storage: str | Path = Path("gazetune_runs"),
    name: str | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    tracking_uri: str | None = None,
    address: str | None = None,
) -> AblationDocument:
    """Train every arm of a study with every seed, compare them on test, and return what was found.

    This is what `gazetune ablate` does.

    Parameters
    ----------
    study : str or Path
        A YAML study, or the name of a shipped one, such as `controls`.
    storage : str or Path
        The folder of all results; the ablation lies in it under its name.
    name : str, optional
        Name of the ablation and its folder; the study's own name by default.
    seeds : sequence of int, optional
        Training seeds, in the place of the study's.
    overrides : sequence of str
        `dotted.key=value` each, as `--set` has them.
    tracking_uri : str, optional
        The MLflow server; a sqlite file in `storage` by default.
    address : str, optional
        A running Ray cluster to join, or `auto` to find it; by default Ray runs on this machine, for this ablation.

    Returns
    -------
    AblationDocument
        Every arm with its mean over seeds, the comparisons, the verdict, every cell, and where the report is.

    Raises
    ------
    InputError
        For whatever is wrong with the study, the data, the storage, the tracking server or the size of the cluster; no
        worker was started then.
    RunError
        When every cell failed.
    Interrupted
        When the user stopped it.

    Examples
    --------
    >>> from gazetune import run_ablation
    >>> document = run_ablation("controls", seeds=[0, 1, 2])  # doctest: +SKIP
    >>> document.answer  # doctest: +SKIP
    'supported'
    """
    checked = read_study(find_space_file(study, "study"), name, seeds, overrides)
    uri = checked.config.tracking.uri if tracking_uri is None else tracking_uri
    if uri is not None:
        set_key(checked.base, "tracking.uri", stored_tracking_uri(uri))
        checked = _read_again(checked)
    storage = resolve_path(storage, "--storage")
    AblationFolder.check_name_is_free(storage, checked.name)
    _check_study(checked, storage)
    check_small_sources(checked.data_configs())

    def has_begun(folder: AblationFolder) -> bool:
        return folder.read_parent_run() is not None

    with create_run_folder(storage, lambda: AblationFolder.create(storage, checked), has_begun) as folder:
        return _run_in_folder(checked, folder, address)


def resume_ablation(
    name: str, *, storage: str | Path = Path("gazetune_runs"), address: str | None = None
) -> AblationDocument:
    """Go on with an ablation that was stopped: finished cells stay, cells that failed are tried again.

    Parameters
    ----------
    name : str
        Name of the ablation.
    storage, address
        As for `run_ablation`.

    Raises
    ------
    InputError
        When there is no such ablation, all its cells are COMPLETE, or another driver works on it; and as
        `run_ablation`.
    RunError, Interrupted
        As `run_ablation`.
    """
    storage = resolve_path(storage, "--storage")
    folder, study = AblationFolder.open_to_resume(storage, name)
    _check_study(study, storage)
    return _run_in_folder(study, folder, address)


def _read_again(study: Study) -> Study:
    """Return a study whose base has changed without what was known of the old base."""
    return Study(study.name, study.origin, study.base, study.arms, study.seeds, study.keep_models)


def _check_study(study: Study, storage: Path) -> None:
    """Raise `InputError` for what can be seen to be wrong before anything is written, prepared or started."""
    check_tracking_uri(study.config.tracking.uri, storage)
    _check_weights(study)
    log_unwritten_secret(study.config.tracking.uri, f"gazetune ablate --resume {study.name}")


def _check_weights(study: Study) -> None:
    """Refuse a predictor whose file is not given, named with the first arm that asks for it."""
    for arm, config in study.arm_configs.items():
        if config.fusion.kind == "none" or config.gaze.path is not None:
            continue
        try:
            create_predictor(config)
        except InputError as error:
            raise InputError(f"{study.origin}: arm '{arm}': {error}") from None


def _run_in_folder(study: Study, folder: AblationFolder, address: str | None) -> AblationDocument:
    """Prepare the ablation of a folder and run its driver. If it is stopped or killed, one line says how to go on."""
    resume = resume_ablation_command(study.name, folder.path.parent)
    shapes, patience = study.resource_shapes(), study.config.search.node_patience
    with (
        ProgressDisplay(len(study.cells), noun="cell") as progress,
        open_session(folder, shapes, patience, address, progress, "cell", resume) as cluster,
    ):
        try:
            from gazetune.ablation.driver import drive_ablation

            return drive_ablation(study, folder, cluster, progress)
        except KeyboardInterrupt:
            done = len(folder.read_complete_cells(study))
            raise Interrupted(
                f"ablation '{study.name}' was stopped with {done} of {len(study.cells)} cells finished; go on with: "
                f"{resume}"
            ) from None
