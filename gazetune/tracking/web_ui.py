"""MLflow's pages of a search or an ablation, opened where its runs are compared, and optuna-dashboard's.

MLflow 3 opens an experiment on a page about generative models, which is empty here, and its table of runs shows no
metric until somebody chooses columns. Its address takes the workflow, and a view (filter, order, columns) that lies in
a tag of the experiment, as its own button "Share" writes it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from gazetune.errors import InputError, RunError
from gazetune.tracking.database_url import sqlite_url
from gazetune.tracking.location import SERVERS
from gazetune.tracking.mlflow_runs import BEST_METRIC, PARENT_TAG, Tracker

_VIEW_TAG = "mlflow.sharedViewState."
_HOST = "127.0.0.1"
_NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Four processes that evaluate language models are of no use here."""
_START_SECONDS = 120.0
"""MLflow takes some ten seconds to answer, and many more on a busy machine."""
_METRICS = (BEST_METRIC, "test/accuracy", "test/accuracy_low", "test/accuracy_high", "examples")


def save_runs_view(tracker: Tracker, name: str, parent_run: str) -> str:
    """Write the view of the runs below a parent into their experiment, and return what addresses it.

    Parameters
    ----------
    tracker
        Where the runs are.
    name
        Of the search or ablation.
    parent_run
        Id of its run.

    Returns
    -------
    The part of an address behind the server's: `#/experiments/...`.
    """
    params = tracker.list_params(parent_run)
    columns = [f"metrics.`{metric}`" for metric in _METRICS] + [f"params.`{key}`" for key in params]
    view = {
        "searchFilter": f"tags.`{PARENT_TAG}` = '{parent_run}'",
        "orderByKey": f"metrics.`{BEST_METRIC}`",
        "orderByAsc": False,
        "selectedColumns": ["attributes.`Duration`", *columns],
        "runsExpanded": {},
        "runsPinned": [],
        "viewMaximized": False,
    }
    key = f"gazetune-{name}"
    tracker.set_experiment_tag(f"{_VIEW_TAG}{key}", json.dumps(view))
    query = f"workflowType=machine_learning&viewStateShareKey={quote(key, safe='')}"
    return f"#/experiments/{tracker.experiment}/runs?{query}"


@contextmanager
def serve_mlflow(tracker: Tracker, storage: Path, port: int | None = None) -> Iterator[str]:
    """Run MLflow's server on a tracker's database, on this machine alone, and give its address.

    Runs that are tracked on a server already are looked at there, and nothing is started.

    Parameters
    ----------
    port
        The port to listen on; None: a free one, 5000 if it is.

    Raises
    ------
    InputError
        When the port is taken, or is none.
    RunError
        When MLflow ends before it answers; its last line says why.
    """
    if tracker.uri.startswith(SERVERS):
        yield tracker.shown_uri
        return
    if port is not None and not 0 < port < 65536:
        raise InputError(f"--port: {port} is not accepted; accepted: 1 to 65535")
    if port is not None and not _is_free(port):
        raise InputError(f"--port: {port} is taken on this machine; accepted: another one")
    port = _free_port(5000) if port is None else port
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1"]
    # Not as an argument: a database's address may have a password, which every user of this machine would see.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": tracker.uri, "MLFLOW_TRACKING_URI": "", **_NO_JOBS}
    with _serve(command, environment, f"http://{_HOST}:{port}", storage / "mlflow-server.log") as address:
        yield address


@contextmanager
def serve_optuna(study: Path) -> Iterator[str]:
    """Run optuna-dashboard on the study file of a search, on this machine alone, and give its address.

    Raises
    ------
    InputError
        When it is not installed, or the study is not in the search's folder.
    RunError
        When it ends before it answers.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise InputError("--optuna: optuna-dashboard is not installed; accepted: after pip install 'gazetune[ui]'")
    if not study.is_file():
        raise InputError(f"--optuna: there is no {study}; accepted: a search whose study lies in its own folder")
    port = _free_port(8080)
    # It is a program without a module that can be run.
    program = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, sqlite_url(study), "--host", _HOST, "--port", str(port)]
    with _serve(
        command, dict(os.environ), f"http://{_HOST}:{port}", study.with_name("optuna-dashboard.log")
    ) as address:
        yield f"{address}/dashboard/"


@contextmanager
def _serve(command: list[str], environment: dict[str, str], address: str, log: Path) -> Iterator[str]:
    """Run a server until the block ends, and give its address once it answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        _wait_until_it_answers(process, address, log)
        yield address
    finally:
        _end_group(process)


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > end:
            lines = log.read_text(errors="replace").strip().splitlines()
            said = lines[-1] if lines else "it said nothing"
            raise RunError(f"the server at {address} did not start ({said}; {log})")
        time.sleep(0.3)


def _answers(address: str) -> bool:
    """Tell whether something speaks HTTP there, whatever it says."""
    try:
        with urllib.request.urlopen(address, timeout=5.0):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the server and the workers that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _free_port(wanted: int) -> int:
    """Return a port that is free, the wanted one if it is."""
    if _is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True
