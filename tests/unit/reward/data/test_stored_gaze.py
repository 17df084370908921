from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from gazetune.config import Config
from gazetune.gaze.measures import FlatGaze, GazePredictor
from gazetune.gaze.store.build import Batches, PredictBatches, predict_flat
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.data.stored_gaze import distinct_texts, store_pair_gaze


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"which {n}", "chosen": f"this {n}", "rejected": "always the same"} for n in range(60)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return Config.model_validate({"data": {"source": str(file)}, "gaze": {"predictor": "planted"}})


def test_a_text_stands_once_and_prompts_only_in_their_scope(config: Config) -> None:
    pairs = load_splits(config.data).train
    texts = distinct_texts(pairs, "prompt+response")
    assert sorted(texts) == sorted({text for p in pairs for text in (p.prompt[-1].content, p.chosen, p.rejected)})
    assert sorted(distinct_texts(pairs, "response")) == sorted({text for p in pairs for text in (p.chosen, p.rejected)})


def test_measures_that_were_stored_ahead_are_not_predicted_when_the_data_is_prepared(
    config: Config, tmp_path: Path
) -> None:
    store = store_pair_gaze(config, tmp_path / "cache")
    assert len(store) == 121
    seen: list[tuple[int, int]] = []
    prepare_data(
        config, tmp_path / "cache", lambda stage, done, total: seen.append((done, total)) if stage == "gaze" else None
    )
    assert seen == [(121, 121)]


def test_the_data_is_prepared_with_what_predicts_elsewhere(config: Config, tmp_path: Path) -> None:
    asked: list[str] = []

    def remote_prediction(given: Config, predictor: GazePredictor) -> PredictBatches:
        assert given == config

        def predict(batches: Batches) -> Generator[tuple[int, FlatGaze], None, None]:
            for place, texts in enumerate(batches):
                asked.extend(texts)
                yield place, predict_flat(predictor, texts)

        return predict

    prepare_data(config, tmp_path / "cache", remote_prediction=remote_prediction)
    assert len(asked) == len(set(asked)) == 121


def test_the_store_lies_where_the_config_says(config: Config, tmp_path: Path) -> None:
    gaze = config.gaze.model_copy(update={"store": str(tmp_path / "elsewhere")})
    store = store_pair_gaze(config.model_copy(update={"gaze": gaze}), tmp_path / "cache")
    assert store.folder.parent == tmp_path / "elsewhere"
    assert not (tmp_path / "cache").exists()
