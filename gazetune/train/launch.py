"""Running a function in one or several worker processes on this machine, without Ray."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from gazetune.errors import RunError


def launch(workers: int, function: Callable[..., None], *arguments: Any) -> None:
    """Call `function(*arguments)` in every worker of a process group and wait for all.

    With one worker, or where torchrun started this process already, that is a plain call; otherwise the function is
    found by name in fresh processes, as torchrun would start them.

    Raises
    ------
    RunError
        When a worker process died.
    """
    if workers == 1 or "TORCHELASTIC_RUN_ID" in os.environ:
        function(*arguments)
        return
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=workers,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
    )
    try:
        elastic_launch(settings, function)(*arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise RunError(f"worker {rank} of {workers} ended: {failure.message.strip().splitlines()[-1]}") from error
