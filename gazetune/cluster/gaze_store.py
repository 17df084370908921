"""A gaze store that is built on a cluster, before anything needs what is in it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from gazetune.cluster.connect import ClusterSize, connect_to_cluster, disconnect_from_cluster
from gazetune.config import Config, ResourcesConfig
from gazetune.devices import without_gpus
from gazetune.errors import InputError, Interrupted
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.gaze.store.progress import StoreProgress
from gazetune.reward.data.stored_gaze import store_pair_gaze


def build_store_in_parallel(config: Config, storage: Path, workers: int | None, address: str | None) -> GazeStore:
    """Predict the measures of all texts of the data of `config`, and return the store that has them.

    Parameters
    ----------
    config
        Says which pairs, which predictor and where the store is.
    storage
        The folder of all results.
    workers
        Processes that predict. 1: this one, without Ray. None: all CPUs of the cluster, where that pays.
    address
        Of a running Ray cluster; None starts one here.

    Raises
    ------
    InputError
        If the pairs, the predictor or the store cannot be used, or there are fewer CPUs than `workers`.
    Interrupted
        When the user stopped it. What is predicted by then stays.
    """
    joined: list[ClusterSize] = []

    def join_cluster() -> ClusterSize:
        joined.append(connect_to_cluster(address, [ResourcesConfig()], storage))
        if workers is not None and workers > joined[0].cpus:
            raise InputError(f"--workers {workers}: there are {joined[0].cpus:g} CPUs; accepted: 1 to that")
        return joined[0]

    remote_prediction = None if workers == 1 else RayPrediction(join_cluster, workers)
    driving = nullcontext() if remote_prediction is None else without_gpus()
    with driving, StoreProgress() as progress:
        try:
            return store_pair_gaze(config, storage / "cache", progress.show_progress, remote_prediction)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped; {progress.describe()}; the same command goes on from there") from None
        finally:
            if joined:
                disconnect_from_cluster()
