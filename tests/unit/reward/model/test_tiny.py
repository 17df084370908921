"""The tiny backbone and its tokenizer."""

from __future__ import annotations

import pytest
import torch

from gazetune.reward.model.tiny import POSITIONS, SPECIAL_TOKENS, VOCABULARY, tiny_backbone, tiny_tokenizer

TEXTS = ["The sea is wide and the sky is blue.", "A quiet harbour keeps old boats."] * 10


def test_weights_are_the_same_every_time_and_draw_nothing_from_the_callers_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = tiny_backbone().state_dict(), tiny_backbone().state_dict()
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_model_has_room_for_the_tokenizer_and_long_texts() -> None:
    config = tiny_backbone().config
    assert len(tiny_tokenizer(TEXTS)) <= VOCABULARY == config.vocab_size
    assert config.max_position_embeddings == POSITIONS == 8192


def test_special_tokens_have_the_ids_that_the_model_is_configured_with() -> None:
    tokenizer, config = tiny_tokenizer(TEXTS), tiny_backbone().config
    assert tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS) == [0, 1, 2, 3, 4]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (config.pad_token_id, config.eos_token_id) == (0, 1)


def test_the_same_texts_make_the_same_tokenizer() -> None:
    assert tiny_tokenizer(TEXTS).backend_tokenizer.to_str() == tiny_tokenizer(TEXTS).backend_tokenizer.to_str()


@pytest.mark.parametrize("text", ["sea", "zürich 🙂 日本", "tab\tnewline\n  spaces ", "\x00\x7f", ""])
def test_it_spells_any_text(text: str) -> None:
    tokenizer = tiny_tokenizer(TEXTS)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_trained_words_take_fewer_tokens_than_unknown_ones() -> None:
    tokenizer = tiny_tokenizer(TEXTS)
    counts = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (" harbour", " qzxvwkj")]
    assert counts[0] == 1 < counts[1]


def test_the_chat_template_marks_roles_and_ends() -> None:
    chat = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    tokenizer = tiny_tokenizer(TEXTS)
    whole = tokenizer.apply_chat_template(chat, tokenize=False)
    assert whole == "<|user|>Hello<|end|><|assistant|>Hi<|end|>"
    opened = tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert opened == "<|user|>Hello<|end|><|assistant|>"
