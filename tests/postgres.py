"""A PostgreSQL for tests, started on a free port with a user and a password of its own, and stopped again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER = "tester"


def program(name: str) -> str:
    """Return a program of PostgreSQL's server; Debian does not put them on the path."""
    found = [shutil.which(name), *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    newest = next((str(path) for path in reversed(found) if path), None)
    return newest or pytest.skip(f"no {name} here (Debian: apt-get install postgresql)")


@contextmanager
def start_postgres(password: str) -> Iterator[str]:
    """Start a server and return its `HOST:PORT`; its user `tester` has this password."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    # Not below pytest's folder, which other users may not enter; the server refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="gazetune-pg-"))
    who: dict[str, Any] = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    if os.geteuid() == 0:
        who |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data, secret = folder / "data", folder / "password"
    secret.write_text(password)
    try:
        subprocess.run(
            [initdb, "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"],
            **who,
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run([pg_ctl, "-D", data, "-l", folder / "log", "-w", "-o", options, "start"], **who)
        yield f"127.0.0.1:{port}"
    finally:
        if (data / "postmaster.pid").exists():
            subprocess.run([pg_ctl, "-D", data, "-w", "-m", "immediate", "stop"], **who)
        shutil.rmtree(folder)
