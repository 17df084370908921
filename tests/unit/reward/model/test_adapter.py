"""What of a backbone trains with each kind of adapter, on every supported architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.adapter import apply_adapter, choose_targets, name_targets
from gazetune.reward.model.backbone import load_backbone, load_tokenizer
from gazetune.reward.model.reward_model import GazeRewardModel

BackboneFolder = Callable[..., Path]
ARCHITECTURES = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "bert",
    "roberta",
    "modernbert",
]
SMALL = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "pad_token_id": 0,
}
MATRICES = {"lora_A", "lora_B"}


def config_of(kind: str, **adapter: object) -> Config:
    return Config.model_validate({"adapter": {"kind": kind, "dropout": 0.0, **adapter}})


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("lora", MATRICES), ("rslora", MATRICES), ("dora", MATRICES | {"lora_magnitude_vector"}), ("none", set())],
)
def test_an_adapter_trains_its_own_weights_and_no_others(kind: str, parts: set[str]) -> None:
    adapted = apply_adapter(load_backbone("tiny", torch.float32), config_of(kind).adapter)
    trained = [name for name, each in adapted.named_parameters() if each.requires_grad]
    assert {part for name in trained for part in name.split(".") if part.startswith("lora_")} == parts
    assert all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in trained)


@pytest.mark.parametrize(
    ("architecture", "changes", "targets"),
    [
        ("llama", {}, ("q_proj", "v_proj")),
        ("bert", {}, ("query", "value")),
        ("albert", {"embedding_size": 16}, ("query", "value")),
        ("distilbert", {"dim": 32, "n_heads": 4, "hidden_dim": 64, "n_layers": 1}, ("q_lin", "v_lin")),
        ("deberta-v2", {}, ("query_proj", "value_proj")),
        ("deberta", {}, ("in_proj",)),  # of PEFT's table
        ("modernbert", {}, ("Wqkv",)),
        ("mpnet", {}, ("q", "v")),
        ("gpt2", {"n_embd": 32, "n_layer": 1, "n_head": 4}, ("c_attn",)),
        ("phi3", {}, ("qkv_proj",)),
        ("gpt_neox", {}, ("query_key_value",)),
        ("bloom", {"n_head": 4}, ("query_key_value",)),
        ("falcon", {}, ("query_key_value",)),
    ],
)
def test_by_default_query_and_value_projections_get_matrices(
    architecture: str, changes: dict[str, Any], targets: tuple[str, ...]
) -> None:
    config = AutoConfig.for_model(architecture, **{**SMALL, **changes})
    adapter = config_of("lora").adapter
    assert adapter.targets == "auto"
    backbone = AutoModel.from_config(config)
    assert choose_targets(backbone, adapter) == targets
    adapted = apply_adapter(backbone, adapter)
    named = {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name, each in adapted.named_parameters() if ".lora_" in name
    }
    assert named == set(targets)


def test_targets_that_auto_does_not_know_are_asked_for() -> None:
    adapter = config_of("lora").adapter
    backbone = AutoModel.from_config(AutoConfig.for_model("xlnet", d_model=32, n_head=4, d_inner=64, n_layer=1))
    with pytest.raises(InputError) as refused:
        choose_targets(backbone, adapter)
    assert str(refused.value) == (
        "adapter.targets: auto finds no query and value projections in XLNetModel; accepted: all-linear, layer_1, "
        "layer_2"
    )


def test_a_saved_config_names_the_targets(backbone_folder: BackboneFolder) -> None:
    config = Config.model_validate({"backbone": str(backbone_folder("bert")), "adapter": {"kind": "lora"}})
    backbone = load_backbone(config.backbone, torch.float32)
    assert name_targets(config, backbone).adapter.targets == ("query", "value")
    whole = Config.model_validate({"backbone": config.backbone, "adapter": {"kind": "full"}})
    assert name_targets(whole, backbone) == whole


def test_without_an_adapter_everything_trains() -> None:
    assert all(
        each.requires_grad
        for each in apply_adapter(load_backbone("tiny", torch.float32), config_of("full").adapter).parameters()
    )


@pytest.mark.parametrize(("kind", "scale"), [("lora", 32 / 16), ("rslora", 32 / 4)])
def test_the_matrices_are_scaled_by_alpha_over_r_or_over_its_root(kind: str, scale: float) -> None:
    plain, adapted = (load_backbone("tiny", torch.float32) for _ in range(2))
    adapter = config_of(kind, r=16, alpha=32, targets=["q_proj"]).adapter
    layer = apply_adapter(adapted, adapter).get_submodule("base_model.model.layers.0.self_attn.q_proj")
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
    given = torch.randn(3, 64)
    added = layer.lora_B["default"](layer.lora_A["default"](given)) * scale
    expected = plain.layers[0].self_attn.q_proj(given) + added
    torch.testing.assert_close(layer(given), expected)


def test_dora_starts_as_the_backbone_and_its_magnitude_moves_the_output() -> None:
    plain, adapted = (load_backbone("tiny", torch.float32) for _ in range(2))
    layer = apply_adapter(adapted, config_of("dora").adapter).get_submodule(
        "base_model.model.layers.0.self_attn.q_proj"
    )
    given = torch.randn(3, 64)
    torch.testing.assert_close(layer(given), plain.layers[0].self_attn.q_proj(given))
    with torch.no_grad():
        layer.lora_magnitude_vector["default"].weight.mul_(2.0)
    torch.testing.assert_close(layer(given), 2.0 * plain.layers[0].self_attn.q_proj(given))


@pytest.mark.parametrize("kind", ["lora", "dora", "rslora"])
def test_a_released_backbone_is_what_it_was(kind: str) -> None:
    backbone = load_backbone("tiny", torch.float32)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    after = GazeRewardModel(config_of(kind, targets="all-linear"), backbone).release_backbone().state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_loads_takes_lora_everywhere_and_trains_a_step(
    architecture: str, backbone_folder: BackboneFolder, planted: PreparedData
) -> None:
    folder = str(backbone_folder(architecture))
    tokenizer = load_tokenizer(folder, [])
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Hello."}], tokenize=False).count("Hello.") == 1
    config = Config.model_validate(
        {"backbone": folder, "adapter": {"targets": "all-linear"}, "train": {"gradient_checkpointing": True}}
    )
    model = GazeRewardModel(config, load_backbone(folder, torch.float32))
    model.backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    layers = {name.split(".lora_")[0] for name in trained if ".lora_" in name}
    attention = [name for name in layers if "attn" in name or "attention" in name]
    assert attention and len(layers) > len(attention), "attention and feed-forward both have matrices"
    before = {name: each.detach().clone() for name, each in trained.items()}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3)
    for _ in range(2):  # the first step moves B alone: A's gradient is zero while B is
        chosen, rejected = model(planted.train.batch_pairs(np.arange(4), model.layout)).view(2, -1)
        torch.nn.functional.softplus(rejected - chosen).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert [name for name, each in trained.items() if torch.equal(each, before[name])] == []
