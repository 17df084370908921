"""The border to Ray Tune: a Tune trial that feeds one job to the board and passes its reports on.

A feeder trains nothing and claims no CPU. It is kept free of heavy imports and reused from trial to trial, so that
starting a trial costs milliseconds.

Tune knows only dictionaries. `FeederConfig` is the one that a searcher gives to Tune, `tune_result` makes the one that
comes back, and `message_in` reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypedDict

import ray
from ray import tune
from ray.actor import ActorProxy

from gazetune.trials.board import NAMESPACE, Board
from gazetune.trials.messages import EvaluationResult, JobFailure, TrainingReport, TrainJob
from gazetune.trials.objective import Objective


class FeederConfig(TypedDict):
    """The config of a trial of Tune."""

    board: str
    """Name of the board's actor."""
    job: TrainJob
    objective: Objective
    """What Tune's schedulers look at."""


def tune_result(examples: int, objective: float, message: TrainingReport | JobFailure | None = None) -> dict[str, Any]:
    """Return what Tune, its schedulers and the searcher get for a report of a trial. Tune adds entries of its own.

    Parameters
    ----------
    examples
        Training examples, in which rungs are counted.
    objective
        Turned so that more is better.
    message
        What the trial reported; None where a resumed search repeats what it knows of a trial.
    """
    result: dict[str, Any] = {"examples": examples, "objective": objective, "done": False}
    if message is not None:
        result["message"] = message
        # A failure is a result too, so that the feeder's actor can be used again.
        result["done"] = isinstance(message, JobFailure) or message.done
    return result


def message_in(result: Mapping[str, Any]) -> TrainingReport | JobFailure:
    """Return the message that a result of Tune was made from."""
    message: TrainingReport | JobFailure = result["message"]
    return message


class Feeder(tune.Trainable):
    """One Tune trial after another; the config of each is a `FeederConfig`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Submit the job of the first trial."""
        self._job: TrainJob = config["job"]
        self._objective: Objective = config["objective"]
        self._board: ActorProxy[Board] = ray.get_actor(config["board"], namespace=NAMESPACE)
        self._last = (0, -math.inf)
        """Examples and objective of the last report."""
        ray.get(self._board.submit_job.remote(self._job))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Submit the job of the next trial."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next report of the job."""
        message = ray.get(self._board.next_message.remote(self._job.id))
        assert not isinstance(message, EvaluationResult), "a TrainJob has no such result"
        if isinstance(message, TrainingReport):
            self._last = (message.examples, self._objective.oriented(self._objective.value(message)))
        return tune_result(*self._last, message)
