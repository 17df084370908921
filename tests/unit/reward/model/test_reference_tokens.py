"""The tokens of the reference where a tokenizer has no chat template: Llama 3's and Mistral's base models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast
from transformers.models.llama import LlamaTokenizer

from gazetune.config import Config
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import ChatEncoder
from gazetune.reward.data.gaze_chat_encoder import GazeChatEncoder
from gazetune.reward.model.backbone import load_backbone, load_tokenizer
from gazetune.reward.model.reference_tokens import ADDED_TOKENS
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saved_model import gaze_buffers, trained_parameters

CHAT = [Message("user", " What is the sea? "), Message("assistant", "Water. ")]
TEXTS = ["What is the sea? Water.", "user assistant [INST] [/INST]"] * 20


def base_tokenizer(bos: str, eos: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that puts BOS before a text and has no chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(special_tokens=[bos, eos], initial_alphabet=alphabet, vocab_size=400)
    )
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)


@pytest.fixture
def llama_3_base(tmp_path: Path) -> Path:
    folder = tmp_path / "llama"
    tokenizer = base_tokenizer("<|begin_of_text|>", "<|end_of_text|>")
    tokenizer.save_pretrained(folder)
    config = AutoConfig.for_model(
        "llama",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture
def mistral_base(tmp_path: Path) -> Path:
    vocabulary = {token: row for row, token in enumerate(["<unk>", "<s>", "</s>", *sorted(set("▁" + "".join(TEXTS)))])}
    LlamaTokenizer(vocab=vocabulary, merges=[], add_bos_token=True).save_pretrained(tmp_path / "mistral")
    return tmp_path / "mistral"


def spell(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return "".join(tokenizer.convert_ids_to_tokens(ids)).replace("Ġ", " ").replace("Ċ", "\n").replace("▁", " ")


def test_a_base_model_gets_chatml_with_new_untrained_tokens(llama_3_base: Path) -> None:
    config = Config.model_validate(
        {"preset": "reference", "backbone": str(llama_3_base), "adapter": {"quantization": "none"}}
    )
    tokenizer = load_tokenizer(config.backbone, [], config.data.tokens)
    split = GazeChatEncoder(config, tokenizer, None).encode_chats([CHAT])
    assert spell(tokenizer, split.ids.tolist()) == (
        "<|begin_of_text|><|im_start|>user\n What is the sea? <|im_end|>\n<|im_start|>assistant\nWater. <|im_end|>\n"
    )
    model = GazeRewardModel(config, load_backbone(config.backbone, torch.float32))
    vocabulary = model.bare_backbone().get_input_embeddings().weight.shape[0]
    new = tokenizer.convert_tokens_to_ids(["<PAD>", "<|im_end|>", "<|im_start|>"])
    assert sorted(new) == list(range(vocabulary, vocabulary + ADDED_TOKENS))
    assert "added_tokens.table.weight" in gaze_buffers(model).keys() - trained_parameters(model).keys()
    assert float(model.added_tokens.table.weight.std()) == pytest.approx(0.02, rel=0.2)  # type: ignore[union-attr]
    # The rows of the table are what the model reads.
    batch = split.batch_single_texts(torch.arange(1).numpy(), model.layout)
    before = model.eval()(batch)
    with torch.no_grad():
        model.added_tokens.table.weight[new[2] - vocabulary] += 1.0  # type: ignore[union-attr]
    assert not torch.allclose(model(batch), before)


@pytest.mark.parametrize("reload", [False, True])
def test_a_llama_tokenizer_writes_its_end_token_twice(mistral_base: Path, tmp_path: Path, reload: bool) -> None:
    tokenizer = load_tokenizer(str(mistral_base), [], "reference")
    if reload:  # as a saved model has it
        tokenizer.save_pretrained(tmp_path / "saved")
        tokenizer = type(tokenizer).from_pretrained(tmp_path / "saved")
    encoded = ChatEncoder(tokenizer, tokens="reference").encode_chats([CHAT], ["file:1"])[0]
    text = spell(tokenizer, encoded.ids.tolist())
    assert text == "<s><s>[INST] What is the sea? [/INST] Water. </s></s>"
    # Gaze finds the contents, without the white space that the template strips.
    for message, content in enumerate(CHAT):
        spans = encoded.spans[encoded.message == message]
        assert content.content[spans[:, 0].min() : spans[:, 1].max()].strip() == content.content.strip()


@pytest.mark.parametrize("fixture", ["llama_3_base", "mistral_base"])
def test_what_is_cut_keeps_what_the_tokenizer_adds_behind_it(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(request.getfixturevalue(fixture)), [], "reference")
    whole, cut = (ChatEncoder(tokenizer, most, "reference").encode_chats([CHAT], [""])[0] for most in (None, 12))
    assert whole.whole and not cut.whole and len(cut.ids) == 12
    added = tokenizer("").input_ids[1:]
    assert cut.ids.tolist() == [*whole.ids.tolist()[: 12 - len(added)], *added]


def test_a_tokenizer_keeps_its_own_template_and_padding_token(tmp_path: Path) -> None:
    tokenizer = base_tokenizer("<s>", "</s>")
    tokenizer.pad_token = "</s>"
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "own")
    loaded = load_tokenizer(str(tmp_path / "own"), [], "reference")
    assert (loaded.pad_token, loaded.chat_template) == ("</s>", tokenizer.chat_template)
    assert len(loaded) == len(tokenizer) + 2  # the special tokens of ChatML, which the reference adds all the same
