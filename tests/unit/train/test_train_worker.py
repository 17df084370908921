"""A worker of `gazetune train` never holds two backbones: neither it nor its device may have room for a second one."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.report.activity import ActivityLines
from gazetune.reward.data.dataset import PreparedData
from gazetune.train.processes import backbone_cache
from gazetune.train.processes.backbone_cache import BackboneCache
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker
from gazetune.train.scoring.evaluation import score_saved_model
from gazetune.train.scoring.score_documents import describe_test_scores
from gazetune.train.train_worker import train_and_score
from tests.unit.train.conftest import config_of

LORA = {"adapter": {"kind": "lora", "r": 4}}
FULL = {"adapter": {"kind": "full"}}
SHARDED = {"adapter": {"kind": "full"}, "deepspeed": {"stage": 3, "offload": "cpu"}}


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[PreTrainedModel]]:
    """Every backbone that is loaded, the others being gone by then."""
    seen: list[weakref.ref[PreTrainedModel]] = []

    def load_alone(config: Config, worker: Worker) -> PreTrainedModel:
        assert not any(each() is not None for each in seen), "another backbone is still held"
        backbone = load_worker_backbone(config, worker)
        seen.append(weakref.ref(backbone))
        return backbone

    monkeypatch.setattr(backbone_cache, "load_worker_backbone", load_alone)
    return seen


@pytest.mark.parametrize(("sections", "loads"), [(LORA, 1), (FULL, 2), (SHARDED, 2)], ids=["lora", "full", "sharded"])
def test_the_test_split_is_scored_without_a_second_backbone(
    sections: dict[str, Any],
    loads: int,
    loaded: list[weakref.ref[PreTrainedModel]],
    worker: Worker,
    data: PreparedData,
    tmp_path: Path,
) -> None:
    config = config_of(train={"epochs": 0.5}, **sections)
    with ActivityLines() as lines:
        result = train_and_score(config, data, tmp_path / "run", worker, lines, lambda made: True)
    assert len(loaded) == loads
    backbone, words = load_worker_backbone(config, worker), data.response_words("test")
    rewards, _ = score_saved_model(config, tmp_path / "run" / "best", backbone, data.test, worker)
    assert result["test"] == describe_test_scores(rewards, words)["test"]
    kept = read_margins(margins_file(tmp_path / "run", "test"))
    np.testing.assert_array_equal(kept.rewards, rewards)
    assert kept.items.tolist() == data.item_keys("test").tolist()


def test_a_kept_backbone_that_the_next_model_does_not_want_is_freed_before_another_is_loaded(
    loaded: list[weakref.ref[PreTrainedModel]], worker: Worker
) -> None:
    backbones = BackboneCache(worker)
    backbones.keep_backbone(config_of(**LORA), backbones.take_backbone(config_of(**LORA)))
    assert backbones.take_backbone(config_of(**LORA, train={"precision": "bf16"})) is not None
    assert len(loaded) == 2
