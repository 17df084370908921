"""Part `layouts`: a model without padding gives the rewards and gradients that it gives with padding in float32.

On a GPU it computes in bf16, through the flash kernel where there is one; on a CPU in float32. The cases differ in what
decides which code attends: heads that share keys (GQA), windows, recomputation, fusions that attend themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import MistralConfig, MistralModel, PreTrainedModel

from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batching import split_rewards
from gazetune.reward.model.fusion_registry import fusion_class
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.tiny import POSITIONS, VOCABULARY
from gazetune.train.processes.worker_group import Worker
from tests.bench.step_data import config_of
from tests.gpu.smoke.sizes import Size

TOLERANCES = {torch.bfloat16: (0.05, 0.3), torch.float32: (1e-4, 1e-4)}
"""Of rewards, and of the norm of a gradient's difference beside the norm of the gradient.

In bf16 on a CPU the largest ones seen were 0.016 and 0.18 (of `cross`).
"""
CLOSED = ("gate.weight", "output.weight")
"""Weights of fusions that begin at zero, and let no gaze through then."""


@dataclass(frozen=True)
class Case:
    """A backbone and a fusion."""

    name: str
    fusion: str
    key_heads: int = 4
    """Of 4 query heads."""
    has_window: bool = False
    checkpointing: bool = False

    def layout_kinds(self) -> tuple[str, ...]:
        """Return the layouts without padding that the fusion allows."""
        return ("packed",) if fusion_class(self.fusion).mixes_messages else ("packed", "shared")


CASES = (
    Case("plain", "none"),
    Case("plain add", "add"),
    Case("plain concat", "concat"),
    Case("plain cross", "cross"),
    Case("gqa", "none", key_heads=2),
    Case("gqa cross", "cross", key_heads=2),
    Case("window", "none", key_heads=2, has_window=True),
    Case("window concat", "concat", key_heads=2, has_window=True),
    Case("checkpointing add", "add", key_heads=2, checkpointing=True),
    Case("checkpointing cross", "cross", key_heads=2, has_window=True, checkpointing=True),
)


@dataclass(frozen=True)
class Computed:
    """What a model gives for some pairs."""

    rewards: Tensor
    """[S] of the chosen and of the rejected texts."""
    gradients: tuple[Tensor, ...]
    """Of the spread of rewards, at the first query matrix and at the first matrix of the fusion, if there is one."""
    forward_passes: int
    """How often that query matrix computed; twice where activations are computed again."""


def case_backbone(case: Case, window: int) -> PreTrainedModel:
    """Return a Mistral of hidden size 128 and 2 layers whose weights are the same in every case of the same heads."""
    shape = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=case.key_heads,
        max_position_embeddings=POSITIONS,
        sliding_window=window if case.has_window else None,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MistralModel(shape)


def compute_case(
    case: Case, layout_kind: str, data: PreparedData, window: int, device: torch.device, dtype: torch.dtype
) -> Computed:
    """Compute all pairs in one layout."""
    config = config_of(
        fusion={"kind": case.fusion, "position": "after"},
        projector={"dropout": [0.0, 0.0]},
        train={"batching": layout_kind},
    )
    backbone = case_backbone(case, window)
    if case.checkpointing:
        backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = GazeRewardModel(config, backbone).train()
    for name, weight in model.fusion.named_parameters():
        if name in CLOSED:
            nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    model.cast_weights(dtype)
    model.to(device)
    model.use_layout(choose_layout(config, backbone, device, data.train))
    query, calls = backbone.layers[0].self_attn.q_proj, []
    query.register_forward_hook(lambda *_: calls.append(1))
    chosen, rejected = split_rewards(model(data.train.batch_pairs(np.arange(len(data.train)), model.layout).to(device)))
    (chosen - rejected).sum().backward()
    matrices = [query.weight, *(each for each in model.fusion.parameters() if each.ndim == 2)][:2]
    return Computed(
        torch.cat([chosen, rejected]).detach().cpu(), tuple(each.grad.float().cpu() for each in matrices), len(calls)
    )


def compare_case(case: Case, data: PreparedData, window: int, device: torch.device) -> list[dict[str, Any]]:
    """Compare each layout without padding with the padded one; `problem` is empty where they agree."""
    dtype = compared_dtype(device)
    padded = compute_case(case, "padded", data, window, device, torch.float32)
    found = []
    for kind in case.layout_kinds():
        ours = compute_case(case, kind, data, window, device, dtype)
        rewards = float((ours.rewards - padded.rewards).abs().max())
        gradient = max(map(_difference, ours.gradients, padded.gradients))
        problem = ""
        if not (rewards <= TOLERANCES[dtype][0] and gradient <= TOLERANCES[dtype][1]):
            problem = f"{case.name}, {kind}: differs from padding by {rewards:.2g} and {gradient:.2g}"
        elif ours.forward_passes != 1 + case.checkpointing:
            problem = f"{case.name}, {kind}: the first layer computed {ours.forward_passes} time(s)"
        found.append(
            {
                "case": case.name,
                "layout": kind,
                "reward_difference": rewards,
                "gradient_difference": gradient,
                "problem": problem,
            }
        )
    return found


def compare_layouts(size: Size, worker: Worker) -> dict[str, Any]:
    """Compare every case in every layout that it allows."""
    data = size.draw_pairs(0)
    found = [each for case in CASES for each in compare_case(case, data, size.window, worker.device)]
    return {
        "dtype": str(compared_dtype(worker.device)),
        "cases": found,
        "problems": [each["problem"] for each in found if each["problem"]],
    }


def compared_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype in which texts without padding are computed."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())
