"""How fast a LoRA step of a 7B reward model is on one GPU, compared with a plain padded loop.

    python -m tests.bench.gpu_step [--size mistral-7b|tiny] [--weights bf16 nf4] [--fusion none add concat] [--json]

The weights are random and made on the GPU: nothing is downloaded. Both sides are a plain loop without DeepSpeed or Ray
over the same pairs, without gradient checkpointing, in passes of at most `--pass-tokens` positions. Ours packs texts
(`train.batching: auto`) and divides a step by length; the plain one takes pairs as they come and pads them. Tokens a
second count the tokens of the pairs, each once a conversation. Model FLOP: per position 4 for each frozen and 6 for
each trained weight of the backbone's matrices, and attention; what is computed for padding is no model FLOP.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import MistralConfig, MistralModel, PreTrainedModel

from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batching import EncodedSplit, PairBatch, split_rewards
from gazetune.reward.layout.passes import divide_passes
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.pair_losses import create_loss
from gazetune.reward.model.quantization import configure_quantized_layers, has_bitsandbytes, nf4_options
from gazetune.reward.model.reward_model import GazeRewardModel
from tests.bench.step_data import config_of, helpsteer2_like

PEAK_FLOP = 989e12
"""Dense bf16 FLOP a second of an H100 or H200 SXM."""
SHAPES: dict[str, dict[str, int]] = {
    "mistral-7b": {},  # the defaults of MistralConfig are those of Mistral-7B-v0.1, but for the window below
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 4096,
    },
}
PAIRS = {"mistral-7b": 16, "tiny": 4}


@dataclass(frozen=True)
class Figures:
    """What one side of one setting reached."""

    tokens_per_second: float
    model_flop_utilisation: float | None
    peak_gigabytes: float | None
    """None of both without a GPU."""
    step_flop: float
    passes: int


def random_backbone(size: str, weights: str, device: torch.device) -> PreTrainedModel:
    """Return a Mistral of random weights on `device`: bf16 on a GPU, fp32 on a CPU, its linear layers NF4 if asked."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    shape = MistralConfig(**{"sliding_window": None, "pad_token_id": 0, **SHAPES[size]})
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            made = MistralModel(shape)
    finally:
        torch.set_default_dtype(before)
    if weights == "nf4":
        state = dict(made.state_dict())
        made = MistralModel.from_pretrained(None, config=shape, state_dict=state, dtype=dtype, **nf4_options(dtype))
        configure_quantized_layers(made)
    return made


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


def count_model_flop(model: GazeRewardModel, batch: PairBatch) -> int:
    """Return the model FLOP of a pass of a causal model; fusion and head, thousands of times smaller, do not count."""
    segments = batch.segments
    if batch.attention_mask is not None:
        lengths = batch.attention_mask.sum(1).tolist()
        segments = Segments.from_lengths(lengths, ((0, 0),) * len(lengths), causal=True)
    assert segments is not None
    frozen, trained = count_matrix_weights(model.backbone)
    shape = model.bare_backbone().config
    width = shape.num_attention_heads * shape.head_dim
    return (4 * frozen + 6 * trained) * sum(segments.queries) + count_attention_flop(
        segments, width, shape.num_hidden_layers
    )


def divide_padded_passes(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Divide pairs [n], as they come, into passes that hold at most `budget` positions when they are padded."""
    passes: list[list[int]] = [[]]
    for pair in range(len(lengths)):
        longest = int(lengths[[*passes[-1], pair]].max())
        if passes[-1] and 2 * (len(passes[-1]) + 1) * longest > budget:
            passes.append([])
        passes[-1].append(pair)
    return [np.asarray(each) for each in passes]


def time_side(
    model: GazeRewardModel, split: EncodedSplit, pairs: int, budget: int, steps: int, device: torch.device
) -> Figures:
    """Take `steps` optimiser steps over the first pairs, after one that does not count, in the model's layout."""
    lengths = split.pair_lengths(model.layout)[:pairs]
    if model.layout.kind == "padded":
        shares = divide_padded_passes(lengths, budget)
    else:
        shares = [share for (share,) in divide_passes(lengths, budget, 1)]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-5, weight_decay=0.1)
    loss, seconds, flop = create_loss(model.config.loss), [], 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for step in range(steps + 1):
        _synchronize(device)
        start, flop = time.perf_counter(), 0
        for share in shares:
            host = split.batch_pairs(share, model.layout)
            flop += count_model_flop(model, host)
            batch = host.to(device)
            (loss(*split_rewards(model(batch)), batch.scores).sum() / pairs).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        _synchronize(device)
        if step:
            seconds.append(time.perf_counter() - start)
    taken = statistics.median(seconds)
    on_gpu = device.type == "cuda"
    return Figures(
        tokens_per_second=round(float(np.diff(split.token_starts)[: 2 * pairs].sum()) / taken, 1),
        model_flop_utilisation=round(flop / taken / PEAK_FLOP, 4) if on_gpu else None,
        peak_gigabytes=round(torch.cuda.max_memory_allocated() / 1e9, 2) if on_gpu else None,
        step_flop=float(flop),
        passes=len(shares),
    )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(size: str, weights: str, fusion: str, budget: int, steps: int, device: torch.device) -> dict[str, Any]:
    """Return the figures of both sides for one kind of weights and one fusion."""
    split = helpsteer2_like(np.random.default_rng(0), PAIRS[size]).train
    found: dict[str, Any] = {"weights": weights, "fusion": fusion}
    for name, batching in (("ours", "auto"), ("padded", "padded")):
        adapter = {"kind": "lora", "dropout": 0.0, "quantization": "nf4" if weights == "nf4" else "none"}
        config = config_of(adapter=adapter, fusion={"kind": fusion}, train={"batching": batching})
        backbone = random_backbone(size, weights, device)
        model = GazeRewardModel(config, backbone).to(device)
        model.use_layout(choose_layout(config, backbone, device, split))
        model.train()
        found[name] = {"batching": model.layout.kind} | asdict(
            time_side(model, split, PAIRS[size], budget, steps, device)
        )
        del model, backbone
        if device.type == "cuda":
            torch.cuda.empty_cache()
    found["speed_over_padded"] = round(found["ours"]["tokens_per_second"] / found["padded"]["tokens_per_second"], 3)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu_step", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SHAPES), default="mistral-7b")
    parser.add_argument("--weights", nargs="+", choices=["bf16", "nf4"], default=["bf16", "nf4"])
    parser.add_argument("--fusion", nargs="+", choices=["none", "add", "concat"], default=["none", "add", "concat"])
    parser.add_argument("--pass-tokens", type=int, default=6144, help="the most positions of a pass")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and arguments.size != "tiny":
        parser.error(f"--size {arguments.size} needs a CUDA GPU; --size tiny runs on a CPU")
    weights = [each for each in arguments.weights if each != "nf4" or has_bitsandbytes()]
    if weights != arguments.weights:
        print("nf4 is left out: bitsandbytes is not installed", file=sys.stderr)
    rows = [
        measure(arguments.size, each, fusion, arguments.pass_tokens, arguments.steps, device)
        for each in weights
        for fusion in arguments.fusion
    ]
    conditions = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu, fp32 for bf16",
        "torch": torch.__version__,
        "size": arguments.size,
        "pairs": PAIRS[arguments.size],
        "pass_tokens": arguments.pass_tokens,
        "steps": arguments.steps,
    }
    if arguments.json:
        print(json.dumps({"conditions": conditions, "figures": rows}, indent=2))
        return
    for row in [conditions, *rows]:
        print(row)


if __name__ == "__main__":
    main()
