"""How many values a model has, by what happens to them: from its shapes alone, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.model.adapter import apply_adapter
from gazetune.reward.model.fusion_registry import create_fusion

FLOAT32 = 4
NF4_BYTES = 0.5 + 1 / 64 + FLOAT32 / (64 * 256)
"""Of a weight: 4 bits, 8 bits of scale for 64 weights, and a float32 for 256 scales."""
NF4_SINGLE_BYTES = 0.5 + FLOAT32 / 64
"""Of a weight whose scale is not quantised again: 4 bits, and a float32 for 64 weights."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How many values a model has, by what happens to them."""

    trained: tuple[int, ...]
    """Values of each tensor that trains."""
    frozen: tuple[int, ...]
    """Values of each frozen tensor that is kept in the model's precision."""
    quantized: int
    """Values kept in 4 bits."""
    largest_layer: tuple[int, int]
    """Values of the module that owns most of them, and how many of those train; ZeRO-3 gathers one at a time."""
    nf4_bytes: float = NF4_BYTES
    """Bytes of a value kept in 4 bits."""

    @property
    def value_count(self) -> int:
        """All values."""
        return sum(self.trained) + sum(self.frozen) + self.quantized

    @property
    def largest_trained(self) -> int:
        """Values of the largest tensor that trains."""
        return max(self.trained, default=0)

    def count_bytes(self, value_bytes: int) -> int:
        """Return the bytes of all weights, with `value_bytes` for a value that is not kept in 4 bits."""
        return int(value_bytes * (sum(self.trained) + sum(self.frozen)) + self.nf4_bytes * self.quantized)


def count_values(config: Config, backbone: PreTrainedModel) -> ModelSize:
    """Count the values of the model that `config` makes of `backbone`, which may be on torch's meta device."""
    packed: set[int] = set()
    if config.adapter.quantization != "none":
        packed = {id(module.weight) for module in backbone.modules() if isinstance(module, nn.Linear)}
    width = cast(nn.Embedding, backbone.get_input_embeddings()).weight.shape[1]
    with torch.device("meta"):
        head = nn.Linear(int(backbone.config.get_text_config().hidden_size), 1, bias=False)
        parts = nn.ModuleList([create_fusion(config, width, 1.0), head, apply_adapter(backbone, config.adapter)])
    parameters = list(parts.parameters())
    layers = []
    for module in parts.modules():
        own = list(module.parameters(recurse=False))
        layers.append((_sum_values(own), _sum_values(each for each in own if each.requires_grad)))
    return ModelSize(
        trained=tuple(each.numel() for each in parameters if each.requires_grad),
        frozen=tuple(each.numel() for each in parameters if not each.requires_grad and id(each) not in packed),
        quantized=_sum_values(each for each in parameters if id(each) in packed),
        largest_layer=max(layers),
        nf4_bytes=NF4_BYTES if config.adapter.double_quantization else NF4_SINGLE_BYTES,
    )


def _sum_values(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
