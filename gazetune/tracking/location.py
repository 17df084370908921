"""Where runs are logged: the tracking URI, and whether something answers there.

MLflow retries a server or database that is down for minutes. Everything here answers within a few seconds, so that a
wrong URI is refused before a search starts.

What `resolve_tracking_uri` returns may hold a password: MLflow gets it, and nothing else does. `Address` is what may be
shown and written.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import socket
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gazetune.config.address import Address, has_unencoded_secret, with_secret
from gazetune.errors import InputError
from gazetune.errors.redact import hide_password
from gazetune.files.paths import resolve_path
from gazetune.files.writable import require_writable

TIMEOUT = 4.0
"""Seconds that a server gets to answer."""
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
ACCEPTED = "sqlite:///FILE, http://HOST:PORT, https://HOST, postgresql://..., mysql://... or mssql://..."
_KEY = "tracking.uri"
_ARTIFACT_URI = 200
"""Characters of the column for artifact URIs in MLflow's table of runs. sqlite does not look at that."""
_LOG = logging.getLogger(__name__)


def resolve_tracking_uri(uri: str | None, storage: Path) -> str:
    """Return the tracking URI to use: `uri`, or the sqlite file `mlflow.db` in the storage folder when it is None.

    The driver of a database is one that is installed, and a file is absolute. The result has its password.

    Raises
    ------
    InputError
        For a URI of a kind that is not accepted, or that cannot be read.
    """
    # Imported here: it takes half a second.
    from gazetune.tracking.database_url import read_database_url, render_url, sqlite_url, with_installed_driver

    if uri is None:
        return sqlite_url(resolve_path(storage, "--storage") / "mlflow.db")
    given = with_secret(uri)
    scheme = _read_scheme(given)
    if scheme not in (*SERVERS, *DATABASES):
        raise InputError(f"{_KEY} '{hide_password(given)}' is no tracking URI; accepted: {ACCEPTED}")
    if scheme in SERVERS:
        _check_server_uri(given)
        return given
    return render_url(with_installed_driver(read_database_url(given, _KEY, ACCEPTED)))


def stored_tracking_uri(uri: str) -> Address:
    """Return a tracking URI as a config keeps it: a sqlite file by its absolute path, else as it was given.

    Raises
    ------
    InputError
        As `resolve_tracking_uri`.
    """
    complete = resolve_tracking_uri(uri, Path())
    return Address(complete) if _read_scheme(complete) == "sqlite" else Address(uri)


def _read_scheme(uri: str) -> str:
    """Return the scheme of a URI without its driver (postgresql+psycopg2 -> postgresql); empty where it has none."""
    found = re.match(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+[\w.-]*)?://", uri)
    return found[1].lower() if found else ""


def _check_server_uri(uri: str) -> None:
    """Refuse the URI of a server that MLflow would put together wrongly: it adds its paths at the end."""
    if has_unencoded_secret(uri):
        raise _refuse_uri(
            uri, "has a user or a password with characters that must be percent-encoded (such as %40 for @)"
        )
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:
        raise _refuse_uri(uri, f"is no URL ({error}); accepted: {ACCEPTED}") from None
    if not parts.hostname:
        raise _refuse_uri(uri, f"names no host; accepted: {ACCEPTED}")
    if parts.username is not None and not parts.password:
        raise _refuse_uri(uri, "has a user without a password; accepted: both, or a token in MLFLOW_TRACKING_TOKEN")
    if parts.query or parts.fragment or uri.endswith(("?", "#")):
        raise _refuse_uri(
            uri,
            "has parameters, which MLflow does not take there; accepted: http://HOST:PORT, with a token in "
            "MLFLOW_TRACKING_TOKEN or a password in MLFLOW_TRACKING_PASSWORD",
        )


