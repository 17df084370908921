"""One search, from a space file to the table of what won; and going on with one that was stopped."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ray.exceptions import RayError, RayTaskError

from gazetune.cluster.connect import ClusterSize, connect, disconnect
from gazetune.config import Config
from gazetune.config.yaml_file import load_config, parse_overrides, set_key
from gazetune.errors import RunError
from gazetune.gaze.registry import create_predictor
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.preferences.splits import load_splits
from gazetune.report.document import SearchDocument
from gazetune.reward.data.prepared_data import PreparedData, is_prepared, prepare
from gazetune.reward.model.backbone import context_length
from gazetune.reward.model.pair_losses import check_scores
from gazetune.search.driver import Driver
from gazetune.search.exit_message import LastWords
from gazetune.search.folder import Facts, SearchFolder, check_free
from gazetune.search.progress import SearchProgress
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.stopping.caps import check_caps
from gazetune.search.stopping.schedulers import check_comparable, plan_rungs
from gazetune.search.study.objectives import check_objectives
from gazetune.search.study.samplers import check_sampler
from gazetune.search.study.searcher import open_study
from gazetune.search.study.seeding import seed_study
from gazetune.search.study.storage import check_study_storage
from gazetune.search.study.warm_start import with_history
from gazetune.tracking.location import check_tracking
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.train.steps import StepPlan


def search(
    space_file: Path,
    name: str | None,
    trials: int | None,
    overrides: Sequence[str],
    storage: Path,
    tracking_uri: str | None,
    address: str | None,
    warm_start: str | None = None,
) -> SearchDocument:
    """Run a search to its end and return what it found.

    Raises
    ------
    InputError
        For whatever is wrong with the space, the data, the storage, the study's storage, the tracking server or the
        size of the cluster; no worker was started then.
    RunError
        When every trial FAILed.
    Interrupted
        When the user stopped it.
    """
    space = read_space(space_file, name, trials, overrides)
    if tracking_uri is not None:
        set_key(space.base, "tracking.uri", tracking_uri)
    storage = storage.resolve()
    check_free(storage, space)
    return _drive(space, storage, None, address, warm_start)


def resume(name: str, storage: Path, address: str | None, caps: Sequence[str] = ()) -> SearchDocument:
    """Go on with a search that was stopped: finished trials stay, running ones continue from their checkpoints.

    `caps` are `search.max_hours=VALUE` and the like, and stand in place of what the search had of them.

    Raises
    ------
    InputError
        When there is no such search, it is finished, or another driver works on it; for a cap that is not accepted; and
        as `search`.
    RunError, Interrupted
        As `search`.
    """
    storage = storage.resolve()
    given = parse_overrides(caps)
    load_config(None, caps)  # refuses a wrong value before the folder is held
    folder, space = SearchFolder.open(storage, name, more=bool(given))
    for key, value in given.items():
        set_key(space.base, key, value)
    return _drive(space, storage, folder, address)


def _drive(
    space: SearchSpace, storage: Path, folder: SearchFolder | None, address: str | None, warm_start: str | None = None
) -> SearchDocument:
    """Check and prepare everything, then connect and search; a new search gets its folder last.

    Ray is there earlier only when there are so many reading measures to predict that it pays.
    """
    check_objectives(space.config.search, space.shapes(), space.origin)
    check_sampler(space)
    check_caps(space.config.search, space.shapes(), space.origin)
    check_tracking(space.config.tracking.uri, storage)
    check_study_storage(space.config.search.storage, space.name, storage / space.name)
    with SearchProgress(space.config.search.trials) as progress, ExitStack() as undo:
        words = undo.enter_context(LastWords())  # ends last, after Ray

        @undo.callback
        def let_go() -> None:
            if folder is not None:
                folder.release()

        @functools.cache
        def join() -> ClusterSize:
            size = connect(address, space.shapes(), storage)
            undo.callback(disconnect)
            return size

        data = _prepare_data(space, storage / "cache", progress, RayPrediction(join))
        check_comparable(space.config.search, [each.facts.data_fingerprint for each in data])
        rungs = plan_rungs(space.config.search, _budget(space.config, data[0]))
        facts = Facts(" ".join(sorted({each.facts.data_fingerprint for each in data})), rungs.budget)
        if warm_start is not None:
            space = with_history(space, warm_start, storage, facts)
        cluster = join()
        tracker = Tracker.open(space.config.tracking.uri, storage, "gazetune")
        if folder is None:
            folder = SearchFolder.create(storage, space)
        else:
            folder.write_space(space)
        folder.write_facts(facts)
        seed_study(open_study(space.name, space.config.search, folder.path), space)
        return _run(Driver(space, folder, tracker, data, rungs, cluster, progress), words)


def _run(driver: Driver, words: LastWords) -> SearchDocument:
    """Run the driver. If it or its Ray is killed on the way, one line says how to go on."""
    name, storage = driver.space.name, driver.folder.path.parent
    kept = (
        "finished trials stay, and those that ran go on from their last checkpoints with: "
        f"gazetune search --resume {name} --storage {storage}"
    )
    words.leave(f"gazetune: error: search '{name}' ended, as its process or its Ray was killed; {kept}")
    try:
        return driver.run()
    except RayError as error:
        if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
            raise  # an error of our own code, in a Ray that is well
        raise RunError(f"search '{name}' ended, as its Ray was killed; {kept}") from error


def _prepare_data(
    space: SearchSpace, cache: Path, progress: SearchProgress, elsewhere: RayPrediction
) -> list[PreparedData]:
    """Prepare every data set that trials can ask for; the first one is the base config's, where that is one of them."""
    progress.stage("preparing data and gaze")
    configs = space.data_configs()
    _check_inputs([config for config in configs if not is_prepared(config, cache)])
    prepared = []
    for config in configs:
        prepared.append(prepare(config, cache, elsewhere=elsewhere))
        check_scores(config.loss, config.data.source, prepared[-1].train.scores)
    for data in {data.folder: data for data in prepared}.values():
        pairs = ", ".join(f"{split} {count}" for split, count in data.facts.pairs.items())
        progress.stage(f"pairs: {pairs}" + (f"; dropped: {data.facts.dropped}" if data.facts.dropped else ""))
    return prepared


def _check_inputs(configs: Sequence[Config]) -> None:
    """Read each backbone, predictor and source once, so that a bad one is refused before the first data set is made."""
    if len(configs) < 2:
        return  # `prepare` itself reads them before it writes
    for backbone in {config.backbone: None for config in configs}:
        context_length(backbone)
    for config in {_predictor_of(config): config for config in configs}.values():
        create_predictor(config)
    for data in {config.data: None for config in configs}:
        load_splits(data)


def _predictor_of(config: Config) -> tuple[str | int | None, ...]:
    return (config.gaze.predictor, config.gaze.path, config.gaze.reader, config.data.seed)


def _budget(config: Config, data: PreparedData) -> int:
    plan = StepPlan.of(config.train, len(data.train))
    return plan.examples(plan.total_steps)
