"""Predicting the measures of many texts in several processes on Ray. The only file of this room that imports Ray."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import ray

from gazetune.config import Config
from gazetune.errors import GazetuneError, InputError, RunError
from gazetune.gaze.measures import FlatGaze, GazePredictor
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.gaze.store.build import Batches, PredictBatches, predict_flat

START_AFTER = 20.0
"""Seconds of work that must be left for other processes to pay: starting Ray and loading a predictor takes several."""

_WARM_UP, _TIMED = 2, 8  # texts predicted to guess how long all will take
_RESTARTS = 2  # of one process that died
_LOG = logging.getLogger(__name__)


class Capacity(Protocol):
    """What a cluster has, with the nodes that its autoscaler may still start."""

    @property
    def cpus(self) -> float:
        """CPUs of all nodes."""

    @property
    def gpus(self) -> float:
        """GPUs of all nodes."""


@dataclass(frozen=True)
class RayPrediction:
    """Predicts in this process while that is quick, and in processes on Ray where there is more to do.

    Each process loads the predictor once. It has a GPU of its own where the cluster has one and the predictor takes it
    (a true attribute `takes_gpu`), else one CPU. If a process dies, its texts go to another one. All processes are
    ended when the work is done or given up.

    Where nothing is free, one process is asked for, so that an autoscaler starts a node for it: with a GPU, if trials
    have one too. More processes follow where that node has room for them. Where no node comes in
    `search.node_patience` seconds, this process predicts.
    """

    connect: Callable[[], Capacity]
    """Called before the first process starts: joins or starts Ray if that was not done yet."""
    workers: int | None = None
    """Processes to start, whatever there is to do; None: as many as are free, where it pays."""

    def __call__(self, config: Config, predictor: GazePredictor) -> PredictBatches:
        """Return what predicts batches with the predictor, which other processes can make from the config.

        Raises
        ------
        InputError
            While predicting: if the predictor refuses a text, or another node makes another predictor of the config.
        RunError
            While predicting: if every process died too often.
        """

        def predict(batches: Batches) -> Generator[tuple[int, FlatGaze], None, None]:
            first = 0
            if self.workers is None:
                first = yield from _predict_while_quick(predictor, batches)
            if first == len(batches):
                return
            capacity = self.connect()
            resource = _needed_resource(predictor, config, capacity)
            actors: list[Any] = []
            try:
                if not self.workers and not _count_free(resource):
                    actors = _await_process(config, predictor, resource, capacity)
                    if not actors:
                        for index in range(first, len(batches)):
                            yield index, predict_flat(predictor, batches[index])
                        return
                count = min(self.workers or len(actors) + _count_free(resource), len(batches) - first)
                actors += [_start_process(config, predictor, resource) for _ in range(count - len(actors))]
                texts = sum(map(len, batches[first:]))
                _LOG.info(f"predicting reading measures of {texts} texts in {len(actors)} processes")
                yield from _hand_out_batches(actors, deque(range(first, len(batches))), batches)
            finally:
                for actor in actors:
                    ray.kill(actor)

        return predict


class PredictorProcess:
    """A predictor in a process of its own."""

    def __init__(self, config: Config, fingerprint: str) -> None:
        self._config = config
        self._fingerprint = fingerprint

    def load(self) -> None:
        """Load the predictor now."""
        _ = self._predictor

    def predict(self, texts: list[str]) -> FlatGaze:
        """Return the measures of texts."""
        return predict_flat(self._predictor, texts)

    @cached_property
    def _predictor(self) -> GazePredictor:
        # Not in the constructor: an error there reaches the driver as a dead process without its cause.
        predictor = create_predictor(self._config)
        if predictor.fingerprint != self._fingerprint:
            raise InputError(
                f"gaze.predictor: node {ray.util.get_node_ip_address()} makes {predictor.fingerprint} of the config, "
                f"this one {self._fingerprint}; every node needs the same files and versions"
            )
        return predictor


def _predict_while_quick(predictor: GazePredictor, batches: Batches) -> Generator[tuple[int, FlatGaze], None, int]:
    """Predict here until more than `START_AFTER` seconds of work seem to be left; returns how many batches are done."""
    texts = sum(map(len, batches))
    if not texts:
        return len(batches)
    predict_flat(predictor, batches[0][:_WARM_UP])
    sample = batches[0][:_TIMED]
    begin = time.perf_counter()
    predict_flat(predictor, sample)
    seconds, predicted = time.perf_counter() - begin, len(sample)
    for index, batch in enumerate(batches):
        if seconds / predicted * texts > START_AFTER:
            return index
        begin = time.perf_counter()
        found = predict_flat(predictor, batch)
        seconds, predicted = seconds + time.perf_counter() - begin, predicted + len(batch)
        texts -= len(batch)
        yield index, found
    return len(batches)


def _needed_resource(predictor: GazePredictor, config: Config, capacity: Capacity) -> str:
    """Return what of Ray a process needs one of: a GPU where there is one for it, else a CPU."""
    if not getattr(predictor, "takes_gpu", False):
        return "CPU"
    may_come = config.resources.gpus_per_worker > 0 and capacity.gpus >= 1
    return "GPU" if ray.cluster_resources().get("GPU", 0) >= 1 or may_come else "CPU"


def _count_free(resource: str) -> int:
    return int(ray.available_resources().get(resource, 0))


def _start_process(config: Config, predictor: GazePredictor, resource: str) -> Any:
    options = {"num_cpus": 1, "num_gpus": int(resource == "GPU")}
    actor = ray.remote(PredictorProcess).options(**options, max_restarts=_RESTARTS, max_task_retries=-1)
    return actor.remote(config, predictor.fingerprint)


def _await_process(config: Config, predictor: GazePredictor, resource: str, capacity: Capacity) -> list[Any]:
    """Ask for one process although nothing is free, and return it once it has come; an empty list if it has not."""
    patience = config.search.node_patience
    if (capacity.gpus if resource == "GPU" else capacity.cpus) < 1:
        return []
    _LOG.info(f"asking the cluster for a {resource} to predict reading measures")
    actor = _start_process(config, predictor, resource)
    if ray.wait([actor.load.remote()], timeout=patience)[0]:
        return [actor]
    ray.kill(actor)
    _LOG.warning(f"no {resource} came free in {patience:g} s: reading measures are predicted in this process")
    return []


def _hand_out_batches(
    actors: list[Any], waiting: deque[int], batches: Batches
) -> Generator[tuple[int, FlatGaze], None, None]:
    """Give each process that is ready the next batch, until all are done.

    A process is ready when it has loaded its predictor or returned a batch. `running` holds what each process was asked
    for: a batch, or None while it loads. A batch whose process died goes back to the front of the queue.
    """
    running: dict[Any, tuple[Any, int | None]] = {actor.load.remote(): (actor, None) for actor in actors}
    idle: list[Any] = []
    reason = "unknown"
    missing = len(waiting)
    while missing:
        while idle and waiting:
            actor, index = idle.pop(), waiting.popleft()
            running[actor.predict.remote(batches[index])] = (actor, index)
        if not running:
            raise RunError(f"every process of the gaze predictor died, the last one of: {reason}")
        (done,), _ = ray.wait(list(running), num_returns=1)
        actor, asked = running.pop(done)
        try:
            found = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, GazetuneError):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            reason = str(error).strip().splitlines()[-1].partition(" Worker exit type")[0]
            if asked is not None:
                waiting.appendleft(asked)
            continue
        idle.append(actor)
        if asked is not None:
            yield asked, found
            missing -= 1
