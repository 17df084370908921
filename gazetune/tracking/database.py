"""The sqlite file that MLflow keeps runs in: it appears with all of its tables, or not at all."""

from __future__ import annotations

from pathlib import Path

from gazetune.files.atomic_write import create_file
from gazetune.files.build_lock import build_lock


def make_database(uri: str) -> None:
    """Make MLflow's database where it is missing, with its folder; `uri` is a sqlite URI of `resolve_tracking_uri`.

    MLflow takes seconds for its tables, and never again opens a file that it was killed over. So they are made beside
    the file's place.
    """
    from mlflow import MlflowClient
    from sqlalchemy import make_url

    from gazetune.tracking.database_url import sqlite_url

    path = Path(str(make_url(uri).database))
    if path.exists():
        return
    with build_lock(path.with_name(f".{path.name}.lock"), f"tracking database {path}"):
        if path.exists():
            return
        with create_file(path) as unfinished:
            MlflowClient(tracking_uri=sqlite_url(unfinished)).search_experiments()
