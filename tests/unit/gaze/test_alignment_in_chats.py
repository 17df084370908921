"""Words keep their values on the way through a chat template and a tokenizer, whatever the texts spell."""

from __future__ import annotations

import unicodedata
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from gazetune.gaze.alignment import align_units
from gazetune.gaze.words import word_spans
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import ChatEncoder, EncodedChat
from gazetune.reward.model.chat_templates import LLAMA_3, MISTRAL
from gazetune.reward.model.tiny import CHAT_TEMPLATE
from tests.tokenizers import TOKENIZERS

Policy = Literal["spread", "first"]
SPECIALS = [
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "[INST]",
    "[/INST]",
    "<|im_start|>",
    "<|im_end|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "[UNK]",
    "[CLS]",
    "[SEP]",
]
TEMPLATES = {
    "tiny": CHAT_TEMPLATE,
    "Llama 3": LLAMA_3,
    "Mistral": MISTRAL,
    "ChatML": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
    "Llama 3, trimmed": LLAMA_3.replace("message['content'] }}", "message['content'] | trim }}"),
    "Mistral, stripped": MISTRAL.replace(
        "{{ message['content'] }} [/INST]", "{{ message['content'].strip() }} [/INST]"
    ),
    "words alone": "{% for m in messages %}{{ m.role }}: {{ m.content.rstrip() }}\n{% endfor %}",
}
FRAGMENTS = [
    *"ab1.,-—\u2013°'\"<|>[]",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u00a0",
    "\u3000",
    "the",
    " words",
    "don't",
    "25 °C",
    "user\n",
    "assistant\n",
    "日本",
    "語",
    "🙂",
    "👩‍👩‍👧",
    "🇩🇪",
    "👍🏽",
    "e\u0301",
    "\u0915\u094d\u0937",
    "ﬁ",
    "İ",
    "\u200d",
    "\u200b",
    "\ufeff",
    "\ue0000\ue001",
    "def f(x):\n\treturn x",
    *SPECIALS,
]
CONTENTS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@pytest.fixture(scope="module", params=TOKENIZERS)
def encoders(request: pytest.FixtureRequest) -> dict[str, ChatEncoder]:
    """Return an encoder for each template, all with one tokenizer."""
    made = {}
    backend = TOKENIZERS[request.param]()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    for name, template in TEMPLATES.items():
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
        )
        tokenizer.chat_template = template
        made[name] = ChatEncoder(tokenizer)
    return made


def received(encoded: EncodedChat, message: int, content: str, policy: Policy) -> tuple[NDArray, NDArray, NDArray]:
    """Return what each word of a message receives over all tokens, its spans, and the message's tokens."""
    units, at = word_spans(content), np.flatnonzero(encoded.message == message)
    unit, share = align_units(encoded.spans[at], units, policy)
    return np.bincount(unit[unit >= 0], weights=share[unit >= 0], minlength=len(units)), units, at


def shows(word: str) -> bool:
    """Whether a word has a character that is more than a joiner, a direction mark or a byte-order mark."""
    return any(unicodedata.category(character) not in ("Cf", "Cc", "Mn") for character in word)


CHATS = st.lists(CONTENTS, min_size=2, max_size=4)


@pytest.mark.parametrize("policy", ["spread", "first"])
@pytest.mark.parametrize("template", TEMPLATES)
@settings(deadline=None, max_examples=15)
@given(contents=CHATS)
@example(contents=["", "answer"])
@example(contents=["user\nassistant\n<|eot_id|>user\n", "[INST] a [/INST]</s><s>"])
@example(contents=["  \tleading", "trailing \n "])
@example(contents=["", "def f(x):\n\treturn x words"])
@example(contents=["👩‍👩‍👧 🇩🇪 \u200b x", "e\u0301\u0301 25 °C — \u2013"])
def test_every_word_of_a_chat_keeps_its_value(
    encoders: dict[str, ChatEncoder], template: str, policy: Policy, contents: list[str]
) -> None:
    chat = [Message("user" if place % 2 == 0 else "assistant", each) for place, each in enumerate(contents)]
    encoded = encoders[template].encode_chats([chat], ["file:1"])[0]
    for message, content in enumerate(contents):
        got, units, at = received(encoded, message, content, policy)
        words = [content[start:end] for start, end in units]
        for word, value in zip(words, got.tolist(), strict=True):
            assert value == pytest.approx(1.0, abs=1e-5) or (value == 0.0 and not shows(word)), (word, value)
        for start, end in encoded.spans[at].tolist():
            assert 0 <= start < end <= len(content)
    assert (encoded.spans[encoded.message < 0] == 0).all()


@settings(deadline=None, max_examples=60)
@given(contents=CHATS, template=st.sampled_from(sorted(TEMPLATES)))
def test_no_token_of_a_message_is_a_special_one(
    encoders: dict[str, ChatEncoder], contents: list[str], template: str
) -> None:
    chat = [Message("user" if place % 2 == 0 else "assistant", each) for place, each in enumerate(contents)]
    encoder = encoders[template]
    encoded = encoder.encode_chats([chat], ["file:1"])[0]
    specials = set(encoder.tokenizer.convert_tokens_to_ids(SPECIALS)) - {
        encoder.tokenizer.convert_tokens_to_ids(token)
        for token in ("<unk>", "[UNK]")  # stand for unknown words
    }
    assert not specials & set(encoded.ids[encoded.message >= 0].tolist())


@settings(deadline=None, max_examples=60)
@given(template=st.sampled_from(sorted(TEMPLATES)), prompt=CONTENTS, reply=CONTENTS, other=CONTENTS)
def test_the_tokens_of_a_message_do_not_depend_on_a_later_one(
    encoders: dict[str, ChatEncoder], template: str, prompt: str, reply: str, other: str
) -> None:
    chats = [[Message("user", f"{prompt} end"), Message("assistant", each)] for each in (reply, other)]
    one, two = encoders[template].encode_chats(chats, ["file:1"] * 2)
    first, second = (received(each, 0, f"{prompt} end", "spread") for each in (one, two))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(one.spans[first[2]], two.spans[second[2]])


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_ids_are_those_of_the_rendered_template(encoders: dict[str, ChatEncoder], template: str) -> None:
    encoder = encoders[template]
    contents = ["  What is\tit? \n", "\n the words — 25 °C, 日本 🙂  ", "and ", " so"]
    chat = [Message("user" if place % 2 == 0 else "assistant", each) for place, each in enumerate(contents)]
    turns = [{"role": message.role, "content": message.content} for message in chat]
    rendered = str(encoder.tokenizer.apply_chat_template(turns, tokenize=False))
    expected = encoder.tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert encoder.encode_chats([chat], ["file:1"])[0].ids.tolist() == expected
