"""Prepared planted data, made once for the tests of this room, and small backbones in local folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.tiny import VOCABULARY

SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
GROUPED = {"num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": 1}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 16},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 8},
    "gemma": {**GROUPED, "head_dim": 8},
    "gemma2": {**GROUPED, "head_dim": 8, "sliding_window": 16},
    "gemma3_text": {**GROUPED, "head_dim": 8, "sliding_window": 16},
    "phi": GROUPED,
    "phi3": GROUPED,
    "bert": {},
    "roberta": {"pad_token_id": 1},
    "modernbert": {},
    "albert": {"embedding_size": 16},
}

BackboneFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def planted_config() -> Config:
    return Config.model_validate({"data": {"source": "planted", "pairs": 200}, "gaze": {"predictor": "planted"}})


@pytest.fixture(scope="session")
def planted(planted_config: Config, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare_data(planted_config, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def cache(planted: PreparedData) -> Path:
    return planted.folder.parent.parent


@pytest.fixture
def backbone_folder(planted: PreparedData, tmp_path: Path) -> BackboneFolder:
    """Return a function that saves a random model of an architecture, with the tiny tokenizer, to a local folder."""

    def save(architecture: str, **changes: Any) -> Path:
        folder = tmp_path / architecture
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = AutoConfig.for_model(architecture, **{**SMALL, **ARCHITECTURES[architecture], **changes})
            AutoModel.from_config(config).save_pretrained(folder)
        planted.load_tokenizer().save_pretrained(folder)
        return folder

    return save
