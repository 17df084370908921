"""Where runs are logged: the tracking URI, and whether something answers there.

MLflow retries a server or database that is down for minutes. Everything here answers within a few seconds, so that a
wrong URI is refused before a search starts.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from gazetune.errors import InputError
from gazetune.files.writable import require_writable

TIMEOUT = 4.0
"""Seconds that a server gets to answer."""
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
ACCEPTED = "sqlite:///FILE, http://HOST:PORT, https://HOST, postgresql://..., mysql://... or mssql://..."


def resolve_tracking_uri(uri: str | None, storage: Path) -> str:
    """Return the tracking URI to use: `uri`, or the sqlite file `mlflow.db` in the storage folder when it is None.

    Raises
    ------
    InputError
        For a URI of a kind that is not accepted.
    """
    if uri is None:
        return f"sqlite:///{storage.resolve() / 'mlflow.db'}"
    # postgresql+psycopg2 -> postgresql
    if urlsplit(uri).scheme.split("+")[0] not in (*SERVERS, *DATABASES) or "://" not in uri:
        raise InputError(f"tracking.uri '{hide_password(uri)}' is no tracking URI; accepted: {ACCEPTED}")
    return uri


def check_tracking_uri(uri: str | None, storage: Path) -> str:
    """Return the tracking URI to use, once something answers there. Nothing is written.

    Raises
    ------
    InputError
        As `resolve_tracking_uri` and `check_uri_answers`.
    """
    uri = resolve_tracking_uri(uri, storage)
    check_uri_answers(uri)
    return uri


def hide_password(uri: str) -> str:
    """Return `uri` with the password replaced by `***`: what may be printed, logged or put into a report.

    Examples
    --------
    >>> hide_password("postgresql://me:secret@host/runs")
    'postgresql://me:***@host/runs'
    """
    head, at, tail = uri.rpartition("@")
    scheme, colon, user = head.partition("://")
    if not at or ":" not in user:
        return uri
    return f"{scheme}{colon}{user.split(':')[0]}:***@{tail}"


def check_uri_answers(uri: str) -> None:
    """Check that an MLflow server or a database answers at a URI from `resolve_tracking_uri`, in a few seconds.

    Nothing is written: where a sqlite file is missing, its folder is tried.

    Raises
    ------
    InputError
        When nothing answers, it is not MLflow, the database's driver is not installed or the file cannot be written.
    """
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme in SERVERS:
        _check_server(uri)
    elif scheme == "sqlite":
        _check_sqlite(uri)
    else:
        _check_database(uri)


def _check_server(uri: str) -> None:
    parts = urlsplit(uri)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    # Credentials in the URI are MLflow's to send; /health needs none.
    url = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):  # a proxy asks for credentials, which MLflow's client takes from its environment
            return
        raise _refuse_uri(uri, f"answers, but not as an MLflow server (HTTP {error.code} at /health)") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise _refuse_uri(
            uri, f"does not answer ({reason}); start it with `mlflow server`, or leave the key out"
        ) from error


def _check_sqlite(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not path.name:
        raise InputError(f"tracking.uri '{uri}' names no file; accepted: sqlite:///FILE")
    try:
        require_writable(path.parent)  # sqlite keeps a journal beside the file
        if path.exists():
            # Takes the write lock and gives it back: finds a read-only file and one that is no database.
            with contextlib.closing(sqlite3.connect(path, timeout=TIMEOUT)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
    except (OSError, sqlite3.Error) as error:
        raise _refuse_uri(uri, f"cannot be used as a database ({error})") from error


def _check_database(uri: str) -> None:
    from sqlalchemy import create_engine, exc

    parts = urlsplit(uri)
    ports = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
    try:
        address = (parts.hostname or "localhost", parts.port or ports[parts.scheme.split("+")[0]])
        socket.create_connection(address, timeout=TIMEOUT).close()
        engine = create_engine(uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        raise _refuse_uri(uri, f"needs the Python package {error.name}, which is not installed") from error
    except (OSError, ValueError, exc.SQLAlchemyError) as error:
        raise _refuse_uri(uri, f"does not answer ({str(error).splitlines()[0]})") from error


def _refuse_uri(uri: str, what: str) -> InputError:
    return InputError(f"tracking.uri '{hide_password(uri)}' {what}")
