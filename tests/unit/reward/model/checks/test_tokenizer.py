"""Which tokenizers are taken for the one of their model, and what is said of those that are not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.reward.model.backbone import load_tokenizer
from gazetune.reward.model.checks.tokenizer import check_token_ids, warn_of_other_special_tokens

TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>"]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0\nsize 12345\n"
Edit = Callable[[Any], object]


def make(folder: Path, architecture: str = "llama", **config: Any) -> PreTrainedTokenizerFast:
    """Save a small byte-level tokenizer and a config without weights."""
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    plain.train_from_iterator(
        ["why is the sky blue"], trainers.BpeTrainer(special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    sizes = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3}
    AutoConfig.for_model(architecture, **{**sizes, **config}).save_pretrained(folder)
    return tokenizer


def edit(path: Path, change: Edit) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        load_tokenizer(str(folder), [])
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_tokenizer_of_its_model_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = make(tmp_path)
    loaded = load_tokenizer(str(tmp_path), [])
    assert loaded("why is it so")["input_ids"] == tokenizer("why is it so")["input_ids"]
    warn_of_other_special_tokens(str(tmp_path), loaded, AutoConfig.from_pretrained(tmp_path))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "added",
    [
        AddedToken("<new>", special=False),  # can stand in any text
        AddedToken("<|tool|>", special=True, normalized=False),
    ],
)
def test_ids_beyond_the_embedding_are_refused_with_both_sizes(added: AddedToken, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    rows = len(tokenizer)
    tokenizer.add_tokens([added], special_tokens=added.special)
    tokenizer.chat_template = TEMPLATE.replace("</s>", "</s><|tool|>")
    tokenizer.save_pretrained(tmp_path)
    assert refusal(tmp_path) == (
        f"backbone '{tmp_path}': its tokenizer has ids up to {rows} ('{added.content}'), and its model has {rows} "
        f"token embeddings (ids 0 to {rows - 1}); accepted: the tokenizer of this model, or a model saved after "
        f"resize_token_embeddings({rows + 1})"
    )


@pytest.mark.parametrize("role", ["bos", "eos", "pad", "unk", "sep", "cls", "mask"])
def test_a_special_token_that_only_the_tokenizer_knows_is_refused(role: str, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    rows = len(tokenizer)
    edit(tmp_path / "tokenizer_config.json", lambda settings: settings.update({f"{role}_token": "[NEW]"}))
    assert f"ids up to {rows} ('[NEW]'), and its model has {rows} token embeddings" in refusal(tmp_path)


def test_tokens_of_roles_that_the_template_writes_are_refused(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, vocab_size=6)  # without <|assistant|>, which the template makes of the role's name
    special = [id for id in tokenizer.added_tokens_decoder if id > 5]
    assert special == [6]
    with pytest.raises(InputError, match="its model has 6 token embeddings"):
        check_token_ids("mine", tokenizer, 6)


def test_a_special_token_that_no_template_writes_is_no_fault(tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image_soft_token>"]})  # as Gemma 3 has it
    tokenizer.save_pretrained(tmp_path)
    assert len(load_tokenizer(str(tmp_path), [])) == len(tokenizer)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_pointer_in_the_place_of_a_file_is_refused(name: str, tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / name).write_text(POINTER)
    assert refusal(tmp_path) == (
        f"{tmp_path / name}: is a Git LFS pointer, not the file itself; git lfs pull in its folder fetches it"
    )


def test_a_cut_file_is_refused_by_its_name(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:2000])
    assert refusal(tmp_path).startswith(f"{path}: no JSON (")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["model"].update(type="Future"),
        lambda file: file.update(pre_tokenizer={"type": "Quantum"}),
        lambda file: file.update(version="9.0"),
    ],
)
def test_a_file_of_another_version_is_refused_with_the_version_here(change: Edit, tmp_path: Path) -> None:
    make(tmp_path)
    edit(tmp_path / "tokenizer.json", change)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'tokenizer.json'}: cannot be read (")
    assert "; accepted: a file of a version that tokenizers " in refusal(tmp_path)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2", "qwen2", "llama", "albert"])
def test_a_folder_without_a_tokenizer_is_refused(architecture: str, tmp_path: Path) -> None:
    AutoConfig.for_model(architecture).save_pretrained(tmp_path)
    # transformers makes one of a few special tokens for most of them, and says nothing.
    told = refusal(tmp_path)
    assert "accepted: tokenizer.json" in told
    assert told.startswith(f"backbone '{tmp_path}': ")


def test_a_vocabulary_without_its_merges_is_refused(tmp_path: Path) -> None:
    AutoConfig.for_model("gpt2").save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "<|endoftext|>": 2}))
    told = refusal(tmp_path)
    assert told.startswith(
        f"backbone '{tmp_path}': its tokenizer has no tokenizer.json, and transformers cannot make one"
    )
    assert "vocab.json" in told


def test_a_vocabulary_without_tokenizer_json_is_read_as_transformers_does(tmp_path: Path) -> None:
    AutoConfig.for_model("bert", vocab_size=9).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"]))
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }} {% endfor %}")
    assert load_tokenizer(str(tmp_path), [])("a b d")["input_ids"] == [2, 5, 6, 8, 3]


def test_a_tokenizer_that_needs_a_package_is_refused_in_one_line(tmp_path: Path) -> None:
    AutoConfig.for_model("llama").save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    told = refusal(tmp_path)
    assert "its tokenizer has no tokenizer.json, and transformers cannot make one of tokenizer_config.json, " in told
    assert told.endswith("; accepted: tokenizer.json, as save_pretrained writes it")


@pytest.mark.parametrize("kind", ["BertTokenizer", "T5Tokenizer", "BertJapaneseTokenizer", "ByT5Tokenizer"])
def test_a_class_of_another_kind_of_tokenizer_is_refused(kind: str, tmp_path: Path) -> None:
    make(tmp_path)
    edit(tmp_path / "tokenizer_config.json", lambda settings: settings.update(tokenizer_class=kind))
    assert str(tmp_path) in refusal(tmp_path)


def test_two_files_that_give_a_token_two_ids_are_refused(tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    entry = {"content": "</s>", "special": True}
    edit(tmp_path / "tokenizer_config.json", lambda settings: settings.update(added_tokens_decoder={"7": entry}))
    assert refusal(tmp_path) == (
        f"backbone '{tmp_path}': tokenizer_config.json gives '</s>' the id 7, and tokenizer.json the id "
        f"{tokenizer.eos_token_id}; accepted: files of one version of a tokenizer"
    )


def test_special_tokens_that_config_and_tokenizer_name_otherwise_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, eos_token_id=[5, 6], bos_token_id=4)
    tokenizer = load_tokenizer(str(tmp_path), [])
    with caplog.at_level(logging.WARNING):
        warn_of_other_special_tokens("mine", tokenizer, AutoConfig.from_pretrained(tmp_path))
    assert caplog.messages == [
        "backbone 'mine': config.json and the tokenizer disagree: bos_token 4 and 0 ('<s>'), eos_token [5, 6] and 1 "
        "('</s>'); the tokenizer's ids are used"
    ]


def test_a_class_that_reads_text_otherwise_than_its_file_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "gpt2", vocab_size=400)
    path = tmp_path / "tokenizer.json"
    edit(path, lambda file: file["pre_tokenizer"].update(add_prefix_space=True))
    edit(tmp_path / "tokenizer_config.json", lambda settings: settings.update(tokenizer_class="GPT2Tokenizer"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        warn_of_other_special_tokens(str(tmp_path), tokenizer, AutoConfig.from_pretrained(tmp_path))
    (told,) = [message for message in caplog.messages if "reads" in message]
    assert told.startswith(f"backbone '{tmp_path}': GPT2Tokenizer reads 'Why is the sky blue?' as [")
