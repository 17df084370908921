"""Part `precision`: rewards in bf16 beside those in float32, and beside transformers' own bf16 load of the weights."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForSequenceClassification

from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.processes.worker_group import Worker
from tests.bench.step_data import config_of, made_up
from tests.gpu.smoke.sizes import Size

WORDS = 64
LARGEST_RATIO = 1.2
"""Of our median error to that of transformers' own load."""
TEXTS_OF_PASS = 10


def compare_precisions(size: Size, worker: Worker) -> dict[str, Any]:
    """Compare rewards of random texts of `size.positions` tokens."""
    wide = size.hidden > 256
    shape = llama_shape(size.positions, size.hidden, size.hidden // (128 if wide else 32), 4 if wide else 1)
    with tempfile.TemporaryDirectory() as folder:
        errors = measure_errors(shape, size.texts, Path(folder), worker.device)
    problems = []
    ours, theirs = errors["median_error"], errors["median_error_of_transformers"]
    if ours > LARGEST_RATIO * theirs:
        problems.append(f"bf16 is off by {ours:.2g}, and transformers by {theirs:.2g}")
    if errors["distinct_rewards"] < size.texts - 1:
        problems.append(f"{size.texts - errors['distinct_rewards'] - 1} rewards tie whose texts differ")
    if not errors["frequencies_are_exact"]:
        problems.append("inv_freq is rounded")
    return {"positions": size.positions, "texts": size.texts, **errors, "problems": problems}


def llama_shape(positions: int, hidden: int, heads: int, group: int) -> LlamaConfig:
    """Return the config of a Llama of one layer and theta 10,000, with a head of keys for `group` heads."""
    return LlamaConfig(
        vocab_size=WORDS,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=1,
        num_attention_heads=heads,
        num_key_value_heads=heads // group,
        max_position_embeddings=positions,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=0,
    )


def sharp_classifier(shape: LlamaConfig) -> LlamaForSequenceClassification:
    """Return a random Llama whose attention is sharp, so that rewards depend on where tokens stand."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = LlamaForSequenceClassification(LlamaConfig(**{**shape.to_dict(), "num_labels": 1}))
        for name, weight in made.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                nn.init.normal_(weight, std=3.4 * weight.shape[1] ** -0.5)
            elif weight.ndim == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    return made.eval()


def random_texts(texts: int, positions: int) -> EncodedSplit:
    """Return random texts of the same length, of which the last two are equal."""
    prompts, replies = np.full(texts // 2, 1), np.full((texts // 2, 2), positions - 1)
    split = made_up(np.random.default_rng(0), prompts, replies, WORDS).train
    split.ids[-positions:] = split.ids[-2 * positions : -positions]
    return split


def measure_errors(shape: LlamaConfig, texts: int, folder: Path, device: torch.device) -> dict[str, Any]:
    """Return the median errors of both bf16 models against ours in float32, and the spread of the rewards there."""
    made, split = sharp_classifier(shape), random_texts(texts, shape.max_position_embeddings)
    made.save_pretrained(folder / "classifier")
    made.model.save_pretrained(folder / "backbone")
    frequencies = made.model.rotary_emb.inv_freq
    theirs = LlamaForSequenceClassification.from_pretrained(folder / "classifier", dtype=torch.bfloat16)
    ids = torch.from_numpy(split.ids).long().reshape(texts, -1)
    theirs = theirs.eval().to(device)
    with torch.no_grad():
        rows = [theirs(row.to(device)).logits[:, 0].float().cpu() for row in ids.split(TEXTS_OF_PASS)]
    del theirs
    are_exact = True

    def rewards_in(dtype: torch.dtype) -> Tensor:
        nonlocal are_exact
        model = GazeRewardModel(config_of(), load_backbone(str(folder / "backbone"), dtype)).eval()
        model.head.load_state_dict(made.score.state_dict())
        model.cast_weights(dtype)
        model.to(device)
        model.use_layout(BatchLayout("packed"))
        assert model.backbone.layers[0].mlp.up_proj.weight.dtype == dtype
        are_exact &= torch.equal(model.backbone.rotary_emb.inv_freq.cpu(), frequencies)
        passes = np.array_split(np.arange(texts), -(-texts // TEXTS_OF_PASS))
        with torch.no_grad():
            return torch.cat([model(split.batch_single_texts(each, model.layout).to(device)).cpu() for each in passes])

    exact, ours = rewards_in(torch.float32), rewards_in(torch.bfloat16)
    return {
        "median_error": float((ours - exact).abs().median()),
        "median_error_of_transformers": float((torch.cat(rows) - exact).abs().median()),
        "spread": float(exact.std()),
        "distinct_rewards": len(ours.unique()),
        "frequencies_are_exact": are_exact,
    }
