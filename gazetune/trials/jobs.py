"""Running one job in a slot from outside of Tune: the comparison at the end of a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray

from gazetune.errors import RunError
from gazetune.trials.board import Spec

POLL_SECONDS = 0.5
"""How often is asked whether to go on waiting."""


def run_job(
    board: Any, spec: Spec, may_go_on: Callable[[], None], heard: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run one job in a slot and return its last message.

    Parameters
    ----------
    board
        The board's actor.
    spec
        The job.
    may_go_on
        Raises what ends the waiting; it is called twice a second.
    heard
        Gets every message, in order.

    Raises
    ------
    RunError
        When the job failed.
    """
    ray.get(board.submit.remote(spec))
    while True:
        coming = board.next.remote(spec["id"])
        while not ray.wait([coming], timeout=POLL_SECONDS)[0]:
            may_go_on()
        message: dict[str, Any] = ray.get(coming)
        if "failed" in message:
            raise RunError(f"{spec['id']}: {message['failed']}")
        heard(message)
        if message.get("done", True):
            return message
