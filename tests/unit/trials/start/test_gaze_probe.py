"""Before anything is trained: a line where the measures have nothing to find, none where they have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gazetune.config import Config
from gazetune.evaluate.probe.features import describe_pairs, describe_prepared
from gazetune.evaluate.probe.sample import draw_known_pairs
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.trials.start.gaze_probe import list_missing_signals

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "then", "it", "went", "away", "for", "some", "time")


@pytest.fixture(scope="module")
def planted_config() -> Config:
    return Config.model_validate({"data": {"source": "planted", "pairs": 400}, "gaze": {"predictor": "planted"}})


@pytest.fixture(scope="module")
def planted(planted_config: Config, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare_data(planted_config, tmp_path_factory.mktemp("cache"))


def test_prepared_data_are_described_as_their_pairs_are(planted_config: Config, planted: PreparedData) -> None:
    found = describe_prepared(planted, most=100, seed=0)
    known = draw_known_pairs(planted_config.data, most=100)
    expected = describe_pairs(known.pairs, known.groups, create_predictor(planted_config))
    np.testing.assert_allclose(found.length, expected.length)
    np.testing.assert_allclose(found.measures, expected.measures, atol=1e-5)
    assert len(np.unique(found.groups)) == len(np.unique(expected.groups))


def test_planted_gaze_warns_of_nothing(planted_config: Config, planted: PreparedData) -> None:
    assert list_missing_signals([planted_config], [planted]) == []


def test_labels_that_gaze_knows_nothing_of_are_told_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [[" ".join(rng.choice(WORDS, rng.integers(5, 20))) for _ in range(2)] for _ in range(200)]
    rows = [{"prompt": f"Say {row}.", "chosen": a, "rejected": b} for row, (a, b) in enumerate(texts)]
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {"data": {"source": str(source)}, "gaze": {"predictor": "lexical"}}
    config = Config.model_validate(tree)
    data = prepare_data(config, tmp_path / "cache")
    (line,) = list_missing_signals([config, config], [data, data])
    assert line.startswith(
        "gaze: summaries of the measures of 'lexical' say nothing about the preference beyond length"
    )
    control = Config.model_validate({**tree, "gaze": {"predictor": "lexical", "control": "shuffled"}})
    no_gaze = Config.model_validate({**tree, "fusion": {"kind": "none"}})
    assert list_missing_signals([control, no_gaze], [data, data]) == []
