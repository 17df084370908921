"""What a model's card says of its worth, and which trials of a search transformers can load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gazetune.config import Config
from gazetune.evaluate.margins import Margins, write_margins
from gazetune.models.measured import describe_measured, list_exportable_trials
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.search.folder import SearchFolder
from tests.saved_models import save_perturbed_model


def test_trials_without_gaze_whose_models_are_kept_can_be_exported(tmp_path: Path) -> None:
    for number, fusion in enumerate(("none", "add", "none")):
        tree = {
            "data": {"source": "planted", "pairs": 40},
            "gaze": {"predictor": "planted"},
            "fusion": {"kind": fusion},
        }
        config = Config.model_validate(tree)
        data = prepare_data(config, tmp_path / "cache")
        save_perturbed_model(tmp_path / "s" / "trials" / f"{number:04d}" / "best", config, data)
    (tmp_path / "s" / "trials" / "0002" / "best" / "weights.safetensors").unlink()  # a model that was not kept
    assert list_exportable_trials(SearchFolder(tmp_path / "s")) == ["0000"]


def test_the_accuracy_on_test_is_told_with_its_interval(tmp_path: Path) -> None:
    assert describe_measured(tmp_path / "run" / "best") == []
    rewards = np.stack([np.repeat([1.0, -1.0], [75, 25]), np.zeros(100)], axis=1)
    items = np.array([f"{at:03d}" for at in range(100)])
    (tmp_path / "run").mkdir()
    margins = Margins(items, items, rewards, np.zeros((100, 2), dtype=np.int32))
    write_margins(tmp_path / "run" / "test.parquet", margins)
    (told,) = describe_measured(tmp_path / "run" / "best")
    assert "75.0 % (95 % interval 65.7 to 82.5, n = 100)" in told


def test_a_document_that_says_too_little_gives_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "s" / "trials" / "0000" / "best").mkdir(parents=True)
    (tmp_path / "s" / "search.json").write_text(json.dumps({"best": None, "trials": []}))
    assert describe_measured(tmp_path / "s" / "trials" / "0000" / "best") == []