def hand_over_credentials(uri: str) -> str:
    """Return the URI of a server without user and password, which MLflow gets by its environment variables.

    MLflow prints the URI that it was given. The variables hold for this process and those that it starts.
    """
    parts = urlsplit(uri)
    if parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def check_tracking_uri(uri: str | None, storage: Path) -> str:
    """Return the tracking URI to use, once something answers there. Nothing is written.

    Raises
    ------
    InputError
        As `resolve_tracking_uri` and `check_uri_answers`; for a path of `storage` that a database has no room for.
    """
    resolved = resolve_tracking_uri(uri, storage)
    if _read_scheme(resolved) not in (*SERVERS, "sqlite"):
        _check_artifact_uri(storage)
    check_uri_answers(resolved)
    return resolved


def _check_artifact_uri(storage: Path) -> None:
    """Refuse a storage folder whose artifacts have longer URIs than MLflow's table of runs keeps."""
    root = (resolve_path(storage, "--storage") / "mlartifacts").as_uri()
    longest = _ARTIFACT_URI - len("/") - 32 - len("/artifacts")  # behind it come a run's id and this folder
    if len(root) > longest:
        raise InputError(
            f"--storage: the path is too long for an MLflow database: '{root}' has {len(root)} characters; accepted: "
            f"{longest} at most, in which a letter that is percent-encoded counts three times"
        )


def log_unwritten_secret(uri: str | None, to_go_on: str) -> None:
    """Say once that a URI's password is not written, and where it is taken from by a command that goes on."""
    if not isinstance(uri, Address) or not uri.has_secret:
        return
    from gazetune.tracking.database_url import PASSWORD_SOURCES

    scheme = _read_scheme(uri)
    source = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if scheme in SERVERS else PASSWORD_SOURCES[scheme]
    _LOG.info(f"{_KEY}: its password is used and not written; {to_go_on} takes it from {source}")


def check_uri_answers(uri: str) -> None:
    """Check that an MLflow server or a database answers at a URI from `resolve_tracking_uri`, in a few seconds.

    Nothing is written: where a sqlite file is missing, its folder is tried.

    Raises
    ------
    InputError
        When nothing answers, it is not MLflow, the database's driver is not installed or the file cannot be written.
    """
    scheme = _read_scheme(uri)
    if scheme in SERVERS:
        _check_server(uri)
    elif scheme == "sqlite":
        _check_sqlite(uri)
    else:
        _check_database(uri)


def _check_server(uri: str) -> None:
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    # Credentials in the URI are MLflow's to send; /health needs none.
    url = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):  # a proxy asks for credentials, which MLflow's client takes from its environment
            return
        raise _refuse_uri(uri, f"answers, but not as an MLflow server (HTTP {error.code} at /health)") from error
    except http.client.HTTPException as error:
        raise _refuse_uri(uri, f"cannot be asked ({_first_line(error)})") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise _refuse_uri(
            uri, f"does not answer ({reason}); start it with `mlflow server`, or leave the key out"
        ) from error


def _check_sqlite(uri: str) -> None:
    from gazetune.tracking.database_url import read_database_url

    path = Path(str(read_database_url(uri, _KEY, ACCEPTED).database))
    resolve_path(path.with_name(f".{path.name}.making"), _KEY)  # where it is made: a name may be too long for that
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

    from gazetune.tracking.database_url import describe_missing_package, describe_password_source, read_database_url

    url = read_database_url(uri, _KEY, ACCEPTED)
    kind = url.get_backend_name()
    ports = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
    try:
        if url.host is not None:  # else a socket of this machine
            socket.create_connection((url.host, url.port or ports[kind]), timeout=TIMEOUT).close()
        limit = {"timeout" if kind == "mssql" else "connect_timeout": int(TIMEOUT)}
        engine = create_engine(url, connect_args={} if limit.keys() & url.query.keys() else limit)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        raise _refuse_uri(uri, describe_missing_package(str(error.name))) from error
    except (OSError, ValueError, TypeError, OverflowError, exc.SQLAlchemyError) as error:
        raise _refuse_uri(uri, f"does not answer ({_first_line(error)}){describe_password_source(url)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _refuse_uri(uri: str, what: str) -> InputError:
    return InputError(f"{_KEY} '{hide_password(uri)}' {what}")
