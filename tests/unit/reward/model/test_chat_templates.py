"""Base models without a chat template get their instruct siblings'."""

from __future__ import annotations

import pytest

from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import ChatEncoder
from gazetune.reward.model.chat_templates import LLAMA_3, MISTRAL, sibling_template
from gazetune.reward.model.tiny import tiny_tokenizer

CHAT = [Message("user", "What is the sea?"), Message("assistant", "Water."), Message("user", "And the sky?")]


@pytest.mark.parametrize(
    ("tokens", "template", "rendered"),
    [
        (
            ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            LLAMA_3,
            "<s><|start_header_id|>user<|end_header_id|>\n\nWhat is the sea?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nWater.<|eot_id|>",
        ),
        (["[INST]", "[/INST]"], MISTRAL, "<s>[INST] What is the sea? [/INST] Water.<|end|>"),
    ],
)
def test_the_template_follows_from_the_special_tokens(tokens: list[str], template: str, rendered: str) -> None:
    tokenizer = tiny_tokenizer(["What is the sea? Water."] * 10)
    assert sibling_template(tokenizer) is None
    tokenizer.add_special_tokens({"bos_token": "<s>", "extra_special_tokens": tokens})
    assert sibling_template(tokenizer) == template
    tokenizer.chat_template = template
    turns = [{"role": message.role, "content": message.content} for message in CHAT]
    assert tokenizer.apply_chat_template(turns, tokenize=False).startswith(rendered)
    encoded = ChatEncoder(tokenizer).encode_chats([CHAT], ["file:1"])[0]
    assert set(encoded.message.tolist()) == {-1, 0, 1, 2}
