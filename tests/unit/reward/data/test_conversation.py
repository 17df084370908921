from __future__ import annotations

import pytest

from gazetune.errors import InputError
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import ChatEncoder, EncodedChat
from gazetune.reward.model.tiny import tiny_tokenizer

TEXTS = ["Tell me about the sea.", "The sea is wide and the sky is blue.", "user\nassistant\n", "café 🙂 日本"]


@pytest.fixture(scope="module")
def encoder() -> ChatEncoder:
    return ChatEncoder(tiny_tokenizer(TEXTS * 20))


def spelled(encoded: EncodedChat, chat: list[Message], message: int) -> str:
    """The characters of a message that its tokens claim, each once."""
    content = chat[message].content
    covered = set()
    for owner, (start, end) in zip(encoded.message, encoded.spans, strict=True):
        if owner == message:
            covered |= set(range(start, end))
    return "".join(character for index, character in enumerate(content) if index in covered)


def encode(encoder: ChatEncoder, *contents: str) -> tuple[EncodedChat, list[Message]]:
    chat = [Message("user" if index % 2 == 0 else "assistant", content) for index, content in enumerate(contents)]
    return encoder.encode_chats([chat], ["file:1"])[0], chat


@pytest.mark.parametrize(
    "content",
    [
        "plain words",
        "  leading and trailing  ",
        "user\ninside",
        "tab\tand\nnewline",
        "café 🙂 日本",
        "e\u0301 combining",
    ],
)
def test_tokens_cover_exactly_the_contents(encoder: ChatEncoder, content: str) -> None:
    encoded, chat = encode(encoder, "Tell me.", content)
    assert spelled(encoded, chat, 0) == "Tell me."
    assert spelled(encoded, chat, 1) == content


def test_ids_are_those_of_the_rendered_template(encoder: ChatEncoder) -> None:
    encoded, chat = encode(encoder, *TEXTS)
    turns = [{"role": message.role, "content": message.content} for message in chat]
    rendered = encoder.tokenizer.apply_chat_template(turns, tokenize=False)
    expected = encoder.tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert encoded.ids.tolist() == expected


def test_a_literal_special_token_stays_text(encoder: ChatEncoder) -> None:
    encoded, chat = encode(encoder, "What does <|end|> mean?", "It ends <|assistant|> a turn.")
    specials = {encoder.tokenizer.convert_tokens_to_ids(token) for token in ("<|end|>", "<|assistant|>")}
    within = [token for token, owner in zip(encoded.ids, encoded.message, strict=True) if owner >= 0]
    assert not specials & set(within)
    assert spelled(encoded, chat, 0) == "What does <|end|> mean?"
    assert spelled(encoded, chat, 1) == "It ends <|assistant|> a turn."
    assert sum(token in specials for token in encoded.ids) == 3  # two <|end|> and one <|assistant|> of the template


def test_template_tokens_belong_to_no_message(encoder: ChatEncoder) -> None:
    encoded, _ = encode(encoder, "a", "b")
    text = encoder.tokenizer.convert_ids_to_tokens(encoded.ids[encoded.message < 0].tolist())
    assert text == ["<|user|>", "<|end|>", "<|assistant|>", "<|end|>"]


def test_a_template_that_strips_contents_keeps_their_coordinates() -> None:
    tokenizer = tiny_tokenizer(TEXTS * 20)
    tokenizer.chat_template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}<|end|>{% endfor %}"
    encoded, chat = encode(ChatEncoder(tokenizer), "long question", "   the answer \n")
    assert spelled(encoded, chat, 1) == "the answer"
    assert spelled(encoded, chat, 0) == "long question"


def test_roles_that_the_template_refuses_are_an_input_error_with_the_row() -> None:
    tokenizer = tiny_tokenizer(TEXTS * 20)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] != 'user' %}{{ raise_exception('start with user') }}{% endif %}x"
    )
    with pytest.raises(InputError, match=r"file:7: the chat template refuses the roles assistant: start with user"):
        ChatEncoder(tokenizer).encode_chats([[Message("assistant", "x")]], ["file:7"])


def test_empty_contents_have_no_tokens(encoder: ChatEncoder) -> None:
    encoded, chat = encode(encoder, "", "answer")
    assert not (encoded.message == 0).any()
    assert spelled(encoded, chat, 1) == "answer"


def test_a_padding_token_that_the_text_uses_drops_nothing() -> None:
    tokenizer = tiny_tokenizer(TEXTS * 20)
    sea = tokenizer("The sea")["input_ids"][-1]
    plain, chat = encode(ChatEncoder(tokenizer), *TEXTS[:2])
    assert sea in plain.ids
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens([sea])[0]
    assert tokenizer.pad_token_id == sea
    padded, _ = encode(ChatEncoder(tokenizer), *TEXTS[:2])
    assert padded.ids.tolist() == plain.ids.tolist()
    assert [spelled(padded, chat, message) for message in (0, 1)] == TEXTS[:2]


def test_a_conversation_that_is_cut_keeps_its_first_tokens_and_says_so() -> None:
    tokenizer = tiny_tokenizer(TEXTS * 20)
    whole, _ = encode(ChatEncoder(tokenizer), *TEXTS)
    for tokens in (1, len(whole.ids) - 1):
        cut, _ = encode(ChatEncoder(tokenizer, tokens), *TEXTS)
        assert not cut.whole
        for name in ("ids", "message", "spans"):
            assert getattr(cut, name).tolist() == getattr(whole, name)[:tokens].tolist()
    fits, _ = encode(ChatEncoder(tokenizer, len(whole.ids)), *TEXTS)
    assert fits.whole and whole.whole and fits.ids.tolist() == whole.ids.tolist()
