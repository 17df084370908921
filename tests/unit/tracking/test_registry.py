from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.models.resolve import resolve_saved_model
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.tracking.registry import find_registered_folder, register_model


def save(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.yaml", "weights.safetensors"):
        (folder / name).touch()
    return folder


def test_the_latest_model_of_a_search_is_its_champion(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    tracker = Tracker.open(None, storage, "gazetune")
    run = tracker.start_search("demo", "", {}, {})
    first, second = (
        save(storage / "demo" / "trials" / "0001" / "best"),
        save(storage / "demo" / "trials" / "0002" / "best"),
    )
    for folder, number in ((first, "1"), (second, "2")):
        tags = {"gazetune.verdict": "Gaze helps."}
        assert register_model(tracker, "demo", folder, run, "Gaze helps.", tags) == number
    champion = tracker.client.get_model_version_by_alias("demo", "champion")
    assert (str(champion.version), champion.run_id, champion.description) == ("2", run, "Gaze helps.")
    assert champion.tags["gazetune.verdict"] == "Gaze helps."
    assert find_registered_folder(tracker, "demo", "1") == first
    assert find_registered_folder(tracker, "demo", "3") is None
    assert resolve_saved_model("models:/demo@champion", storage) == second
    assert resolve_saved_model("models:/demo/1", storage) == first
    for name in ("models:/other@champion", "models:/demo/9"):
        with pytest.raises(InputError, match=f"'{name}': the MLflow database of .* has no such model"):
            resolve_saved_model(name, storage)
