"""Every architecture that is said to do without padding does, and `auto` takes the cheapest layout there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import split_rewards
from gazetune.reward.model import layout_choice
from gazetune.reward.model.layout_choice import choose_layout, padded_layout
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.tiny import VOCABULARY

SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
GROUPED = {"num_key_value_heads": 2}
WINDOWED = {**GROUPED, "head_dim": 8, "sliding_window": 7}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bert": {},
    "camembert": {"pad_token_id": 1},
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4},
    "electra": {"embedding_size": 16},
    "gemma": {**GROUPED, "head_dim": 8},
    "gemma2": {**WINDOWED, "attn_logit_softcapping": 3.0},
    "gemma3_text": {**WINDOWED, "layer_types": ["sliding_attention", "full_attention"]},
    "llama": GROUPED,
    "mistral": WINDOWED,
    "modernbert": {"local_attention": 12, "global_attn_every_n_layers": 2},
    "phi": GROUPED,
    "phi3": GROUPED,
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 8},
    "roberta": {"pad_token_id": 1},
    "xlm-roberta": {"pad_token_id": 1},
}
CPU = torch.device("cpu")


def random_backbone(architecture: str) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(AutoConfig.for_model(architecture, **{**SMALL, **ARCHITECTURES[architecture]}))
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def config_of(kind: str, batching: str = "auto", position: str = "before") -> Config:
    return Config.model_validate(
        {
            "data": {"source": "planted", "pairs": 200},
            "gaze": {"predictor": "planted"},
            "adapter": {"kind": "full"},
            "fusion": {"kind": kind, "position": position},
            "train": {"batching": batching},
        }
    )


def test_the_test_has_every_architecture_that_is_read_without_padding() -> None:
    assert set(ARCHITECTURES) == layout_choice._PACKABLE


@pytest.mark.parametrize("kind", ["none", "concat"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_and_shared_equal_padded(architecture: str, kind: str, planted: PreparedData) -> None:
    backbone = random_backbone(architecture)
    rewards, gradients = [], []
    layouts = ["padded", "packed"]
    if kind == "none" and choose_layout(config_of(kind), backbone, CPU).causal:
        layouts.append("shared")
    for layout in layouts:
        model = GazeRewardModel(config_of(kind, layout), backbone).eval()
        model.use_layout(choose_layout(config_of(kind, layout), backbone, CPU, planted.train))
        model.zero_grad()
        out = model(planted.train.batch_pairs(np.arange(6), model.layout))
        out.square().sum().backward()
        rewards.append(out.detach())
        gradients.append({name: each.grad for name, each in model.named_parameters() if each.grad is not None})
        model.release_backbone()
    assert rewards[0].std() > 1e-3
    for reward, gradient in zip(rewards[1:], gradients[1:], strict=True):
        torch.testing.assert_close(reward, rewards[0], rtol=1e-4, atol=1e-5)
        assert gradient.keys() == gradients[0].keys()
        # Some have no gradient but rounding (a key's bias moves no softmax), so all are judged by the largest too.
        overall = max(float(each.abs().max()) for each in gradients[0].values())
        for name, value in gradient.items():
            largest = float(gradients[0][name].abs().max())
            torch.testing.assert_close(
                value, gradients[0][name], rtol=0, atol=1e-4 * largest + 1e-6 * overall, msg=name
            )


def test_the_windows_are_shorter_than_the_texts_of_these_tests(planted: PreparedData) -> None:
    assert int(planted.train.pair_lengths(BatchLayout())[:6].max()) > 12


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_checkpointed_gradients_are_the_same_without_padding(architecture: str, planted: PreparedData) -> None:
    backbone = random_backbone(architecture)
    found = []
    for checkpointing in (False, True):
        model = GazeRewardModel(config_of("add", "packed"), backbone).train()
        model.use_layout(choose_layout(config_of("add", "packed"), backbone, CPU))
        if checkpointing:
            backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        torch.manual_seed(0)
        model.zero_grad()
        model(planted.train.batch_pairs(np.arange(4), model.layout)).sum().backward()
        found.append([each.grad.clone() for each in model.parameters() if each.grad is not None])
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(again, plain)


@pytest.mark.parametrize(
    ("architecture", "kind", "position", "layout"),
    [
        ("llama", "none", "before", "shared"),
        ("llama", "add", "before", "shared"),
        ("llama", "concat", "before", "packed"),
        ("llama", "cross", "before", "packed"),
        ("bert", "none", "before", "packed"),
    ],
)
def test_auto_takes_the_cheapest_reading(
    architecture: str, kind: str, position: str, layout: str, planted: PreparedData
) -> None:
    config = config_of(kind, position=position)
    assert choose_layout(config, random_backbone(architecture), CPU, planted.train).kind == layout


def test_gaze_tokens_after_the_text_let_prompts_be_shared(planted: PreparedData) -> None:
    asked = config_of("concat", "shared", "after")
    assert choose_layout(asked, random_backbone("llama"), CPU).kind == "shared"


def test_auto_packs_where_sharing_saves_little(monkeypatch: pytest.MonkeyPatch, planted: PreparedData) -> None:
    monkeypatch.setattr(layout_choice, "_WORTH_SHARING", 0.9)
    assert choose_layout(config_of("none"), random_backbone("llama"), CPU, planted.train).kind == "packed"


def other_backbone() -> PreTrainedModel:
    config = AutoConfig.for_model(
        "gpt2", vocab_size=VOCABULARY, n_embd=32, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1
    )
    return AutoModel.from_config(config)


def test_an_architecture_that_nobody_tried_is_padded(planted: PreparedData) -> None:
    assert choose_layout(config_of("none"), other_backbone(), CPU, planted.train).kind == "padded"


@pytest.mark.parametrize(
    ("kind", "batching", "backbone", "says"),
    [
        ("none", "packed", other_backbone, r"packed does not work with a backbone of the architecture gpt2 .*padded"),
        ("none", "shared", lambda: random_backbone("bert"), "shared needs a decoder.*accepted: auto, padded, packed"),
        ("concat", "shared", lambda: random_backbone("llama"), "shared needs fusion.position: after"),
        ("cross", "shared", lambda: random_backbone("llama"), "shared does not work with fusion.kind cross"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(
    kind: str, batching: str, backbone: Any, says: str, planted: PreparedData
) -> None:
    with pytest.raises(InputError, match=f"train.batching: {says}"):
        choose_layout(config_of(kind, batching), backbone(), CPU, planted.train)


def rewards_of(pool: str, kind: str, data: PreparedData, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Rewards [16, 2] of the same pairs, read in batches of each size."""
    config = config_of(kind, "padded")
    config = config.model_copy(update={"train": config.train.model_copy(update={"pool": pool})})
    backbone = random_backbone("llama")
    model = GazeRewardModel(config, backbone).eval()
    model.use_layout(choose_layout(config, backbone, CPU, data.train))
    found = []
    for size in sizes:
        with torch.no_grad():
            parts = [
                torch.stack(split_rewards(model(data.train.batch_pairs(pairs, model.layout))), dim=1)
                for pairs in np.split(np.arange(16), 16 // size)
            ]
        found.append(torch.cat(parts).numpy())
    return found


@pytest.mark.parametrize("kind", ["none", "concat"])
def test_read_on_padding_a_reward_depends_on_the_batch_and_else_it_does_not(kind: str, planted: PreparedData) -> None:
    alone, together = rewards_of("last_padded", kind, planted, (1, 16))
    assert np.abs(alone - together).max() > 0.1
    right, beside_others = rewards_of("last", kind, planted, (1, 16))
    np.testing.assert_allclose(beside_others, right, atol=1e-5)
    # A row without padding has its reward at the same place either layout: the longer text of a pair that is alone.
    lengths = planted.train.pair_lengths(padded_layout(config_of(kind), random_backbone("llama")))[:16]
    longer = lengths == lengths.max(axis=1, keepdims=True)
    assert (~longer).any()
    np.testing.assert_allclose(alone[longer], right[longer], atol=1e-5)
    assert np.abs(alone - right)[~longer].min() > 1e-3


def with_pool(batching: str) -> Config:
    config = config_of("none", batching)
    return config.model_copy(update={"train": config.train.model_copy(update={"pool": "last_padded"})})


def test_the_first_position_of_an_encoder_is_never_padding() -> None:
    with pytest.raises(InputError, match=r"train.pool: last_padded needs a decoder, .*; accepted: last"):
        padded_layout(with_pool("padded"), random_backbone("bert"))
