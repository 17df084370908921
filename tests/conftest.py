"""The environment every test runs in, and the folder of data that is not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before any test module imports torch, Ray or MLflow; worker processes inherit it.
os.environ.update(HF_HUB_OFFLINE="1", RAY_USAGE_STATS_ENABLED="0", MLFLOW_DISABLE_TELEMETRY="true")
os.environ.setdefault("DS_ACCELERATOR", "cpu")  # a run of the gpu tests sets cuda
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared data: `GAZETUNE_SHARED`, else `../shared` beside the repository."""
    folder = Path(os.environ.get("GAZETUNE_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder} (set GAZETUNE_SHARED)")
    return folder
