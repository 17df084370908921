"""The URL of a study's storage (`search.storage`) as a space file or `--set` gives it, brought into one form."""

from __future__ import annotations

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from gazetune.config.address import Address
from gazetune.errors import InputError
from gazetune.errors.redact import hide_password
from gazetune.files.paths import resolve_path
from gazetune.tracking.database_url import read_database_url, render_url, with_installed_driver

JOURNAL = "journal:"

_ACCEPTED = "postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, sqlite:///FILE or journal:FILE"
_DATABASES = ("postgresql", "mysql", "sqlite")


def storage_url(given: str, origin: str) -> Address:
    """Return `search.storage` as it is used: a file in it absolute, the driver of PostgreSQL named.

    A password is refused: every `gazetune status` and `gazetune stop` would need it again.

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
    >>> storage_url("journal:/shared/studies.log", "space.yaml:9")
    'journal:/shared/studies.log'
    """
    what = f"{origin}: search.storage:"
    address = Address(given)
    shown = hide_password(address.with_secret)
    refused = InputError(f"{what} '{shown}' is no study storage; accepted: {_ACCEPTED}")
    if address.startswith(JOURNAL):
        if not address.removeprefix(JOURNAL):
            raise refused
        return Address(f"{JOURNAL}{resolve_path(address.removeprefix(JOURNAL), what.removesuffix(':'))}")
    if "://" not in address or address.partition("://")[0].partition("+")[0] not in _DATABASES:
        raise refused
    try:
        database = sqlalchemy.make_url(address.with_secret).database
    except (SQLAlchemyError, ValueError):
        raise refused from None
    if not database:
        raise refused
    if address.has_secret:
        raise InputError(
            f"{what} '{shown}' has a password, which would be copied into reports and saved models; "
            "leave it out (PostgreSQL takes it from PGPASSWORD or ~/.pgpass)"
        )
    url = read_database_url(address, what, _ACCEPTED)
    return Address(render_url(url if "+" in url.drivername else with_installed_driver(url)))
