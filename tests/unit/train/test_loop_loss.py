"""The `loss` section in a run: what a step minimises, and data that it cannot be computed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone, model_dtype
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import Worker
from gazetune.train.scoring.evaluation import score_split


@pytest.mark.parametrize(
    ("loss", "margin", "center", "smoothing"),
    [
        ({}, 0.0, 0.0, 0.0),
        ({"margin": 1.5}, 1.5, 0.0, 0.0),
        ({"margin": "score"}, None, 0.0, 0.0),
        ({"margin": "score", "center": 0.5, "label_smoothing": 0.2}, None, 0.5, 0.2),
    ],
)
def test_a_step_minimises_the_loss_that_the_config_describes(
    loss: dict[str, Any],
    margin: float | None,
    center: float,
    smoothing: float,
    start: Callable[..., Training],
    data: PreparedData,
    worker: Worker,
) -> None:
    run = start(loss=loss, projector={"dropout": [0.0, 0.0]})
    pairs = run.plan.step_pairs(0)
    chosen, rejected = score_split(run.engine, data.train, run.model.layout, 10_000, worker)[pairs].T
    difference = chosen - rejected - (data.train.scores[pairs] if margin is None else margin)
    expected = (1 - smoothing) * np.logaddexp(0, -difference) + smoothing * np.logaddexp(0, difference)
    run.train_step(0)
    assert float(run._losses[0]) == pytest.approx(np.mean(expected + center * (chosen + rejected) ** 2), abs=1e-5)


def test_planted_pairs_have_scores(data: PreparedData) -> None:
    for split in (data.train, data.validation, data.test):
        assert split.scores.shape == (len(split),) and (split.scores >= 0).all() and split.scores.std() > 0.5


def test_data_without_scores_is_refused_when_the_margin_is_the_score(
    start: Callable[..., Training], data: PreparedData, worker: Worker, tmp_path: Path
) -> None:
    config = start(loss={"margin": "score"}).config
    scores = np.array(data.train.scores)
    scores[3] = np.nan
    unscored = replace(data, train=replace(data.train, scores=scores))
    backbone = load_backbone(config.backbone, model_dtype(config, worker.device))
    with pytest.raises(
        InputError, match=r"loss.margin: score needs .* 1 of the \d+ training pairs .* \(first: pair 4\)"
    ):
        Training(config, unscored, tmp_path / "unscored", worker, backbone)
