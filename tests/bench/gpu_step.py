"""How fast a LoRA step of a 7B reward model is on one GPU, compared with a plain padded loop.

    python -m tests.bench.gpu_step [--size mistral-7b|tiny] [--weights bf16 nf4] [--fusion none add concat] [--json]

The weights are random and made on the GPU: nothing is downloaded. Ours is `Training`, the loop of `gazetune train`,
with its cast to bf16, its DeepSpeed engine (stage 2), its optimiser and its prefetched batches.
The other side is a plain loop in torch without DeepSpeed, which takes pairs as they come and pads them. Both read the
same pairs, without gradient checkpointing, in passes of at most `--pass-tokens` positions. Tokens a second count the
tokens of the pairs, each once a conversation. `tests/bench/model_flop.py` counts the model FLOP.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import MistralConfig, MistralModel, PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batching import EncodedSplit, split_rewards
from gazetune.reward.model.backbone import model_dtype
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.pair_losses import create_loss
from gazetune.reward.model.quantization import configure_quantized_layers, has_bitsandbytes, nf4_options
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saved_model import trained_parameters
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_config import MAX_GRADIENT_NORM
from gazetune.train.processes.deepspeed_engine import group_by_weight_decay
from gazetune.train.processes.device_memory import release_device_memory
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from tests.bench.model_flop import count_model_flop, peak_flop
from tests.bench.step_data import config_of, helpsteer2_like

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
    """None on a device whose peak is not known."""
    peak_gigabytes: float | None
    """None without a GPU."""
    step_flop: float
    passes: int


def mistral_shape(size: str) -> MistralConfig:
    """Return the config of a Mistral without a window."""
    return MistralConfig(**{"sliding_window": None, "pad_token_id": 0, **SHAPES[size]})


def random_backbone(size: str, weights: str, device: torch.device) -> PreTrainedModel:
    """Return a Mistral of random bf16 weights on `device`, its linear layers NF4 if asked."""
    dtype, shape = torch.bfloat16, mistral_shape(size)
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


def divide_padded_passes(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Divide pairs [n], as they come, into passes that hold at most `budget` positions when they are padded."""
    passes: list[list[int]] = [[]]
    for pair in range(len(lengths)):
        longest = int(lengths[[*passes[-1], pair]].max())
        if passes[-1] and 2 * (len(passes[-1]) + 1) * longest > budget:
            passes.append([])
        passes[-1].append(pair)
    return [np.asarray(each) for each in passes]


def time_training(
    config: Config, data: PreparedData, backbone: PreTrainedModel, worker: Worker, steps: int
) -> tuple[Training, Figures]:
    """Take `steps` steps of `Training`, after one that does not count; the caller closes it."""
    with tempfile.TemporaryDirectory() as folder:
        run = Training(config, data, Path(folder), worker, backbone)
    batches = [data.train.batch_pairs(pairs, run.model.layout) for pairs in run.prefetcher.own_pairs(0)]
    flop = sum(count_model_flop(run.model, batch) for batch in batches)
    return run, time_steps(run.train_step, flop, len(batches), data.train, steps, worker.device)


def time_padded_loop(
    config: Config, data: PreparedData, backbone: PreTrainedModel, worker: Worker, steps: int
) -> Figures:
    """Take `steps` steps of a plain loop in torch over pairs as they come, after one that does not count."""
    model = GazeRewardModel(config, backbone)
    model.cast_weights(model_dtype(config, worker.device))
    model.to(worker.device).train()
    model.use_layout(choose_layout(config, backbone, worker.device, data.train))
    assert config.train.batch_tokens is not None
    shares = divide_padded_passes(data.train.pair_lengths(model.layout), config.train.batch_tokens)
    optimizer = torch.optim.AdamW(group_by_weight_decay(model, config.optim.weight_decay), fused=True)
    loss = create_loss(config.loss)

    def take_step(step: int) -> None:
        for share in shares:
            batch = data.train.batch_pairs(share, model.layout).to(worker.device)
            (loss(*split_rewards(model(batch)), batch.scores).sum() / len(data.train)).backward()
        torch.nn.utils.clip_grad_norm_(trained_parameters(model).values(), MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()

    flop = sum(count_model_flop(model, data.train.batch_pairs(share, model.layout)) for share in shares)
    return time_steps(take_step, flop, len(shares), data.train, steps, worker.device)


def time_steps(
    take_step: Callable[[int], None],
    flop: int,
    passes: int,
    split: EncodedSplit,
    steps: int,
    device: torch.device,
) -> Figures:
    """Return the figures of `steps` steps after one that does not count; each reads the whole split in `passes`.

    `flop` is the model FLOP of a step.
    """
    seconds = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for step in range(steps + 1):
        _synchronize(device)
        start = time.perf_counter()
        take_step(step)
        _synchronize(device)
        if step:
            seconds.append(time.perf_counter() - start)
    taken, peak = statistics.median(seconds), peak_flop(device)
    return Figures(
        tokens_per_second=round(float(split.token_starts[-1]) / taken, 1),
        model_flop_utilisation=None if peak is None else round(flop / taken / peak, 4),
        peak_gigabytes=round(torch.cuda.max_memory_allocated() / 1e9, 2) if device.type == "cuda" else None,
        step_flop=float(flop),
        passes=passes,
    )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def bench_config(
    weights: str, fusion: str, batching: str, pairs: int, budget: int, checkpointing: bool = False
) -> Config:
    """Return the config of a side: LoRA in bf16, all `pairs` in a step, at most `budget` positions in a pass."""
    return config_of(
        adapter={"kind": "lora", "dropout": 0.0, "quantization": "nf4" if weights == "nf4" else "none"},
        fusion={"kind": fusion},
        train={
            "batching": batching,
            "batch_size": pairs,
            "batch_tokens": budget,
            "precision": "bf16",
            "gradient_checkpointing": checkpointing,
        },
        deepspeed={"stage": 2},
    )


def measure(size: str, weights: str, fusion: str, budget: int, steps: int, worker: Worker) -> dict[str, Any]:
    """Return the figures of both sides for one kind of weights and one fusion."""
    data = helpsteer2_like(np.random.default_rng(0), PAIRS[size])
    ours, padded = (bench_config(weights, fusion, kind, PAIRS[size], budget) for kind in ("auto", "padded"))
    run, figures = time_training(ours, data, random_backbone(size, weights, worker.device), worker, steps)
    batching = run.model.layout.kind
    run.close()
    del run
    release_device_memory(worker.device)
    plain = time_padded_loop(padded, data, random_backbone(size, weights, worker.device), worker, steps)
    release_device_memory(worker.device)
    return {
        "weights": weights,
        "fusion": fusion,
        "ours": {"batching": batching} | asdict(figures),
        "padded": {"batching": "padded"} | asdict(plain),
        "speed_over_padded": round(figures.tokens_per_second / plain.tokens_per_second, 3),
    }


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
    with contextlib.redirect_stdout(sys.stderr):  # DeepSpeed prints what it builds
        worker = join_worker_group()
    device = worker.device
    if device.type == "cpu" and arguments.size != "tiny":
        parser.error(f"--size {arguments.size} needs a CUDA GPU; --size tiny runs on a CPU")
    weights = [each for each in arguments.weights if each != "nf4" or has_bitsandbytes()]
    if weights != arguments.weights:
        print("nf4 is left out: bitsandbytes is not installed", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        rows = [
            measure(arguments.size, each, fusion, arguments.pass_tokens, arguments.steps, worker)
            for each in weights
            for fusion in arguments.fusion
        ]
        leave_worker_group()
    conditions = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
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
