"""The doors of this room: run one search from its space to its document, or resume one that was stopped.

A mistake in the space, and a name that is taken, are told before anything heavy is imported: Ray, torch and MLflow
take seconds, so what runs a search is imported in the functions that run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gazetune.config.config_file import load_config, parse_overrides
from gazetune.config.keys import set_key
from gazetune.errors import Interrupted
from gazetune.files.paths import resolve_path
from gazetune.report.document import SearchDocument
from gazetune.report.wording import resume_command
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.study.earlier_defaults import keep_earlier_defaults
from gazetune.tracking.location import stored_tracking_uri
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.start.early_checks import check_small_sources
from gazetune.trials.start.session import create_run_folder, open_session


def run_search(
    space: str | Path,
    *,
    storage: str | Path = Path("gazetune_runs"),
    name: str | None = None,
    trials: int | None = None,
    overrides: Sequence[str] = (),
    tracking_uri: str | None = None,
    address: str | None = None,
    warm_start: str | None = None,
) -> SearchDocument:
    """Run a search to its end and return what it found; what `gazetune search` does.

    Parameters
    ----------
    space : str or Path
        A YAML search space, or the name of a shipped one, such as `demo`.
    storage : str or Path
        The folder of all results; the search lies in it under its name.
    name : str, optional
        Name of the search, its folder and its study; the space's own name by default.
    trials : int, optional
        Trials in all, in the place of the space's `search.trials`.
    overrides : sequence of str
        `dotted.key=value` each, as `--set` has them; a searched key that is set is searched no more.
    tracking_uri : str, optional
        The MLflow server; a sqlite file in `storage` by default.
    address : str, optional
        A running Ray cluster to join, or `auto` to find it; by default Ray runs on this machine, for this search.
    warm_start : str, optional
        Another search, by name or folder, whose COMPLETE trials the sampler is to know.

    Returns
    -------
    SearchDocument
        Every trial, the winner, the baselines it was compared with on the test split, and where the report is.

    Raises
    ------
    InputError
        For whatever is wrong with the space, the data, the storage, the study's storage, the tracking server or the
        size of the cluster; no worker was started then.
    RunError
        When every trial FAILed.
    Interrupted
        When the user stopped it.

    Examples
    --------
    >>> from gazetune import run_search
    >>> document = run_search("demo", trials=4)  # doctest: +SKIP
    >>> document.best.params["fusion.kind"]  # doctest: +SKIP
    'add'
    """
    searched = read_space(find_space_file(space), name, trials, overrides)
    uri = searched.config.tracking.uri if tracking_uri is None else tracking_uri
    if uri is not None:
        set_key(searched.base, "tracking.uri", stored_tracking_uri(uri))
    storage = resolve_path(storage, "--storage")
    SearchFolder.check_name_is_free(storage, searched)
    from gazetune.search.early_checks import check_search

    check_search(searched, storage)
    check_small_sources(searched.data_configs())
    if warm_start is not None:
        from gazetune.search.study.warm_start import check_warm_start

        check_warm_start(searched, warm_start, storage)

    def create() -> SearchFolder:  # before it is prepared: `gazetune status` and `--resume` know it from then on
        return SearchFolder.create(storage, searched, warm_start)

    with create_run_folder(storage, create, lambda made: not made.is_in_preparation()) as folder:
        return _run_in_folder(searched, folder, address, warm_start)


def resume_search(
    name: str,
    *,
    storage: str | Path = Path("gazetune_runs"),
    address: str | None = None,
    caps: Sequence[str] = (),
) -> SearchDocument:
    """Go on with a search that was stopped: finished trials stay, running ones continue from their checkpoints.

    Parameters
    ----------
    name : str
        Name of the search.
    storage, address
        As for `run_search`.
    caps : sequence of str
        `search.max_hours=VALUE` and the like; they stand in place of what the search had of them.

    Raises
    ------
    InputError
        When there is no such search, it is finished, or another driver works on it; for a cap that is not accepted; and
        as `run_search`.
    RunError, Interrupted
        As `run_search`.
    """
    storage = resolve_path(storage, "--storage")
    given = parse_overrides(caps)
    load_config(None, caps)  # refuses a wrong value before the folder is locked
    folder, space = SearchFolder.open_to_resume(storage, name, new_caps=bool(given))
    space = keep_earlier_defaults(space, folder)
    for key, value in given.items():
        set_key(space.base, key, value)
    from gazetune.search.early_checks import check_search

    check_search(space, storage)
    return _run_in_folder(space, folder, address, folder.read_warm_start())


def _run_in_folder(
    space: SearchSpace, folder: SearchFolder, address: str | None, warm_start: str | None
) -> SearchDocument:
    """Prepare the search of a folder and run its driver. If it is stopped or killed, one line says how to go on."""
    resume = resume_command(space.name, folder.path.parent)
    shapes, patience = space.resource_shapes(), space.config.search.node_patience
    with (
        ProgressDisplay(space.config.search.trials) as progress,
        open_session(folder, shapes, patience, address, progress, "trial", resume) as cluster,
    ):
        try:
            from gazetune.search.driver import drive_search
            from gazetune.search.preparation import prepare_search

            prepared = prepare_search(space, folder, cluster, warm_start, progress)
            return drive_search(prepared, cluster.start_slots)
        except KeyboardInterrupt:
            when = " while it was prepared" if folder.is_in_preparation() else ""
            raise Interrupted(f"search '{space.name}' was stopped{when}; go on with: {resume}") from None
