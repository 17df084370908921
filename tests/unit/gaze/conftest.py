"""Data and networks to fit."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaForMaskedLM

HEADER = ["sentence_id", "word_id", "word", "nFix", "FFD", "GPT", "TRT", "fixProp"]


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return what writes sentences in which the measures follow the length of the word; words may be few or all new."""
    folder = tmp_path_factory.mktemp("data")

    def write(name: str = "made_up.csv", sentences: int = 150, seed: int = 0, words: int | None = None) -> Path:
        generator = np.random.default_rng(seed)
        few = drawn_words(np.random.default_rng(99), words) if words else None
        rows: list[list[object]] = [list(HEADER)]
        for sentence in range(sentences):
            for place, word in enumerate(generator.choice(few, 8) if few else drawn_words(generator, 8)):
                length, end = len(word), "<EOS>" if place == 7 else ""
                measures = [length * 2, length / 4, length / 2, length / 3, min(length * 10, 100)]
                rows.append([sentence, place, f"{word}{end}", *measures])
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
        return folder / name

    return write


def drawn_words(generator: np.random.Generator, count: int) -> list[str]:
    return ["".join(generator.choice(list("abcdefgh"), int(generator.integers(1, 13)))) for _ in range(count)]


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random language model as transformers saves it, with its byte-level BPE."""
    folder = tmp_path_factory.mktemp("tiny") / "roberta"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([f" {word}" for word in drawn_words(np.random.default_rng(99), 60)] * 9, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = RobertaConfig(
            vocab_size=600,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=514,
            layer_norm_eps=1e-5,
            type_vocab_size=1,
        )
        RobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
