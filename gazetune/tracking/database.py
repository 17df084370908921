"""The sqlite file that MLflow keeps runs in: it appears with all of its tables, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from gazetune.files.build_lock import build_lock


def make_database(path: Path) -> None:
    """Make MLflow's database where it is missing, with its folder.

    MLflow takes seconds for its tables, and never again opens a file that it was killed over. So they are made beside
    the file's place.
    """
    from mlflow import MlflowClient

    if path.exists():
        return
    with build_lock(path.with_name(f".{path.name}.lock"), f"tracking database {path}"):
        if path.exists():
            return
        making = path.with_name(f".{path.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        MlflowClient(tracking_uri=f"sqlite:///{making / path.name}").search_experiments()
        (making / path.name).rename(path)
        shutil.rmtree(making, ignore_errors=True)
