"""One search, from a space file to the table of what won; and going on with one that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gazetune.cluster.connect import connect, disconnect
from gazetune.config import Config
from gazetune.config_file import set_key
from gazetune.report.document import SearchDocument
from gazetune.reward.dataset import PreparedData, prepare
from gazetune.search.driver import Driver
from gazetune.search.folder import SearchFolder, check_free
from gazetune.search.progress import SearchProgress
from gazetune.search.schedulers import plan_rungs
from gazetune.search.space import SearchSpace, read_space
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
) -> SearchDocument:
    """Run a search to its end and return what it found.

    Raises
    ------
    InputError
        For whatever is wrong with the space, the data, the storage, the tracking server or the size of the cluster;
        no worker was started then.
    RunError
        When every trial FAILed.
    Interrupted
        When the user stopped it.
    """
    space = read_space(space_file, name, trials, overrides)
    if tracking_uri is not None:
        set_key(space.base, "tracking.uri", tracking_uri)
    storage = storage.resolve()
    check_free(storage, space.name)
    return _drive(space, storage, None, address)


def resume(name: str, storage: Path, address: str | None) -> SearchDocument:
    """Go on with a search that was stopped: finished trials stay, running ones continue from their checkpoints.

    Raises
    ------
    InputError
        When there is no such search, it is finished, or another driver works on it; and as `search`.
    RunError, Interrupted
        As `search`.
    """
    storage = storage.resolve()
    folder, space = SearchFolder.open(storage, name)
    return _drive(space, storage, folder, address)


def _drive(space: SearchSpace, storage: Path, folder: SearchFolder | None, address: str | None) -> SearchDocument:
    """Check and prepare everything, then connect and search; a new search gets its folder last."""
    tracker = Tracker.open(space.config.tracking.uri, storage, "gazetune")
    with SearchProgress(space.config.search.trials) as progress:
        data = _prepare_data(space, storage / "cache", progress)
        rungs = plan_rungs(space.config.search, _budget(space.config, data))
        cluster = connect(address, space.config.resources, storage)
        try:
            folder = folder or SearchFolder.create(storage, space)
            return Driver(space, folder, tracker, data, rungs, cluster, progress).run()
        finally:
            disconnect()
            if folder is not None:
                folder.release()


def _prepare_data(space: SearchSpace, cache: Path, progress: SearchProgress) -> PreparedData:
    """Prepare every data set that trials can ask for; returns the base config's (or the first) one."""
    progress.stage("preparing data and gaze")
    prepared = [prepare(config, cache) for config in space.data_configs()]
    for data in {data.folder: data for data in prepared}.values():
        pairs = ", ".join(f"{split} {count}" for split, count in data.facts.pairs.items())
        progress.stage(f"pairs: {pairs}" + (f"; dropped: {data.facts.dropped}" if data.facts.dropped else ""))
    return prepared[0]


def _budget(config: Config, data: PreparedData) -> int:
    plan = StepPlan.of(config.train, len(data.train))
    return plan.examples(plan.total_steps)
