"""The URL of a study's storage (`search.storage`) as a space file or `--set` gives it, brought into one form."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from gazetune.errors import InputError
from gazetune.tracking.location import hide_password

JOURNAL = "journal:"
SQLITE = "sqlite:///"

_ACCEPTED = f"postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, {SQLITE}FILE or {JOURNAL}FILE"
_DATABASES = ("postgresql", "mysql", "sqlite")
# SQLAlchemy's default differs between its versions; this one is what the extra `postgres` installs.
_POSTGRES = "postgresql+psycopg2"


def storage_url(given: str, origin: str) -> str:
    """Return `search.storage` as it is used: a file in it absolute, the driver of PostgreSQL named.

    A password is refused, because configs are copied into reports, MLflow and saved models.

    Parameters
    ----------
    given : str
        A SQLAlchemy URL, or `journal:FILE`.
    origin : str
        Where it was set, for the error line.

    Raises
    ------
    InputError
        When it is neither, names no file, or has a password.

    Examples
    --------
    >>> storage_url("postgresql://ann@db.example.org/studies", "space.yaml:9")
    'postgresql+psycopg2://ann@db.example.org/studies'
    >>> storage_url("journal:/shared/studies.log", "space.yaml:9")
    'journal:/shared/studies.log'
    """
    shown = hide_password(given).split("?")[0]
    refused = InputError(f"{origin}: search.storage: '{shown}' is no study storage; accepted: {_ACCEPTED}")
    if given.startswith(JOURNAL):
        if not given.removeprefix(JOURNAL):
            raise refused
        return f"{JOURNAL}{Path(given.removeprefix(JOURNAL)).resolve()}"
    try:
        url = sqlalchemy.make_url(given)
    except (SQLAlchemyError, ValueError):
        raise refused from None
    if url.get_backend_name() not in _DATABASES or url.database in (None, "", ":memory:"):
        raise refused
    if url.password is not None or "password" in url.query:
        raise InputError(
            f"{origin}: search.storage: '{shown}' has a password, which would be copied into reports and saved models; "
            "leave it out (PostgreSQL takes it from PGPASSWORD or ~/.pgpass)"
        )
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(Path(str(url.database)).resolve()))
    elif url.drivername == "postgresql":
        url = url.set(drivername=_POSTGRES)
    return url.render_as_string()
