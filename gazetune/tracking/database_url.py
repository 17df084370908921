"""URLs of databases, read by SQLAlchemy: checked, and with the driver that is installed here.

They are put together and taken apart as `sqlalchemy.URL` objects, so that any letter may stand in a path or a password.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from gazetune.config.address import has_unencoded_secret, with_secret
from gazetune.errors import InputError
from gazetune.errors.redact import hide_password
from gazetune.files.paths import resolve_path

_LOG = logging.getLogger(__name__)

_DRIVERS: Mapping[str, Mapping[str, str]] = {
    "postgresql": {"psycopg2": "psycopg2", "psycopg": "psycopg"},
    "mysql": {"mysqldb": "MySQLdb", "pymysql": "pymysql", "mysqlconnector": "mysql.connector"},
}
"""Drivers that may stand for each other, by kind of database, and the Python package of each; the first is the usual
one. SQLAlchemy's own choice differs between its versions."""

PACKAGES = {
    "psycopg2": "pip install 'gazetune[postgres]'",
    "psycopg": "pip install 'gazetune[postgres]', or 'psycopg[binary]'",
    "MySQLdb": "pip install mysqlclient",
    "mysql.connector": "pip install mysql-connector-python",
}
"""How a driver's package is installed, where that is not by its own name."""

PASSWORD_SOURCES = {
    "postgresql": "PGPASSWORD, or a password file (PGPASSFILE, ~/.pgpass)",
    "mysql": "a file of options (?read_default_file=FILE)",
    "mssql": "the data source (odbc.ini)",
}
"""Where a database's own client finds the password of a URL that has none."""

_SQLITE_KEYS = ("timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements")
"""What may follow the `?` of a sqlite URL: SQLAlchemy passes these to Python's sqlite3 and ignores others."""


def read_database_url(given: str, what: str, accepted: str) -> sqlalchemy.URL:
    """Return a database URL, with its password if it was given one, and a sqlite file by its absolute path.

    Parameters
    ----------
    given
        The URL; of an `Address` that with its secret.
    what
        What error lines begin with, such as `tracking.uri`.
    accepted
        The forms that are accepted.

    Raises
    ------
    InputError
        If it cannot be read, names no database, or has a password that is not percent-encoded.
    """
    text = with_secret(given)
    shown = f"{what} '{hide_password(text)}'"
    if has_unencoded_secret(text):
        raise InputError(
            f"{shown}: percent-encode the user and the password in it (such as %40 for @, %2F for /, %5B for [)"
        )
    try:
        url = sqlalchemy.make_url(text)
    except (SQLAlchemyError, ValueError):
        raise InputError(f"{shown} cannot be read as the URL of a database; accepted: {accepted}") from None
    if url.get_backend_name() != "sqlite":
        return url
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise InputError(f"{shown}: a sqlite file is opened by Python's own driver; accepted: sqlite:///FILE")
    if url.host or url.database in (None, "", ":memory:"):
        raise InputError(f"{shown} names no file; accepted: {accepted}")
    other = next((key for key in url.query if key not in _SQLITE_KEYS), None)
    if other is not None:
        raise InputError(f"{shown}: '{other}' is no parameter of a sqlite file; accepted: {', '.join(_SQLITE_KEYS)}")
    try:
        url.get_dialect()().create_connect_args(url)
    except (SQLAlchemyError, ValueError) as error:
        raise InputError(f"{shown}: its parameters cannot be read ({error})") from None
    return url.set(database=str(resolve_path(str(url.database), what)))


def sqlite_url(file: Path) -> str:
    """Return the URL of a sqlite file, as SQLAlchemy, MLflow and Optuna read it, whatever letters its path has.

    Examples
    --------
    >>> sqlite_url(Path("/runs/mlflow.db")), sqlite_url(Path("/a%41/mlflow.db"))
    ('sqlite:////runs/mlflow.db', 'sqlite+pysqlite:////a%2541/mlflow.db')
    """
    return render_url(sqlalchemy.URL.create("sqlite", database=str(file)))


def render_url(url: sqlalchemy.URL) -> str:
    """Return a URL as a text, its password included.

    Raises
    ------
    InputError
        For a path that SQLAlchemy cannot read back; before version 2.1 one with a `?` is.
    """
    text = url.render_as_string(hide_password=False)
    if url.get_backend_name() != "sqlite":
        return text
    plain, question, query = str(url.database), *text.partition("?")[1:]
    if sqlalchemy.make_url(f"sqlite:///{plain}").database == plain:
        return f"{url.drivername}:///{plain}{question}{query}"
    # MLflow makes the folder that it reads in a URL that begins with `sqlite:///`, without decoding it.
    encoded = f"sqlite+pysqlite:///{plain.replace('%', '%25').replace('?', '%3F')}{question}{query}"
    if sqlalchemy.make_url(encoded).database != plain:
        raise InputError(f"{plain}: SQLAlchemy {sqlalchemy.__version__} cannot open a sqlite file of this name")
    return encoded


def with_installed_driver(url: sqlalchemy.URL) -> sqlalchemy.URL:
    """Return a URL whose driver is named and, where the named one is missing and another one is here, replaced."""
    backend, _, driver = url.drivername.partition("+")
    drivers = _DRIVERS.get(backend)
    if drivers is None or (driver and (driver not in drivers or _is_installed(drivers[driver]))):
        return url
    installed = next((name for name, package in drivers.items() if _is_installed(package)), None)
    if installed is not None and driver:
        _LOG.info("%s is not installed, so %s connects to the database", drivers[driver], drivers[installed])
    return url.set(drivername=f"{backend}+{installed or driver or next(iter(drivers))}")


def describe_missing_package(package: str) -> str:
    """Return the end of an error line about a driver's package that is not installed."""
    return f"needs the Python package {package}: {PACKAGES.get(package, f'pip install {package}')}"


def describe_password_source(url: sqlalchemy.URL) -> str:
    """Return where the password of a URL without one is taken from, for the end of an error line; empty if unknown."""
    source = PASSWORD_SOURCES.get(url.get_backend_name())
    return "" if source is None or url.password is not None else f"; a password is taken from {source}"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of a submodule whose package is missing
        return False
