"""What is asked of a backbone before a run begins, beside its weights and its tokenizer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.model.checks.backbone import check_backbone

BackboneFolder = Callable[..., Path]


def config_of(folder: Path | str, **adapter: Any) -> Config:
    return Config.model_validate({"backbone": str(folder), "adapter": adapter})


@pytest.mark.parametrize(
    ("architecture", "targets"),
    [
        ("llama", ("q_proj", "v_proj")),
        ("bert", ("query", "value")),
        ("roberta", ("query", "value")),
        ("modernbert", ("Wqkv",)),
        ("phi3", ("qkv_proj",)),
    ],
)
def test_targets_are_named_by_architecture_and_told(
    architecture: str, targets: tuple[str, ...], backbone_folder: BackboneFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        named = check_backbone(config_of(backbone_folder(architecture), kind="lora"))
    assert named.adapter.targets == targets
    assert f"adapter.targets: auto takes {', '.join(targets)} of " in caplog.text
    assert check_backbone(named) == named


def test_the_tiny_backbone_needs_no_targets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert check_backbone(Config()) == Config()
    assert caplog.messages == []


def test_a_target_that_is_not_there_is_refused_with_those_that_are(backbone_folder: BackboneFolder) -> None:
    with pytest.raises(InputError) as refused:
        check_backbone(config_of(backbone_folder("bert"), kind="lora", targets=["q_proj"]))
    assert str(refused.value) == (
        "adapter.targets: the backbone has no module 'q_proj'; accepted: auto, all-linear, dense, key, query, value"
    )


def test_what_only_a_decoder_can_do_is_refused_of_an_encoder(backbone_folder: BackboneFolder) -> None:
    config = Config.model_validate(
        {"backbone": str(backbone_folder("bert")), "train": {"pool": "last_padded", "batching": "padded"}}
    )
    with pytest.raises(InputError, match=r"train\.pool: last_padded needs a decoder, and '.*' is an encoder; accepted"):
        check_backbone(config)


def test_a_model_of_encoder_and_decoder_is_refused(backbone_folder: BackboneFolder) -> None:
    folder = backbone_folder("llama")
    config = {"model_type": "t5", "architectures": ["T5Model"], "vocab_size": 99, "d_model": 32, "num_layers": 1}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"T5Model has an encoder and a decoder; accepted: an encoder or a decoder of"):
        check_backbone(config_of(folder))


def test_a_model_of_pictures_is_refused(backbone_folder: BackboneFolder) -> None:
    folder = backbone_folder("llama")
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1}))
    with pytest.raises(InputError, match=r"ViTModel has no embedding of tokens; accepted: an encoder or a decoder of"):
        check_backbone(config_of(folder))
