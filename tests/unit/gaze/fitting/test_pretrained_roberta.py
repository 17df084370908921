"""The RoBERTa that a fit begins with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from transformers import RobertaForMaskedLM, RobertaModel

from gazetune.errors import InputError
from gazetune.gaze.fitting.fit import fit_predictor
from gazetune.gaze.fitting.pretrained_roberta import read_pretrained_roberta
from gazetune.gaze.fitting.roberta import RobertaRecipe


@pytest.fixture
def copy(tiny_roberta: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_roberta, tmp_path / "base")


def test_a_language_model_and_its_encoder_give_the_same_network(tiny_roberta: Path, copy: Path) -> None:
    base = read_pretrained_roberta(str(tiny_roberta))
    assert not base.fitted
    saved = RobertaForMaskedLM.from_pretrained(tiny_roberta)
    network = base.network.state_dict()
    for name, tensor in saved.roberta.state_dict().items():
        assert torch.equal(network[f"roberta.{name}"], tensor), name
    encoder = RobertaModel.from_pretrained(tiny_roberta)
    (copy / "model.safetensors").unlink()
    torch.save(encoder.state_dict(), copy / "pytorch_model.bin")  # keys without "roberta.", and a pooler
    bare = read_pretrained_roberta(str(copy)).network.state_dict()
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(bare[f"roberta.{name}"], tensor), name


def test_reading_a_base_leaves_the_random_state_alone(tiny_roberta: Path) -> None:
    state = torch.get_rng_state()
    read_pretrained_roberta(str(tiny_roberta))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_output_layer_of_an_earlier_fit_is_read_in_both_spellings(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    layer = {"weight": torch.ones(5, 32), "bias": torch.arange(5.0)}
    for prefix in ("decoder.", "decoder.0."):
        save_file(tensors | {f"{prefix}{name}": tensor for name, tensor in layer.items()}, copy / "model.safetensors")
        base = read_pretrained_roberta(str(copy))
        assert base.fitted and torch.equal(base.network.state_dict()["decoder.bias"], layer["bias"])


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def another_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))


def short_positions(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 130}))


def another_size(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))


def missing_layer(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["roberta.encoder.layer.1.output.dense.bias"]
    save_file(tensors, folder / "model.safetensors")


def larger_vocabulary(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([f"word{place}" for place in range(600)])
    tokenizer.save(str(folder / "tokenizer.json"))


def another_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            no_tokenizer,
            r"--base: no tokenizer\.json beside .*model\.safetensors; accepted: weights with config\.json and",
        ),
        (no_config, r"--base: no config\.json beside .*model\.safetensors; accepted: weights with config\.json and"),
        (no_weights, r"--base: .*base has no weights file; accepted: a torch checkpoint or safetensors"),
        (another_model, r"config\.json: is no config of a RoBERTa \(model_type: roberta\)"),
        (short_positions, "max_position_embeddings: room for 128 tokens; accepted: 512 or more"),
        (another_size, r"model\.safetensors: not the weights of .*; misshapen: .*\[48, 32\] \(accepted: \[64, 32\]\)"),
        (missing_layer, r"model\.safetensors: .* missing: roberta\.encoder\.layer\.1\.output\.dense\.bias"),
        (larger_vocabulary, r"tokenizer\.json: has \d+ tokens; accepted: at most the 600 of the weights model"),
        (another_tokenizer, r"tokenizer\.json: is no byte-level BPE"),
    ],
)
def test_a_base_that_is_none_is_refused_in_one_line_and_nothing_is_written(
    damage: Callable[[Path], None], message: str, copy: Path, made_up: Callable[..., Path]
) -> None:
    damage(copy)
    data = made_up()
    with pytest.raises(InputError, match=message) as caught:
        fit_predictor("roberta", data, data, copy.parent / "new" / "out", recipe=RobertaRecipe(str(copy)))
    assert "\n" not in str(caught.value)
    assert [path.name for path in copy.parent.iterdir()] == ["base"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/no/such/folder", r"--base: '/no/such/folder' does not exist; accepted: a file, a folder, or OWNER/NAME"),
        (
            "nobody-here/no-such-roberta",
            r"--base: 'nobody-here/no-such-roberta' does not exist here, and the hub does not",
        ),
    ],
)
def test_a_base_that_is_not_there_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:  # the tests run with HF_HUB_OFFLINE
        read_pretrained_roberta(name)
    assert "\n" not in str(caught.value)
