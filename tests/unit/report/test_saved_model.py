"""Which folder a name means: a saved model, a run, or the best trial of a search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.report.saved_model import find_saved_model


def save(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.yaml", "margins.npy", "weights.safetensors"):
        (folder / name).touch()
    return folder


def test_a_folder_a_run_and_a_name_mean_the_same_model(tmp_path: Path) -> None:
    best = save(tmp_path / "runs" / "mine" / "best")
    (best.parent / "config.yaml").touch()  # a run has one too
    for name in (str(best), str(best.parent), "mine"):
        assert find_saved_model(name, tmp_path / "runs") == best


def test_a_model_whose_replacement_was_killed_is_found(tmp_path: Path) -> None:
    save(tmp_path / "mine" / ".best.previous")
    assert find_saved_model("mine", tmp_path) == tmp_path / "mine" / "best"


def test_a_search_means_its_best_trial(tmp_path: Path) -> None:
    best = save(tmp_path / "demo" / "trials" / "0021" / "best")
    save(tmp_path / "demo" / "trials" / "0001" / "best")
    (tmp_path / "demo" / "search.json").write_text(json.dumps({"best": {"id": "0021"}}))
    assert find_saved_model("demo", tmp_path) == best
    (tmp_path / "demo" / "search.json").write_text(json.dumps({"best": None}))
    with pytest.raises(InputError, match="demo: this search has no best trial"):
        find_saved_model("demo", tmp_path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nothing", str(tmp_path / "file"), str(tmp_path)):
        with pytest.raises(InputError, match=f"'{name}' is no saved model; accepted: .* in {tmp_path}"):
            find_saved_model(name, tmp_path)
