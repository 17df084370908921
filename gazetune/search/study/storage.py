"""Where a search's study is kept: a sqlite file in its folder, or a database or Journal file that others share.

Optuna's own way of opening a storage has two properties that do not suit a command which only looks. It waits for a
database that is down, for as long as the database's Python package waits. And it makes missing tables without a lock:
of two processes that open a new database at once, one fails. So there are two ways to open one here:

- to read (`_open_to_read`): it answers within seconds and writes nothing, not even into a database whose tables another
  process is making;
- to write (`_open_to_write`): it makes missing tables, and tries again when somebody else is making them.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from gazetune.config import SearchConfig
from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically
from gazetune.files.writable import require_writable
from gazetune.search.space.study_url import JOURNAL
from gazetune.search.study.objectives import directions_of
from gazetune.tracking.database_url import (
    describe_missing_package,
    describe_password_source,
    render_url,
    sqlite_url,
    with_installed_driver,
)
from gazetune.tracking.location import TIMEOUT
from gazetune.trials.objective import Direction

_OWNER = "gazetune:search"
"""A user attribute of a shared study: the mark of the search that it belongs to."""
_MARK_FILE = "study_owner"
"""The file in a search's folder that holds the same mark."""
_ATTEMPTS = 10
_SQLITE_WAIT = 60
"""Seconds that a driver waits until nobody reads a sqlite file."""


def own_study_url(folder: Path) -> str:
    """Return the URL of the sqlite file in a search's folder, where its study is unless `search.storage` is set."""
    return sqlite_url(folder.resolve() / "study.db")


def check_study_storage(url: str | None, name: str, folder: Path) -> None:
    """Check that a shared storage answers and that the study of this name in it is this search's. Nothing is written.

    Parameters
    ----------
    url : str or None
        From `storage_url`; None stands for the file in the search's folder, which needs no check.
    name : str
        Name of the search and of its study.
    folder : Path
        Folder of the search; it need not be there.

    Raises
    ------
    InputError
        When the storage cannot be used, its name is taken, or the study of a search with trials is gone.
    """
    if url is None:
        return
    study = find_study(url, name)
    if study is None and (folder / "trials").exists():
        raise _storage_error(url, f"has no study '{name}' any more, so the search cannot go on; put it back")
    if study is not None:
        with _errors_in_one_line(url):
            owner = study.user_attrs.get(_OWNER)
        _check_owner(url, name, owner, _read_mark(folder))


def find_study(url: str, name: str) -> optuna.Study | None:
    """Return a study of a storage, or None when it is not there. Nothing is written.

    Raises
    ------
    InputError
        When the storage cannot be used.
    """
    with _errors_in_one_line(url):
        storage = _open_to_read(url)
        if storage is None or name not in [each.study_name for each in storage.get_all_studies()]:
            return None
        return optuna.load_study(study_name=name, storage=storage)


def open_study(name: str, search: SearchConfig, folder: Path) -> optuna.Study:
    """Open the search's study, under its own name, where `search.storage` says; it is made where it is missing.

    Raises
    ------
    InputError
        As `open_shared_study`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if search.storage is not None:
        return open_shared_study(search.storage, name, directions_of(search), folder)
    return _open_own_study(name, directions_of(search), folder)


def _open_own_study(name: str, directions: Sequence[Direction], folder: Path) -> optuna.Study:
    """Open the study in a search's own folder; it is made where it is missing."""
    storage = _open_to_write(own_study_url(folder))
    return optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)


def open_shared_study(url: str, name: str, directions: Sequence[Direction], folder: Path) -> optuna.Study:
    """Open the study of a search in a storage that others may use too; it is made where it is missing.

    The study and the folder carry the same mark, so that another search of this name is not taken for this one.

    Raises
    ------
    InputError
        When the name is taken there, or the storage cannot be used.
    """
    mark = _read_mark(folder)
    own = mark or _write_mark(folder)
    with _errors_in_one_line(url):
        storage: BaseStorage = (
            JournalStorage(JournalFileBackend(url.removeprefix(JOURNAL)))
            if url.startswith(JOURNAL)
            else _open_to_write(url)
        )
        try:
            study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        except DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=storage)
            _check_owner(url, name, study.user_attrs.get(_OWNER), mark)
        study.set_user_attr(_OWNER, own)
    return study


