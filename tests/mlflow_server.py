"""An MLflow server for tests, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.tracking.location import check_uri_answers
from tests.commands import BOUND


@contextmanager
def start_mlflow_server(folder: Path) -> Iterator[str]:
    """Run `mlflow server` with its database, log and artifacts in `folder`, and return its `HOST:PORT`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "art")]
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + BOUND
        while True:
            try:
                check_uri_answers(f"http://127.0.0.1:{port}")
                break
            except InputError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail((folder / "log").read_text())
                time.sleep(0.5)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)
        log.close()
