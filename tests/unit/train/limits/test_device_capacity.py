"""What is refused because a device cannot hold it for certain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig

from gazetune.config import Config
from gazetune.train.limits.device_capacity import describe_excess, read_device_capacity

CAPACITY = 80 * 10**9


@pytest.fixture
def mistral(tmp_path: Path) -> str:
    """A folder with the shapes of Mistral-7B, and no weights."""
    MistralConfig(architectures=["MistralModel"]).save_pretrained(tmp_path)
    return str(tmp_path)


def config_of(backbone: str, kind: str, **deepspeed: Any) -> Config:
    resources = {"workers": 8, "gpus_per_worker": 1}
    adapter = {"kind": kind}
    tree = {"backbone": backbone, "adapter": adapter, "deepspeed": deepspeed, "resources": resources}
    return Config.model_validate(tree)


def test_what_does_not_fit_for_certain_is_refused_with_what_helps(mistral: str) -> None:
    said = describe_excess(config_of(mistral, "full", stage=0), CAPACITY)
    # 2 bytes of weight, 4 of its float32 copy, 8 of moments, 4 of the gradient of a step: 18 times 7.11e9.
    assert said is not None and "take 119.2 GiB, and its device has 74.5 GiB" in said
    assert "a deepspeed.stage above 0, deepspeed.offload: cpu" in said and "workers" not in said.partition("helps")[2]


@pytest.mark.parametrize(("kind", "stage"), [("full", 2), ("full", 3), ("lora", 0)])
def test_what_may_fit_is_not_refused(mistral: str, kind: str, stage: int) -> None:
    assert describe_excess(config_of(mistral, kind, stage=stage), CAPACITY) is None


def test_where_no_memory_of_a_device_is_known_nothing_is_refused(mistral: str) -> None:
    assert read_device_capacity(torch.device("cpu")) is None
    assert describe_excess(config_of(mistral, "full", stage=0), None) is None
