"""The doors of this room: run one search from its space to its document, or resume one that was stopped."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ray.exceptions import RayError, RayTaskError

from gazetune.cluster.connect import ClusterSize, connect_to_cluster, disconnect_from_cluster
from gazetune.config import Config
from gazetune.config.config_file import load_config, parse_overrides
from gazetune.config.keys import set_key
from gazetune.errors import RunError
from gazetune.files.paths import resolve_path
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.report.document import SearchDocument
from gazetune.reward.data.prepared_data import PreparedData, is_prepared, prepare_data
from gazetune.reward.model.pair_losses import check_scores
from gazetune.search.active_search import PreparedSearch
from gazetune.search.driver import drive_search
from gazetune.search.exit_message import ExitMessage
from gazetune.search.folder import SearchFolder
from gazetune.search.input_checks import check_backbones, check_sources
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.stopping.caps import check_caps
from gazetune.search.stopping.schedulers import check_same_pairs, check_scheduler, plan_rungs
from gazetune.search.study.objectives import check_objectives
from gazetune.search.study.samplers import check_sampler
from gazetune.search.study.seeding import seed_study
from gazetune.search.study.storage import check_study_storage, open_study
from gazetune.search.study.warm_start import with_history
from gazetune.tracking.location import check_tracking_uri, log_unwritten_secret, stored_tracking_uri
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.train.steps import StepPlan
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFacts


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
    return _prepare_and_run(searched, storage, None, address, warm_start)


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
    for key, value in given.items():
        set_key(space.base, key, value)
    return _prepare_and_run(space, storage, folder, address)


def _prepare_and_run(
    space: SearchSpace, storage: Path, folder: SearchFolder | None, address: str | None, warm_start: str | None = None
) -> SearchDocument:
    """Check and prepare everything, then connect and search; a new search (`folder` is None) gets its folder last.

    Ray is there earlier only when there are so many reading measures to predict that it pays.
    """
    check_objectives(space.config.search, space.resource_shapes(), space.origin)
    check_scheduler(space.config.search, space.origin)
    check_sampler(space)
    check_caps(space.config.search, space.resource_shapes(), space.origin)
    check_tracking_uri(space.config.tracking.uri, storage)
    check_study_storage(space.config.search.storage, space.name, storage / space.name)
    log_unwritten_secret(space.config.tracking.uri, f"gazetune search --resume {space.name}")
    with ProgressDisplay(space.config.search.trials) as progress, ExitStack() as stack:
        # The stack ends in reverse order: Ray first, the exit message last.
        exit_message = stack.enter_context(ExitMessage())

        @stack.callback
        def unlock_folder() -> None:
            if folder is not None:
                folder.unlock()

        @functools.cache
        def join_cluster() -> ClusterSize:
            size = connect_to_cluster(address, space.resource_shapes(), storage)
            stack.callback(disconnect_from_cluster)
            return size

        data = _prepare_data(space, storage / "cache", progress, RayPrediction(join_cluster))
        check_same_pairs(space.config.search, [each.facts.data_fingerprint for each in data])
        rungs = plan_rungs(space.config.search, _full_budget(space.config, data[0]))
        facts = RunFacts(" ".join(sorted({each.facts.data_fingerprint for each in data})), rungs.budget)
        if warm_start is not None:
            space = with_history(space, warm_start, storage, facts)
        cluster = join_cluster()
        tracker = Tracker.open(space.config.tracking.uri, storage, "gazetune")
        if folder is None:
            folder = SearchFolder.create(storage, space)
        else:
            folder.write_space(space)
        folder.write_facts(facts)
        seed_study(open_study(space.name, space.config.search, folder.path), space)
        return _run_driver(PreparedSearch(space, folder, tracker, data, rungs, cluster, progress), exit_message)


def _run_driver(prepared: PreparedSearch, exit_message: ExitMessage) -> SearchDocument:
    """Run the driver. If it or its Ray is killed on the way, one line says how to go on."""
    name, storage = prepared.space.name, prepared.folder.path.parent
    resume = (
        "finished trials stay, and those that ran go on from their last checkpoints with: "
        f"gazetune search --resume {name} --storage {storage}"
    )
    killed = f"search '{name}' ended, as its process or its Ray was killed; {resume}"
    exit_message.print_if_killed(f"gazetune: error: {killed}")
    try:
        return drive_search(prepared)
    except RayError as error:
        if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
            raise  # an error of our own code, in a Ray that is well
        raise RunError(f"search '{name}' ended, as its Ray was killed; {resume}") from error


def _prepare_data(
    space: SearchSpace, cache: Path, progress: ProgressDisplay, prediction: RayPrediction
) -> list[PreparedData]:
    """Prepare every data set that trials can ask for; the first one is the base config's, where that is one of them."""
    progress.print_stage("preparing data and gaze")
    check_backbones(space)
    configs = space.data_configs()
    missing = [config for config in configs if not is_prepared(config, cache)]
    if len(missing) > 1:  # `prepare_data` itself reads those of one before it writes
        check_sources(missing)
    prepared = []
    for config in configs:
        prepared.append(prepare_data(config, cache, remote_prediction=prediction))
        check_scores(config.loss, config.data.source, prepared[-1].train.scores)
    for data in {data.folder: data for data in prepared}.values():
        pairs = ", ".join(f"{split} {count}" for split, count in data.facts.pairs.items())
        progress.print_stage(f"pairs: {pairs}" + (f"; dropped: {data.facts.dropped}" if data.facts.dropped else ""))
    return prepared


def _full_budget(config: Config, data: PreparedData) -> int:
    """Return the training examples of a trial that nothing stops."""
    plan = StepPlan.from_config(config.train, len(data.train))
    return plan.examples_after(plan.total_steps)
