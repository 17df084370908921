"""The preference pairs and the model that the training step is measured on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaModel, PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import DatasetFacts, PreparedData
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.tiny import POSITIONS, VOCABULARY

PAIRS = 16
"""Pairs of a batch."""
MADE_UP_PAIRS = 320
HELPSTEER2_TOKENS = {"prompt": 175, "response": 370}
"""Mean tokens; lengths are drawn from log-normal distributions."""
HELPSTEER2_SIGMA = {"prompt": 0.8, "response": 0.6}
EQUAL_TOKENS = {"prompt": 16, "response": 240}
"""A prompt too short for its sharing to pay: nothing is gained but what the step itself costs less."""
FIRST_WORD = 10
"""Token ids below this one are special."""


def config_of(**sections: dict[str, Any]) -> Config:
    """Return a config in fp32 with all weights trained, and `sections` on top."""
    base: dict[str, dict[str, Any]] = {
        "adapter": {"kind": "full"},
        "fusion": {"kind": "none"},
        "optim": {"schedule": "constant"},
        "train": {"batch_size": PAIRS, "epochs": 1000, "precision": "fp32"},
        "deepspeed": {"stage": 0},
    }
    names = base.keys() | sections.keys()
    return Config.model_validate({name: {**base.get(name, {}), **sections.get(name, {})} for name in names})


def measured_backbone() -> PreTrainedModel:
    """Return the Llama of hidden size 256 and 4 layers that every side of the comparison starts from."""
    shape = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaModel(shape)


def shared_pairs() -> Path | None:
    """Return the file of real preference pairs: of `GAZETUNE_SHARED`, else of `../shared`; None if there is none."""
    folder = Path(os.environ.get("GAZETUNE_SHARED") or Path(__file__).parents[3] / "shared")
    file = folder / "data" / "hh_harmless_pairs.jsonl.gz"
    return file if file.exists() else None


def helpsteer2_like(generator: np.random.Generator, pairs: int = MADE_UP_PAIRS) -> PreparedData:
    """Make pairs whose lengths are about those of HelpSteer2."""

    def drawn(part: str, count: int) -> NDArray[np.int64]:
        mean, sigma = HELPSTEER2_TOKENS[part], HELPSTEER2_SIGMA[part]
        lengths = generator.lognormal(np.log(mean) - sigma**2 / 2, sigma, count)
        return np.clip(lengths.round(), 4, POSITIONS // 4).astype(np.int64)

    return made_up(generator, drawn("prompt", pairs), drawn("response", 2 * pairs).reshape(-1, 2))


def equal_lengths(generator: np.random.Generator, pairs: int = MADE_UP_PAIRS) -> PreparedData:
    """Make pairs of which every sequence is as long as every other one."""
    prompts = np.full(pairs, EQUAL_TOKENS["prompt"])
    return made_up(generator, prompts, np.full((pairs, 2), EQUAL_TOKENS["response"]))


def made_up(
    generator: np.random.Generator, prompts: NDArray[np.int64], responses: NDArray[np.int64], words: int = VOCABULARY
) -> PreparedData:
    """Make pairs of random tokens and measures, three units to four tokens.

    Parameters
    ----------
    generator
        Source of tokens and measures.
    prompts
        [pairs] tokens of each prompt.
    responses
        [pairs, 2] tokens of the chosen and of the rejected response.
    words
        Size of the vocabulary.
    """
    lengths = (prompts[:, None] + responses).reshape(-1)
    texts = []
    for prompt, pair in zip(prompts.tolist(), responses.tolist(), strict=True):
        common = generator.integers(FIRST_WORD, words, prompt)
        texts += [np.concatenate([common, generator.integers(FIRST_WORD, words, length)]) for length in pair]
    units = lengths * 3 // 4
    starts = np.concatenate([[0], np.cumsum(lengths)])
    split = EncodedSplit(
        ids=np.concatenate(texts).astype(np.int32),
        token_unit=np.concatenate([np.arange(n) * u // n for n, u in zip(lengths, units, strict=True)]).astype(
            np.int32
        ),
        token_share=np.full(lengths.sum(), 0.75, dtype=np.float32),
        token_starts=starts.astype(np.int64),
        # Both sequences of a pair read the same rows, so that their prompts have the same measures.
        unit_index=np.concatenate([np.arange(count) for count in units]).astype(np.int32),
        unit_starts=np.concatenate([[0], np.cumsum(units)]).astype(np.int64),
        scores=np.full(len(prompts), np.nan, dtype=np.float32),
        values=generator.random((int(units.max()), 5), dtype=np.float32),
    )
    facts = DatasetFacts(
        data_fingerprint="made up",
        gaze_fingerprint="made up",
        pairs={"train": len(split), "validation": 0, "test": 0},
        dropped={},
        bayes=None,
        gaze_mean=[0.5] * 5,
        gaze_sd=[0.3] * 5,
        context=POSITIONS,
        longest={"tokens": int(lengths.max()), "units": int(units.max())},
        longest_origin="made up",
    )
    return PreparedData(Path(), facts, split, split, split)
