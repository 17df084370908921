"""Finding, reading and checking the files of published predictors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from torch import nn

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.networks.batches import batch_by_length
from gazetune.gaze.networks.weights import fill_module, find_weights, load_tokenizer, read_tensors

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def config(path: Path | str) -> Config:
    return Config.model_validate({"gaze": {"predictor": "roberta", "path": str(path)}})


class Marked:
    """Something that no safe reader rebuilds."""


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_checkpoints_of_both_ages_are_read_as_float32(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "T5-tokenizer-BiLSTM-TRT-12-concat-3"
    half = {name: tensor.half() for name, tensor in TENSORS.items()}
    torch.save(half, file, _use_new_zipfile_serialization=zipped)
    found = read_tensors(file)
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == torch.float32 and torch.equal(found[name], tensor)


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.pth")
    assert torch.equal(read_tensors(tmp_path / "model.pth")["weight"], TENSORS["weight"])


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"weight": Marked()}, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"model\.pth: cannot be read as weights \("):
        read_tensors(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list; accepted: tensors by name"),
        ({"state_dict": TENSORS}, "state_dict: holds a dict; accepted: tensors by name"),
        ({"weight": torch.tensor([1.0, float("nan")])}, "weight: has values that are not finite"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(InputError, match=f"model.pth: {message}"):
        read_tensors(tmp_path / "model.pth")


@pytest.mark.parametrize("kind", ["torch", "legacy", "safetensors", "text", "empty"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "weights"
    if kind == "safetensors":
        save_file(TENSORS, file)
    else:
        torch.save(TENSORS, file, _use_new_zipfile_serialization=kind != "legacy")
    content = {"text": b"version https://git-lfs.github.com/spec/v1\n", "empty": b""}.get(kind, file.read_bytes()[:-20])
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_tensors(file)
    assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


def test_a_folder_is_searched_for_its_one_weights_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="has no weights file; accepted: a torch checkpoint or safetensors"):
        find_weights(config(tmp_path))
    torch.save(TENSORS, tmp_path / "first")
    assert find_weights(config(tmp_path)) == find_weights(config(tmp_path / "first")) == tmp_path / "first"
    torch.save(TENSORS, tmp_path / "second.pth")
    with pytest.raises(InputError, match=r"has several weights files; name one of first, second\.pth"):
        find_weights(config(tmp_path))
    save_file(TENSORS, tmp_path / "model.safetensors")  # preferred
    assert find_weights(config(tmp_path)) == tmp_path / "model.safetensors"


@pytest.mark.parametrize("path", ["/no/such/file", "no-such-file", "./no/file", "a/b@c@d"])
def test_a_path_that_does_not_exist_is_refused_without_asking_the_hub(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(InputError, match=r"gaze\.path: '.*' does not exist; accepted: a file, a folder, or OWNER/NAME"):
        find_weights(config(path))


@pytest.mark.parametrize(
    ("path", "revision", "asked"),
    [
        ("skboy/et_prediction_2@5785e77", "5785e77", "*.safetensors"),
        ("skboy/et_prediction_2", None, "*.safetensors"),
        ("skboy/et_prediction_2/et_predictor2_seed123.safetensors@main", "main", "et_predictor2_seed123.safetensors"),
    ],
)
def test_a_hub_id_may_name_revision_and_file(
    path: str, revision: str | None, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(TENSORS, tmp_path / "et_predictor2_seed123.safetensors")

    def download(repo_id: str, revision: str | None, allow_patterns: list[str]) -> str:
        calls.append((repo_id, revision, asked in allow_patterns, "tokenizer.json" in allow_patterns))
        return str(tmp_path)

    calls: list[tuple[str, str | None, bool, bool]] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_weights(config(path)) == tmp_path / "et_predictor2_seed123.safetensors"
    assert calls == [("skboy/et_prediction_2", revision, True, True)]
    with pytest.raises(InputError, match=r"skboy/et_prediction_2 on the hub has no file 'other\.pt'"):
        find_weights(config("skboy/et_prediction_2/other.pt"))


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:  # the tests run with HF_HUB_OFFLINE
        find_weights(config("nobody-here/no-such-weights@abc"))
    message = str(caught.value)
    assert message.startswith("gaze.path: 'nobody-here/no-such-weights@abc' does not exist here, and the hub does not")
    assert "\n" not in message
    with pytest.raises(
        InputError, match=r"no tokenizer\.json beside .*, and the hub does not give that of nobody/none"
    ):
        load_tokenizer(tmp_path / "weights", "nobody/none", 10)


def test_a_tokenizer_neither_pads_nor_cuts_off(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}))
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(1)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path / "weights", "nobody/none", 2)
    assert [each.ids for each in loaded.encode_batch([["a", "b"], ["b"]], is_pretokenized=True)] == [[0, 1], [1]]
    with pytest.raises(InputError, match=r"tokenizer\.json: has 2 tokens; accepted: at most the 1 of the weights"):
        load_tokenizer(tmp_path / "weights", "nobody/none", 1)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: cannot be read as a tokenizer"):
        load_tokenizer(tmp_path / "weights", "nobody/none", 2)


def test_a_module_is_filled_and_frozen() -> None:
    with torch.device("meta"):
        module = nn.Linear(3, 2)
    fill_module(module, TENSORS, Path("weights"), "roberta")
    assert torch.equal(module.weight, TENSORS["weight"]) and not module.weight.requires_grad and not module.training


def test_a_long_list_of_keys_is_cut_short() -> None:
    many = nn.ModuleList(nn.Linear(1, 1) for _ in range(8))
    with pytest.raises(InputError, match=r"missing: 0\.weight, 0\.bias, .*, 4\.bias and 6 more$"):
        fill_module(many, {}, Path("weights"), "roberta")


def test_batches_hold_every_sequence_once_longest_first_and_are_bounded() -> None:
    lengths = [*np.random.default_rng(0).integers(0, 600, 500), 40_000]
    batches = list(batch_by_length(lengths))
    assert sorted(np.concatenate(batches)) == [index for index, length in enumerate(lengths) if length]
    assert list(batches[0]) == [500]  # longer than the bound, so alone
    for batch in batches:
        held = [lengths[index] for index in batch]
        assert held == sorted(held, reverse=True)
        assert len(held) == 1 or len(held) * held[0] <= 16384
    assert list(batch_by_length([0, 0])) == list(batch_by_length([])) == []
