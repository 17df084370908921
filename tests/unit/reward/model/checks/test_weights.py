"""Which checkpoints are taken for whole: real ones of several architectures and heads, and what is done to them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from gazetune.errors import InputError
from gazetune.reward.model.backbone import check_backbone_weights, load_backbone

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0\nsize 12345\n"
Edit = Callable[[dict[str, torch.Tensor]], object]


def save(folder: Path, kind: Any, architecture: str, **changes: Any) -> Path:
    """Save a random model, made by one of transformers' Auto classes."""
    config = AutoConfig.for_model(architecture, **{**SIZES, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind.from_config(config).save_pretrained(folder)
    return folder


def edit_weights(folder: Path, edit: Edit) -> Path:
    weights = load_file(folder / "model.safetensors")
    changed = edit(weights)
    save_file(changed if isinstance(changed, dict) else weights, folder / "model.safetensors")
    return folder


def edit_config(folder: Path, **values: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


def refusal(folder: Path) -> str:
    """Return the one line that both the check of headers and the load refuse a folder with."""
    with pytest.raises(InputError) as checked:
        check_backbone_weights(str(folder))
    with pytest.raises(InputError) as loaded:
        load_backbone(str(folder), torch.float32)
    assert str(loaded.value) == str(checked.value)
    assert "\n" not in str(checked.value)
    return str(checked.value)


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return save(tmp_path / "llama", AutoModelForCausalLM, "llama", num_key_value_heads=2)


WHOLE = [
    ("llama", AutoModel, {}),
    ("llama", AutoModelForCausalLM, {}),
    ("llama", AutoModelForCausalLM, {"tie_word_embeddings": True}),
    ("llama", AutoModelForSequenceClassification, {}),
    ("mistral", AutoModelForCausalLM, {"num_key_value_heads": 2}),
    ("mixtral", AutoModelForCausalLM, {"num_key_value_heads": 2, "num_local_experts": 2}),
    ("gpt2", AutoModel, {}),
    ("gpt2", AutoModelForCausalLM, {}),
    ("gpt_neox", AutoModelForCausalLM, {}),
    ("phi3", AutoModelForCausalLM, {"num_key_value_heads": 2}),
    ("bert", AutoModel, {}),
    ("bert", AutoModelForMaskedLM, {}),  # has no pooler
    ("bert", AutoModelForSequenceClassification, {}),
    ("roberta", AutoModelForMaskedLM, {}),
    ("roberta", AutoModelForSequenceClassification, {}),
    ("modernbert", AutoModelForMaskedLM, {}),
    ("albert", AutoModelForMaskedLM, {"embedding_size": 16}),
    ("electra", AutoModelForSequenceClassification, {"embedding_size": 16}),
]


@pytest.mark.parametrize(("architecture", "kind", "changes"), WHOLE)
def test_a_whole_checkpoint_is_taken_with_or_without_a_head(
    architecture: str, kind: Any, changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", kind, architecture, **changes)
    check_backbone_weights(str(folder))
    model = load_backbone(str(folder), torch.float32)
    saved = load_file(folder / "model.safetensors")
    for name, weight in model.state_dict().items():
        found = [value for key, value in saved.items() if key.endswith(name)]
        if architecture != "mixtral":  # experts are saved one by one, and kept together
            assert any(torch.equal(weight, value) for value in found), name


def test_missing_weights_are_refused_by_name(llama: Path) -> None:
    edit_weights(llama, lambda all: [all.pop(name) for name in list(all) if ".layers.1." in name])
    assert refusal(llama) == (
        f"{llama}/model.safetensors: 9 of the 20 weights of LlamaModel are missing (layers.1.input_layernorm.weight, "
        "layers.1.mlp.down_proj.weight, layers.1.mlp.gate_proj.weight, ...); accepted: a checkpoint with every weight "
        "of its config.json"
    )


def test_a_load_without_headers_refuses_missing_weights_too(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_weights(llama, lambda all: all.pop("model.norm.weight"))
    # What the headers cannot show, such as a hub's .bin that is not downloaded yet, the load itself does.
    monkeypatch.setattr("gazetune.reward.model.checks.weights.read_checkpoint_header", lambda backbone: None)
    check_backbone_weights(str(llama))
    with pytest.raises(InputError, match=r"1 of the 20 weights of LlamaModel are missing \(norm\.weight\)"):
        load_backbone(str(llama), torch.float32)


@pytest.mark.parametrize("prefix", ["base_model.model.", "_orig_mod.", "module.transformer."])
def test_weights_under_another_prefix_are_refused(prefix: str, llama: Path) -> None:
    edit_weights(llama, lambda all: {prefix + name: value for name, value in all.items()})
    told = refusal(llama)
    assert "20 of the 20 weights of LlamaModel are missing" in told
    assert f"; it holds {prefix}model.embed_tokens.weight, {prefix}model.layers.0.input_layernorm.weight, " in told


def test_weights_of_another_shape_are_refused(llama: Path) -> None:
    edit_weights(llama, lambda all: all.update({"model.embed_tokens.weight": torch.zeros(90, 32)}))
    assert refusal(llama) == (
        f"{llama}/model.safetensors: 1 of the 20 weights of LlamaModel have another shape, the first one "
        "embed_tokens.weight [90, 32]; accepted: [99, 32], as its config.json says"
    )


def test_weights_of_a_larger_model_are_refused(llama: Path) -> None:
    edit_config(llama, num_hidden_layers=1)
    assert refusal(llama) == (
        f"{llama}/model.safetensors: 9 weights have no place in LlamaModel (model.layers.1.input_layernorm.weight, "
        "model.layers.1.mlp.down_proj.weight, model.layers.1.mlp.gate_proj.weight, ...); accepted: a checkpoint of the "
        "model that its config.json describes"
    )


def test_weights_of_an_adapter_inside_the_model_are_refused(llama: Path) -> None:
    name = "model.layers.0.self_attn.q_proj.lora_A.default.weight"
    edit_weights(llama, lambda all: all.update({name: torch.zeros(4, 32)}))
    assert f"1 weights have no place in LlamaModel ({name})" in refusal(llama)


@pytest.mark.parametrize(
    ("architecture", "name", "value"),
    [
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", torch.zeros(4)),
        ("bert", "embeddings.position_ids", torch.zeros(1, 64, dtype=torch.int64)),
        ("gpt2", "h.0.attn.bias", torch.zeros(1, 1, 64, 64, dtype=torch.uint8)),
        ("gpt2", "h.0.attn.masked_bias", torch.tensor(-1e4)),
        ("gpt_neox", "gpt_neox.layers.0.attention.bias", torch.zeros(1, 1, 64, 64, dtype=torch.bool)),
    ],
)
def test_buffers_that_older_versions_saved_are_no_fault(
    architecture: str, name: str, value: torch.Tensor, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", AutoModel, architecture)
    edit_weights(folder, lambda all: all.update({name: value}))
    check_backbone_weights(str(folder))
    load_backbone(str(folder), torch.float32)


@pytest.mark.parametrize(
    "settings",
    [
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "fp8"},
        {"quant_method": "mxfp4"},
    ],
)
def test_a_quantised_checkpoint_is_refused_by_its_method(settings: dict[str, Any], llama: Path) -> None:
    assert refusal(edit_config(llama, quantization_config=settings)) == (
        f"backbone '{llama}': quantised checkpoints are not accepted (config.json: quantization_config: "
        f"{settings['quant_method']}); accepted: the checkpoint that it was made from, which adapter.quantization nf4 "
        "quantises on loading"
    )


def test_quantised_weights_are_refused_where_the_config_does_not_say_so(llama: Path) -> None:
    def quantise(all: dict[str, torch.Tensor]) -> None:
        name = "model.layers.0.mlp.up_proj"
        all[f"{name}.qweight"] = torch.zeros(4, 64, dtype=torch.int32)
        del all[f"{name}.weight"]

    edit_weights(llama, quantise)
    assert "quantised checkpoints are not accepted" in refusal(llama)
    assert "up_proj.qweight" in refusal(llama)


def test_whole_numbers_in_the_place_of_weights_are_refused(llama: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    edit_weights(llama, lambda all: all.update({name: all[name].to(torch.int8)}))
    assert f"quantised checkpoints are not accepted ({llama}/model.safetensors: {name} is I8)" in refusal(llama)


def save_as(folder: Path, form: str) -> list[Path]:
    """Save the folder's weights in another form, and return its files."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    model.load_state_dict(state)
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    elif form == "shards":
        model.save_pretrained(folder, max_shard_size="20KB")
    else:
        names = sorted(state)
        halves = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
        for file, held in halves.items():
            torch.save({name: state[name] for name in held}, folder / file)
        index = {"metadata": {}, "weight_map": {name: file for file, held in halves.items() for name in held}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))


@pytest.mark.parametrize("form", ["bin", "shards", "bin shards"])
def test_weights_in_other_files_are_judged_alike(form: str, llama: Path) -> None:
    files = save_as(llama, form)
    check_backbone_weights(str(llama))
    load_backbone(str(llama), torch.float32)
    if len(files) > 1:
        files[0].rename(llama / "away")
        index = next(llama.glob("*.index.json"))
        assert refusal(llama) == (
            f"{index}: names {len(files)} files of weights, and 1 of them are missing ({files[0].name}); "
            "copy them again"
        )
    files[0].write_bytes(files[-1].read_bytes()[:500])
    assert refusal(llama).startswith(f"{files[0]}: ")
    assert "damaged or cut (" in refusal(llama)
    files[0].write_text(POINTER)
    assert refusal(llama) == (
        f"{files[0]}: is a Git LFS pointer, not the file itself; git lfs pull in its folder fetches it"
    )


def test_an_index_that_is_a_pointer_or_no_index_is_refused(llama: Path) -> None:
    save_as(llama, "shards")
    index = llama / "model.safetensors.index.json"
    index.write_text(POINTER)
    assert "is a Git LFS pointer" in refusal(llama)
    index.write_text("{}")
    assert refusal(llama) == f"{index}: damaged: 'weight_map' must name the file of each weight; copy it again"


@pytest.mark.parametrize("content", [POINTER, "<html>", "[]", ""])
def test_a_config_that_is_no_config_is_refused_by_its_name(content: str, llama: Path) -> None:
    (llama / "config.json").write_text(content)
    assert refusal(llama).startswith(f"{llama}/config.json: ")


def test_a_folder_without_weights_says_what_it_holds(llama: Path) -> None:
    (llama / "model.safetensors").rename(llama / "model.gguf")
    assert refusal(llama) == (
        f"backbone '{llama}': the folder holds no weights (but model.gguf); accepted: model.safetensors, "
        "model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json"
    )


def test_an_adapter_is_no_backbone(llama: Path) -> None:
    (llama / "adapter_config.json").write_text('{"base_model_name_or_path": "some/where"}')
    assert refusal(llama).startswith(f"backbone '{llama}': holds a PEFT adapter (adapter_config.json); accepted: a ")
    (llama / "config.json").unlink()
    assert refusal(llama).startswith(f"backbone '{llama}': holds a PEFT adapter (adapter_config.json); accepted: a ")


def test_a_saved_reward_model_is_no_backbone(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    assert refusal(tmp_path).startswith(f"backbone '{tmp_path}': is a saved reward model of gazetune; accepted: ")


def test_a_config_that_makes_no_model_is_refused(llama: Path) -> None:
    told = refusal(edit_config(llama, num_attention_heads="many"))
    assert told.startswith(f"backbone: cannot load the config of '{llama}' (")


def test_the_report_of_transformers_is_not_printed(llama: Path) -> None:
    edit_weights(llama, lambda all: all.pop("model.norm.weight"))
    code = (
        "import sys, torch\nfrom gazetune.reward.model.backbone import load_backbone\n"
        "try:\n    load_backbone(sys.argv[1], torch.float32)\nexcept Exception as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(llama)], capture_output=True, text=True, timeout=300)
    assert "norm.weight" in ended.stdout
    assert ended.stderr == ""
