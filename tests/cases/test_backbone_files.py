"""Backbones that are not what they should be, refused by `train`, `search`, `plan` and the scorer before they begin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import AddedToken

from gazetune.cli.main import main
from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.reward.model.tiny import tiny_backbone, tiny_tokenizer
from gazetune.reward.saved.reward_scorer import RewardScorer
from tests.saved_models import save_untrained_model

CASES = {
    "C_missing_layer/missing_layer": (
        "{folder}/model.safetensors: 9 of the 20 weights of LlamaModel are missing (layers.1.input_layernorm.weight, "
        "layers.1.mlp.down_proj.weight, layers.1.mlp.gate_proj.weight, ...); accepted: a checkpoint with every weight "
        "of its config.json"
    ),
    "C_quantised_gptq/quantised_gptq": (
        "backbone '{folder}': quantised checkpoints are not accepted (config.json: quantization_config: gptq); "
        "accepted: the checkpoint that it was made from, which adapter.quantization nf4 quantises on loading"
    ),
    "C_tokens_beyond_vocab/tokens_beyond_vocab": (
        "backbone '{folder}': its tokenizer has ids up to 317 ('<|assistant|>'), and its model has 315 token "
        "embeddings (ids 0 to 314); accepted: the tokenizer of this model, or a model saved after "
        "resize_token_embeddings(318)"
    ),
    "C_weights_lfs_pointer/weights_lfs_pointer": (
        "{folder}/model.safetensors: is a Git LFS pointer, not the file itself; git lfs pull in its folder fetches it"
    ),
}
SPACE = """
name: mine
base:
  backbone: {backbone}
  data: {{source: {pairs}}}
space:
  optim.learning_rate: {{log_uniform: [1.0e-5, 1.0e-3]}}
"""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Question {n}?", "chosen": f"Yes, {n} of them.", "rejected": "No."} for n in range(60)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["train", "search", "plan"])
def test_a_wrong_backbone_is_refused_by_name_before_anything_is_prepared(
    command: str, case: str, pairs: Path, shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if not (shared / "cases" / case).is_dir():
        pytest.skip(f"no {case} in {shared}")
    folder, storage, space = (shared / "cases" / case).resolve(), tmp_path / "runs", tmp_path / "space.yaml"
    space.write_text(SPACE.format(backbone=folder, pairs=pairs))
    arguments = {
        "train": ["train", "--set", f"backbone={folder}", "--set", f"data.source={pairs}", "--storage", str(storage)],
        "search": ["search", str(space), "--storage", str(storage)],
        "plan": ["plan", str(space)],
    }[command]
    assert main(arguments) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1] == f"gazetune: error: {CASES[case].format(folder=folder)}"
    assert not storage.exists() or not list(storage.iterdir())


def test_a_token_that_a_template_writes_for_one_row_is_refused_with_the_row(pairs: Path, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone"
    tiny_backbone().save_pretrained(backbone)
    tokenizer = tiny_tokenizer([f"word{n} other{n}" for n in range(9)])
    beyond = AddedToken("<|extra|>", special=True, normalized=False)
    tokenizer.add_tokens([AddedToken(f"<|{n}|>", special=True) for n in range(4096 - len(tokenizer))])
    tokenizer.add_tokens([beyond], special_tokens=True)
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{% for", "{% if messages[0]['content'] == 'Question 7?' %}{{ '<|ex' ~ 'tra|>' }}{% endif %}{% for", 1
    )
    tokenizer.save_pretrained(backbone)
    config = Config.model_validate(
        {"backbone": str(backbone), "data": {"source": str(pairs)}, "fusion": {"kind": "none"}}
    )
    check_backbone(config)
    with pytest.raises(InputError) as refused:
        prepare_data(config, tmp_path / "cache")
    assert str(refused.value) == (
        f"{pairs}:8: the conversation has the token 4096 ('<|extra|>'), and backbone '{backbone}' has 4096 token "
        "embeddings; accepted: a chat template and a tokenizer of this model"
    )


def test_evaluate_names_the_backbone_that_changed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    backbone = tmp_path / "backbone"
    tiny_backbone().save_pretrained(backbone)
    tiny_tokenizer(["why is the sky blue"]).save_pretrained(backbone)
    saved = save_untrained_model(tmp_path / "best", tmp_path / "cache", str(backbone))
    (backbone / "model.safetensors").unlink()
    assert main(["train", "--mode", "evaluate", "-m", str(saved), "--storage", str(tmp_path / "runs")]) == 2
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"gazetune: error: {saved}/config.yaml: backbone '{backbone}': the folder holds no weights; accepted: "
        "model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json"
    )
    assert not (tmp_path / "runs").exists()


def test_a_saved_model_names_the_backbone_that_is_gone_or_changed(tmp_path: Path) -> None:
    backbone = tmp_path / "backbone"
    tiny_backbone().save_pretrained(backbone)
    tiny_tokenizer(["why is the sky blue"]).save_pretrained(backbone)
    saved = save_untrained_model(tmp_path / "best", tmp_path / "cache", str(backbone))
    RewardScorer(saved)
    (backbone / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    with pytest.raises(InputError) as refused:
        RewardScorer(saved)
    assert str(refused.value) == (
        f"{saved}/config.yaml: {backbone}/model.safetensors: is a Git LFS pointer, not the file itself; git lfs pull "
        "in its folder fetches it"
    )
    shutil.rmtree(backbone)
    with pytest.raises(InputError) as refused:
        RewardScorer(saved)
    assert str(refused.value) == (
        f"{saved}/config.yaml: backbone: cannot load the config of '{backbone}' (no such folder); accepted: tiny, a "
        "local folder, a hub id"
    )
