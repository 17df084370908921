"""Starting Ray on this machine, also on one that is busy."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import ray
from ray._private import ray_constants, services

from gazetune.errors import RunError

NODE_START_SECONDS = 120.0
"""How long Ray's node may take to start, and then its dashboard. Ray itself gives up after 30 s, and 60 s."""

NOTICE_SECONDS = 20.0
"""A start that takes longer is told."""

ATTEMPTS = 2

WORKER_START_SECONDS = 180
"""How long a worker process may take to report to its node after its start. Ray's default is a minute."""

_LOG = logging.getLogger(__name__)


def start_local_ray(**settings: Any) -> None:
    """Call `ray.init("local", **settings)`. A start that runs out of time is tried once more.

    Raises
    ------
    RunError
        When Ray did not start in time, with what to do about it. None of its processes is left.
    """
    os.environ.setdefault("RAY_worker_register_timeout_seconds", str(WORKER_START_SECONDS))
    for attempt in range(1, ATTEMPTS + 1):
        earlier = set(psutil.Process().children(recursive=True))
        try:
            with patient_node_start(), own_sigterm_handler():
                # "local" and not None, which would join whatever RAY_ADDRESS names.
                ray.init("local", **settings)
                return
        except Exception as error:
            ray.shutdown()
            _end_processes(set(psutil.Process().children(recursive=True)) - earlier)
            if not _is_slow_start(error):
                raise
            if attempt == ATTEMPTS:
                raise RunError(
                    f"Ray did not start on this machine in {ATTEMPTS} attempts of up to {NODE_START_SECONDS:g} s "
                    f"({_describe_load()}): run it again when the machine is less busy, or join a running cluster with "
                    f"--address; Ray's logs are in {settings.get('_temp_dir', '/tmp/ray')}/session_latest/logs"
                ) from error
            _LOG.warning("Ray did not start in time on this machine (%s); trying once more", _describe_load())


@contextlib.contextmanager
def own_sigterm_handler() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, in whose place `ray.init` puts one that ends with native stacks."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Ray sets no handler here
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def patient_node_start() -> Iterator[None]:
    """Let `ray.init` wait `NODE_START_SECONDS` for its node, and as long for its dashboard.

    Ray asks for the node in a loop that ends after 30 s, and looks at the clock only after an answer. So the answer
    waits for the node as long as it may still come.
    """
    get_node = services.get_node

    def wait_for_node(gcs_address: str, node_id: str) -> dict[str, object]:
        started, told = time.monotonic(), False
        while True:
            try:
                return get_node(gcs_address, node_id)
            except RuntimeError:
                waited = time.monotonic() - started
                if waited > NODE_START_SECONDS or not _is_raylet_alive():
                    raise
                if waited > NOTICE_SECONDS and not told:
                    _LOG.info("Ray is still starting on this machine after %.0f s (%s)", waited, _describe_load())
                    told = True
                time.sleep(0.5)  # looking at the processes costs a busy machine time

    dashboard_seconds = ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S
    services.get_node = wait_for_node
    ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S = max(dashboard_seconds, int(NODE_START_SECONDS))
    try:
        yield
    finally:
        services.get_node = get_node
        ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S = dashboard_seconds


def _is_raylet_alive() -> bool:
    """Tell whether the process of Ray's node, a child of this one, still runs."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.name() == "raylet" and child.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _is_slow_start(error: Exception) -> bool:
    """Tell an error of a start that ran out of time from others; Ray has no class of its own for it."""
    message = str(error).lower()
    # Where the dashboard was too slow, the message has the last lines of its log and does not say so.
    slow = ("timed out", "failed to start", "dashboard.log")
    return isinstance(error, TimeoutError) or any(words in message for words in slow)


def _end_processes(processes: set[psutil.Process]) -> None:
    """End what a failed start left: it would slow down the next one."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _describe_load() -> str:
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
