"""The model FLOP of a training step, and what a GPU can do at most.

Per position 4 FLOP for each frozen and 6 for each trained weight of the backbone's matrices, and attention. What is
computed for padding, and what gradient checkpointing computes again, is no model FLOP. Fusion and head, thousands of
times smaller, do not count.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedConfig

from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batching import PairBatch
from gazetune.reward.model.reward_model import GazeRewardModel

_PEAKS = {"H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 FLOP a second of GPUs by a part of their names, from NVIDIA's data sheets, the longer names first."""


def peak_flop(device: torch.device) -> float | None:
    """Return the dense bf16 FLOP a second of a GPU; None for a CPU, and for a GPU that is not in the table."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)


def count_matrix_weights(backbone: nn.Module) -> tuple[int, int]:
    """Return how many weights the backbone's linear layers have: frozen and trained."""
    counts = [0, 0]
    for module in backbone.modules():
        # A layer that LoRA wraps is a module of this class itself; a packed 4-bit weight does not tell its size.
        if isinstance(module, nn.Linear):
            counts[module.weight.requires_grad] += module.in_features * module.out_features
    return counts[0], counts[1]


def count_attention_flop(segments: Segments, width: int, layers: int) -> int:
    """Return the FLOP of causal attention over segments, forward and backward, heads of `width` altogether.

    A query that sees k keys costs 2 k width for its scores and as much for its values; backward costs twice that.
    """
    seen = 0
    for queries, keys, (_, shared) in zip(segments.queries, segments.keys, segments.shared, strict=True):
        seen += queries * (keys + shared) - queries * (queries - 1) // 2
    return 12 * width * layers * seen


def count_segment_flop(backbone: nn.Module, shape: PreTrainedConfig, segments: Segments) -> int:
    """Return the model FLOP of a pass over segments through a causal backbone of this shape, adapters included."""
    frozen, trained = count_matrix_weights(backbone)
    width = shape.num_attention_heads * shape.head_dim
    return (4 * frozen + 6 * trained) * sum(segments.queries) + count_attention_flop(
        segments, width, shape.num_hidden_layers
    )


def count_model_flop(model: GazeRewardModel, batch: PairBatch) -> int:
    """Return the model FLOP of a pass of a causal reward model."""
    segments = batch.segments
    if batch.attention_mask is not None:
        segments = separate_texts(batch.attention_mask.sum(1).tolist())
    assert segments is not None
    return count_segment_flop(model.backbone, model.bare_backbone().config, segments)


def separate_texts(lengths: list[int]) -> Segments:
    """Return texts of these lengths as segments, each of which sees itself."""
    return Segments.from_lengths(lengths, ((0, 0),) * len(lengths), causal=True)
