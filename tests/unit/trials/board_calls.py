"""What tests of the board have in common: jobs of one shape or two, and slots that take them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gazetune.config import ResourcesConfig
from gazetune.trials.board import Board
from gazetune.trials.messages import TrainJob
from tests.unit.trials.messages import train_job

ONE, TWO = (ResourcesConfig(workers=workers, cpus_per_worker=1.0, gpus_per_worker=0.0) for workers in (1, 2))


def ends(scenario: Coroutine[Any, Any, Any]) -> Any:
    """Run a scenario; a call of it that never comes back is a failure."""
    return asyncio.run(asyncio.wait_for(scenario, 20.0))


async def submit(board: Board, *ids: str, shape: ResourcesConfig = ONE) -> None:
    for job_id in ids:
        await board.submit_job(train_job(job_id, shape=shape))


async def taken(board: Board, slot: int) -> str:
    """Let a slot take a job, and return which one."""
    job = await board.take_job(slot, ONE, 1.0)
    assert isinstance(job, TrainJob)
    return job.id


async def other_calls() -> None:
    """Let the calls that were begun come to where they wait."""
    for _ in range(3):
        await asyncio.sleep(0)
