"""The Ray Tune trial: it feeds one job to the board and passes its reports on. It trains nothing and claims no CPU.

Kept free of heavy imports, and reused from trial to trial, so that starting a trial costs milliseconds.
"""

from __future__ import annotations

import math
from typing import Any

import ray
from ray import tune

NAMESPACE = "gazetune"


class Feeder(tune.Trainable):
    """One Tune trial after another. `config` holds `board` (the actor's name) and `job` (see `board.Spec`)."""

    def setup(self, config: dict[str, Any]) -> None:
        """Submit the job of the first trial."""
        self._last: dict[str, Any] = {"examples": 0, "objective": -math.inf}
        self._board = ray.get_actor(config["board"], namespace=NAMESPACE)
        self._job = config["job"]["id"]
        ray.get(self._board.submit.remote(config["job"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Submit the job of the next trial."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next report of the job. A failure is a result too, so that this actor can be used again."""
        message: Any = ray.get(self._board.next.remote(self._job))
        if "failed" in message:
            return {**self._last, "outcome": "FAIL", "reason": message["failed"], "done": True}
        self._last = {"examples": message["examples"], "objective": message["objective"]}
        # In a list, since Tune would take a dictionary apart.
        outcome = "COMPLETE" if message["done"] else "RUNNING"
        return {**self._last, "report": [message], "outcome": outcome, "done": message["done"]}
