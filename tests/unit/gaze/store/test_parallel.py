"""Without Ray: what stays in this process. Processes on Ray are in tests/integration/test_gaze_store.py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.planted import PlantedPredictor, planted_measures
from gazetune.gaze.store.build import predict_flat
from gazetune.gaze.store.parallel import PredictorProcess, RayPrediction

BATCHES = [[f"text {number} {place}" for place in range(50)] for number in range(6)]
PLANTED = Config.model_validate({"gaze": {"predictor": "planted"}})


class Joined(Exception):
    """Ray would start now."""


def join() -> NoReturn:
    raise Joined


class Slow(PlantedPredictor):
    """Takes a while for each text."""

    def __init__(self, seconds: float) -> None:
        super().__init__(0)
        self._seconds = seconds

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        time.sleep(self._seconds * len(texts))
        return super().predict(texts)


def test_quick_work_is_done_here_and_ray_is_left_alone() -> None:
    found = list(RayPrediction(join)(PLANTED, PlantedPredictor(0))(BATCHES))
    assert [place for place, _ in found] == list(range(len(BATCHES)))
    for place, gaze in found:
        expected = np.concatenate([planted_measures(text, 0) for text in BATCHES[place]])
        assert np.array_equal(gaze.values, expected)


def test_nothing_to_predict_starts_nothing() -> None:
    assert list(RayPrediction(join)(PLANTED, PlantedPredictor(0))([])) == []
    assert list(RayPrediction(join, workers=2)(PLANTED, PlantedPredictor(0))([])) == []


def test_slow_work_starts_ray_before_a_whole_batch_is_done_here() -> None:
    batches = [[f"text {number}" for number in range(100_000)]]  # 100 s at 1 ms each, seen after ten texts
    with pytest.raises(Joined):
        next(RayPrediction(join)(PLANTED, Slow(0.001))(batches))


def test_a_number_of_workers_starts_ray_whatever_there_is_to_do() -> None:
    with pytest.raises(Joined):
        next(RayPrediction(join, workers=2)(PLANTED, PlantedPredictor(0))(BATCHES))


def test_a_process_makes_the_predictor_of_the_config() -> None:
    process = PredictorProcess(PLANTED, PlantedPredictor(0).fingerprint)
    process.load()
    found, expected = process.predict(BATCHES[0]), predict_flat(PlantedPredictor(0), BATCHES[0])
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_node_with_other_weights_is_refused() -> None:
    process = PredictorProcess(PLANTED, "planted-seed1-1")
    with pytest.raises(InputError, match="makes planted-seed0-1 of the config, this one planted-seed1-1"):
        process.load()
