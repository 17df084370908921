"""Running a function in one or several worker processes on this machine, without Ray."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from gazetune.errors import GazetuneError, InputError, RunError

_LOG = logging.getLogger(__name__)
_FAILURES = frozenset(["RunError", "TrainingFailed", "InfeasibleConfig", "SaveFailed", "OutOfMemory", "LostWorker"])
"""Names of the errors whose message alone is shown; other errors are bugs and get a traceback in the log."""


def launch_workers(workers: int, function: Callable[..., None], *arguments: object) -> None:
    """Call `function(*arguments)` in every worker of a process group and wait for all.

    With one worker, or where torchrun started this process already, that is a plain call; otherwise the function is
    found by name in fresh processes, as torchrun would start them.

    Raises
    ------
    InputError
        When a worker found one.
    RunError
        When a worker failed or died.
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
        signals_to_handle=",".join(_unhandled_signals()),
    )
    # torch would print the traceback of every failure, also of those that are shown as one line here.
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    try:
        elastic_launch(settings, function)(*arguments)
    except ChildFailedError as error:
        raise _translate_error(error, workers) from error


def _unhandled_signals() -> list[str]:
    """Return the signals for which torch's launcher is to set handlers: those that this process does not handle."""
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    each = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return ["SIGQUIT", *(number.name for number in each if signal.getsignal(number) in defaults)]


def _translate_error(error: ChildFailedError, workers: int) -> GazetuneError:
    """Return the error of the first worker that failed, as an error of this process."""
    # A worker that only lost another one may have failed before that one was seen to be gone.
    rank, failure = min(
        error.failures.items(), key=lambda item: (_read_failure(item[1])[0] == "LostWorker", item[1].timestamp)
    )
    kind, text = _read_failure(failure)
    if kind == InputError.__name__:
        return InputError(text)
    if kind in _FAILURES:
        return RunError(text)
    if isinstance(failure.message, dict):
        _LOG.error("%s", failure.message.get("extraInfo", {}).get("py_callstack", ""))
    reason = f"killed by {failure.signal_name()}" if failure.exitcode < 0 else " ".join(f"{kind}: {text}".split())
    return RunError(f"worker {rank} of {workers} ended: {reason}")


def _read_failure(failure: ProcessFailure) -> tuple[str, str]:
    """Return the name of the error of a worker, and what it says."""
    # A worker that raised left a mapping, although torch annotates a string; one that was killed left nothing.
    message: object = failure.message
    details: dict[str, Any] = message if isinstance(message, dict) else {"message": message}
    kind, _, text = str(details["message"]).strip().partition(": ")
    return kind, text