def _open_to_write(url: str) -> RDBStorage:
    """Open a database to write; its tables are made where they are missing."""
    read = with_installed_driver(sqlalchemy.make_url(url))
    # A server may drop an idle connection; a sqlite file is locked while others read it.
    engine: dict[str, Any] = {"pool_pre_ping": True}
    if read.get_backend_name() == "sqlite":
        engine = {"connect_args": {"timeout": float(str(read.query.get("timeout", _SQLITE_WAIT)))}}
    for attempt in range(1, _ATTEMPTS):
        try:
            return RDBStorage(_as_template(read), engine_kwargs=engine)
        except (DatabaseError, StorageInternalError):  # somebody else may be making the same tables
            time.sleep(0.05 * attempt)
    return RDBStorage(_as_template(read), engine_kwargs=engine)


def _as_template(url: sqlalchemy.URL) -> str:
    """Return a URL as Optuna reads it: it puts its version in the place of braces."""
    return render_url(url).replace("{", "{{").replace("}", "}}")


def _open_to_read(url: str) -> BaseStorage | None:
    """Return the storage if studies were ever kept there, else None once it is known that they can be."""
    file = _file_of(url)
    if file is not None:
        if not file.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {file.parent}")
        if not file.exists():
            require_writable(file.parent)
            return None
        if not os.access(file, os.W_OK):
            raise PermissionError("no permission to write")
        if url.startswith(JOURNAL):
            return JournalStorage(JournalFileBackend(str(file)))
    limit = {"timeout" if file is not None else "connect_timeout": int(TIMEOUT)}
    read = with_installed_driver(sqlalchemy.make_url(url))
    engine = sqlalchemy.create_engine(read, connect_args=limit)
    try:
        if not _has_tables(engine):
            _check_may_create(engine)
            return None
    finally:
        engine.dispose()
    return RDBStorage(_as_template(read), engine_kwargs={"connect_args": limit}, skip_table_creation=True)


def _file_of(url: str) -> Path | None:
    """Return the file that a storage is; None of a server."""
    if url.startswith(JOURNAL):
        return Path(url.removeprefix(JOURNAL))
    read = sqlalchemy.make_url(url)
    return Path(str(read.database)) if read.get_backend_name() == "sqlite" else None


def _has_tables(engine: sqlalchemy.Engine) -> bool:
    """Say whether Optuna's tables are all there; their version is what it writes last, also for one that only reads."""
    if not sqlalchemy.inspect(engine).has_table("alembic_version"):
        return False
    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).first() is not None


def _check_may_create(engine: sqlalchemy.Engine) -> None:
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            asked = sqlalchemy.text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
            if not connection.execute(asked).scalar():
                raise PermissionError("the user may not create tables there")


def _read_mark(folder: Path) -> str | None:
    mark = folder / _MARK_FILE
    return mark.read_text(encoding="utf-8") if mark.exists() else None


def _write_mark(folder: Path) -> str:
    own = uuid.uuid4().hex
    write_atomically(folder / _MARK_FILE, own)
    return own


def _check_owner(url: str, name: str, owner: str | None, mark: str | None) -> None:
    # A driver that was killed between making the study and marking it left one without owner, and the folder's mark.
    if mark is None or owner not in (mark, None):
        raise _storage_error(url, f"has a study '{name}' of another search; choose another --name")


@contextmanager
def _errors_in_one_line(url: str) -> Iterator[None]:
    """Turn what a storage can raise into one line that names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise _storage_error(url, describe_missing_package(str(error.name))) from error
    except (SQLAlchemyError, StorageInternalError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        # A database driver's own error has the reason; the wrapping one has the statement too.
        reason = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
        line = next(iter(str(reason).strip().splitlines()), "") or type(reason).__name__
        hint = "" if _file_of(url) is not None else describe_password_source(sqlalchemy.make_url(url))
        raise _storage_error(url, f"cannot be used ({line}){hint}") from error


def _storage_error(url: str, what: str) -> InputError:
    return InputError(f"search.storage '{url}' {what}")
