"""A worker that lost another one of its group: what collectives say then, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch.distributed as dist

from gazetune.errors import RunError


class LostWorker(RunError):
    """Another worker of the group is gone or stalls; the group is of no more use."""


@contextlib.contextmanager
def translate_lost_workers(timeout: float) -> Iterator[None]:
    """Raise `LostWorker` where a collective fails because another worker stalls or is gone."""
    try:
        yield
    except RuntimeError as error:
        if (loss := describe_lost_worker(error, timeout)) is None:
            raise
        raise LostWorker(loss) from error


def describe_lost_worker(error: Exception, timeout: float) -> str | None:
    """Return in one line that a collective failed because another worker stalls or is gone; None for other errors.

    gloo has no exceptions of its own for that. NCCL says `ncclInvalid...` of calls that no other place would mend.
    `timeout` is what the group was made with.
    """
    if isinstance(error, dist.DistBackendError | dist.DistNetworkError):
        is_lost = "ncclInvalid" not in str(error)
    else:
        is_lost = isinstance(error, RuntimeError) and ("/gloo/" in str(error) or "ncclRemoteError" in str(error))
    if not is_lost:
        return None
    if "timed out" in str(error).lower():
        return f"another worker gave no sign of life for {timeout:g} s (resources.worker_timeout)"
    return "another worker of the run is gone"
