"""Backbones other than `tiny`: local folders of several architectures, and what is refused about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.utils import are_progress_bars_disabled
from transformers import PreTrainedModel
from transformers.utils.logging import enable_progress_bar

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import context_length, is_encoder, load_backbone, load_tokenizer, model_dtype
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker

BackboneFolder = Callable[..., Path]
DECODERS = ["llama", "mistral", "qwen2"]
ENCODERS = ["bert", "roberta", "albert"]


def build(config: Config, folder: Path, kind: str) -> GazeRewardModel:
    tree = {**config.model_dump(mode="json"), "backbone": str(folder), "fusion": {"kind": kind}}
    model = GazeRewardModel(
        Config.model_validate({**tree, "adapter": {"kind": "full"}}), load_backbone(str(folder), torch.float32)
    )
    # Random weights give almost equal rewards to all texts; larger ones let a wrong pool, position or mask show.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)
    return model.eval()


def test_weights_are_read_without_a_bar_and_downloads_keep_theirs(
    backbone_folder: BackboneFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = backbone_folder("llama")
    enable_progress_bar()
    capfd.readouterr()
    load_backbone(str(folder), torch.float32)
    assert capfd.readouterr().err == ""
    assert not are_progress_bars_disabled()


def test_weights_lie_on_the_device_as_soon_as_they_are_read(backbone_folder: BackboneFolder) -> None:
    folder = str(backbone_folder("llama"))
    worker = Worker(rank=0, world_size=1, device=torch.device("meta"))  # keeps nothing, so a copy elsewhere shows
    loaded = load_worker_backbone(Config(backbone=folder), worker)
    assert {weight.device.type for weight in loaded.parameters()} == {"meta"}
    on_cpu = load_worker_backbone(Config(backbone=folder), Worker(0, 1, torch.device("cpu")))
    assert {weight.device.type for weight in on_cpu.parameters()} == {"cpu"}


def rewards(model: GazeRewardModel, data: PreparedData, pairs: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(data.train.batch_pairs(np.array(pairs), model.layout)).view(2, -1).T.numpy()


@pytest.mark.parametrize("architecture", DECODERS + ENCODERS)
@pytest.mark.parametrize("kind", ["none", "concat", "add"])
def test_rewards_of_a_local_backbone_do_not_depend_on_padding(
    architecture: str, kind: str, backbone_folder: BackboneFolder, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, backbone_folder(architecture), kind)
    together = rewards(model, planted, list(range(6)))
    alone = np.concatenate([rewards(model, planted, [pair]) for pair in range(6)])
    assert np.isfinite(together).all()
    assert np.ptp(together) > 1e-2
    np.testing.assert_allclose(alone, together, atol=1e-5 * max(1.0, np.abs(together).max()))


@pytest.mark.parametrize(("architecture", "pooled"), [("llama", -1), ("mistral", -1), ("bert", 0), ("albert", 0)])
def test_a_decoder_is_read_at_its_last_token_and_an_encoder_at_its_first(
    architecture: str, pooled: int, backbone_folder: BackboneFolder, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, backbone_folder(architecture), "none")
    chosen = planted.train.ids[slice(*planted.train.token_starts[[2, 3]])]  # of the second pair
    assert len(chosen) < planted.train.pair_lengths(model.layout)[:3].max(), "the row must be padded"
    with torch.no_grad():
        states = model.backbone(torch.from_numpy(chosen[None].astype(np.int64))).last_hidden_state
        expected = float(model.head(states[0, pooled]))
        other = float(model.head(states[0, -1 - pooled]))
    found = rewards(model, planted, [0, 1, 2])[1, 0]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found != pytest.approx(other, abs=1e-3)


@pytest.mark.parametrize("architecture", ENCODERS)
def test_every_weight_of_a_fully_trained_encoder_gets_a_gradient(
    architecture: str, backbone_folder: BackboneFolder, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, backbone_folder(architecture), "concat")
    model(planted.train.batch_pairs(np.arange(2), model.layout)).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("architecture", ["llama", *ENCODERS])
def test_the_context_is_the_most_tokens_that_the_backbone_takes(
    architecture: str, backbone_folder: BackboneFolder
) -> None:
    folder = backbone_folder(architecture, max_position_embeddings=40)
    limit = context_length(str(folder))
    model = load_backbone(str(folder), torch.float32).eval()
    assert limit == (38 if architecture == "roberta" else 40)
    embedded = torch.zeros(1, limit, model.get_input_embeddings().weight.shape[1])
    assert model(inputs_embeds=embedded).last_hidden_state.shape[1] == limit
    if is_encoder(model):
        with pytest.raises((IndexError, RuntimeError)):
            model(inputs_embeds=torch.zeros(1, limit + 1, embedded.shape[2]))


def test_the_tiny_backbone_has_a_context() -> None:
    assert context_length("tiny") == load_backbone("tiny", torch.float32).config.max_position_embeddings


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_come_in_the_asked_precision(dtype: torch.dtype, backbone_folder: BackboneFolder) -> None:
    def dtypes(model: PreTrainedModel) -> set[torch.dtype]:
        return {parameter.dtype for parameter in model.parameters()}

    assert dtypes(load_backbone(str(backbone_folder("llama")), dtype)) == {dtype}
    assert dtypes(load_backbone("tiny", dtype)) == {dtype}


@pytest.mark.parametrize(
    "load", [lambda name: load_tokenizer(name, []), lambda name: load_backbone(name, torch.float32)]
)
def test_a_backbone_that_is_not_there_is_refused_in_one_line(load: Callable[[str], object], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"backbone: cannot load the (tokenizer|config) of '.*accepted: tiny, a local"
    ) as e:
        load(str(tmp_path / "nowhere"))
    assert "\n" not in str(e.value)


def test_code_that_comes_with_weights_is_refused_without_asking(
    backbone_folder: BackboneFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = backbone_folder("llama")
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="homemade", auto_map={"AutoConfig": "code.Own", "AutoModel": "code.OwnModel"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('the code ran')")

    def asked(prompt: str = "") -> str:
        pytest.fail(f"asked: {prompt}")

    monkeypatch.setattr("builtins.input", asked)
    with pytest.raises(InputError, match="cannot load the config of"):
        load_backbone(str(folder), torch.float32)


def test_a_tokenizer_without_a_chat_template_is_refused(backbone_folder: BackboneFolder) -> None:
    folder = backbone_folder("llama")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"has no chat template; data\.chat_template accepts a file"):
        load_tokenizer(str(folder), [])


@pytest.mark.parametrize(("eos_token", "padding"), [("<|end|>", "<|end|>"), (None, "<|pad|>")])
def test_a_tokenizer_without_padding_pads_with_an_id_it_has(
    eos_token: str | None, padding: str, backbone_folder: BackboneFolder
) -> None:
    folder = backbone_folder("llama")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings.pop("pad_token")
    settings["eos_token"] = eos_token
    path.write_text(json.dumps(settings))
    tokenizer = load_tokenizer(str(folder), [])
    assert tokenizer.pad_token == padding
    assert 0 <= tokenizer.pad_token_id < len(tokenizer)


@pytest.mark.parametrize(
    ("precision", "device", "dtype"),
    [
        ("auto", "cpu", torch.float32),
        ("auto", "cuda", torch.bfloat16),
        ("bf16", "cpu", torch.bfloat16),
        ("fp32", "cuda", torch.float32),
    ],
)
def test_auto_precision_follows_the_device(precision: str, device: str, dtype: torch.dtype) -> None:
    config = Config.model_validate({"train": {"precision": precision}})
    assert model_dtype(config, torch.device(device)) == dtype
