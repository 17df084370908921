"""Chat templates of many families: ids are those of `apply_chat_template`, and gaze stands on what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from gazetune.config import GazeConfig
from gazetune.gaze.words import word_spans
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import ChatEncoder, EncodedChat
from gazetune.reward.data.encoding import TextRows, align_chat
from tests.tokenizers import TOKENIZERS

TEMPLATES = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "chat_templates").glob("*.jinja"))}
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|end|>"]
SPECIAL += ["<|end_header_id|>", "<|user|>", "<|assistant|>", "<|system|>", "<|User|>", "<|Assistant|>", "[gMASK]"]
SPECIAL += ["<sop>", "<start_of_turn>", "<end_of_turn>", "<|start|>", "<|message|>", "<|channel|>", "<|return|>"]
NOT_SPECIAL = ["<think>", "</think>", "[INST]", "[/INST]", "  ", "    ", "\n\n", "\t\t", "<|end_of_role|>"]
WORDS = [
    "the",
    "sea",
    "Why?",
    "don't",
    "naïve",
    "日本",
    "語",
    "🙂",
    "25 °C",
    "user",
    "assistant",
    "Human:",
    "ﬁ",
    '"so"',
]
PARTS = [*WORDS, *NOT_SPECIAL, " ", " ", " ", "\n", "\r\n", "\t", "\u00a0", "\\", "{{ x }}", "<b>", "&amp;", "'"]
CONTENT = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
THOUGHT = st.tuples(CONTENT, CONTENT).map(lambda both: f"<think>\n{both[0]}\n</think>\n\n{both[1]}")
ROUNDS = st.lists(st.tuples(CONTENT, st.one_of(CONTENT, THOUGHT)), min_size=1, max_size=3)
TURNS = ROUNDS.map(lambda rounds: [content for both in rounds for content in both])
SYSTEM = st.one_of(st.none(), CONTENT)


@pytest.fixture(scope="module", params=["byte-level BPE", "SentencePiece BPE", "WordPiece"])
def encoders(request: pytest.FixtureRequest) -> dict[str, ChatEncoder]:
    """Return an encoder for each template, all with one tokenizer."""
    backend = TOKENIZERS[request.param]()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    backend.add_tokens([AddedToken(token, special=False, normalized=False) for token in NOT_SPECIAL])
    made = {}
    for name, template in TEMPLATES.items():
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )
        tokenizer.chat_template = template
        made[name] = ChatEncoder(tokenizer)
    return made


def chat_of(system: str | None, turns: Sequence[str]) -> list[Message]:
    first = [] if system is None else [Message("system", system)]
    roles = ("user", "assistant")
    return [*first, *(Message(roles[place % 2], content) for place, content in enumerate(turns))]


def own_ids(encoder: ChatEncoder, chat: Sequence[Message]) -> list[int]:
    turns = [{"role": message.role, "content": message.content} for message in chat]
    return list(encoder.tokenizer.apply_chat_template(turns, return_dict=False))


def word_values(encoded: EncodedChat, chat: Sequence[Message], kind: str) -> list[dict[str, float]]:
    """Return for each message what each word, with a measure of one, gives to tokens or to the sequence."""
    spans = [word_spans(message.content) for message in chat]
    offsets = np.cumsum([0, *map(len, spans)])
    rows = {message.content: place for place, message in enumerate(chat)}
    aligned = align_chat(encoded, chat, TextRows(rows, offsets, np.concatenate(spans)), GazeConfig())
    found: list[dict[str, float]] = []
    for place, message in enumerate(chat):
        values: dict[str, float] = {}
        for row, (start, end) in enumerate(spans[place], start=offsets[place]):
            units = np.flatnonzero(aligned.unit_index == row)
            on_tokens = sum(float(aligned.token_share[aligned.token_unit == unit].sum()) for unit in units)
            values[message.content[start:end]] = on_tokens if kind == "tokens" else float(len(units))
        found.append(values)
    return found


@pytest.mark.parametrize("template", TEMPLATES)
@settings(deadline=None, max_examples=12)
@given(system=SYSTEM, turns=TURNS)
@example(system=None, turns=["", "<think>\n\n</think>\n\n"])
@example(system="", turns=["a", "b", "user", "</think>"])
@example(system="  S \n", turns=["  a\n", "\n b  ", "c", "<think>one</think>two<think>three</think>four"])
@example(system="same", turns=["same", "same", "same", "<think>same</think>same"])
def test_ids_are_those_of_the_tokenizers_own_template(
    encoders: dict[str, ChatEncoder], template: str, system: str | None, turns: list[str]
) -> None:
    encoder, chat = encoders[template], chat_of(system, turns)
    encoded = encoder.encode_chats([chat], ["file:1"])[0]
    assert encoded.ids.tolist() == own_ids(encoder, chat)
    for place, message in enumerate(chat):
        for start, end in encoded.spans[encoded.message == place].tolist():
            assert 0 <= start < end <= len(message.content)


NAMES = st.integers(2, 9).map(lambda letters: "bcdfghjklm"[:letters])


@st.composite
def told_apart(draw: st.DrawFn) -> tuple[str | None, list[str]]:
    """Draw a conversation in which no word comes twice, so that a word of the text can only be that word."""
    count = 0

    def words(most: int) -> str:
        nonlocal count
        text = ""
        for _ in range(draw(st.integers(0, most))):
            count += 1
            text += f"{draw(NAMES)}{count:03d}{draw(st.sampled_from([' ', '  ', chr(10), ', ', '. ', chr(10) * 2]))}"
        return text

    def content() -> str:
        thought = draw(st.booleans())
        return f"<think>\n{words(4)}\n</think>\n\n{words(4)}" if thought else words(6)

    system = draw(st.sampled_from([None, words(3)]))
    return system, [content() for _ in range(2 * draw(st.integers(1, 3)))]


@pytest.mark.parametrize("template", TEMPLATES)
@settings(deadline=None, max_examples=12)
@given(drawn=told_apart())
@example(drawn=(None, ["q1 q2", "<think>\nt3 t4\n</think>\n\na5", "q6", "<think>t7</think>a8 a9"]))
@example(drawn=("s1 s2", ["q3", "<think>\nt4\n</think>\n\na5\n"]))
def test_the_gaze_of_each_word_stands_whole_on_what_is_shown_and_nowhere_else(
    encoders: dict[str, ChatEncoder], template: str, drawn: tuple[str | None, list[str]]
) -> None:
    encoder, chat = encoders[template], chat_of(*drawn)
    encoded = encoder.encode_chats([chat], ["file:1"])[0]
    turns = [{"role": message.role, "content": message.content} for message in chat]
    text = str(encoder.tokenizer.apply_chat_template(turns, tokenize=False)).lower()
    for kind in ("tokens", "sequence"):
        for values in word_values(encoded, chat, kind):
            for word, value in values.items():
                if "think>" not in word:
                    shown = word.rstrip(".,").lower() in text
                    assert value == pytest.approx(float(shown), abs=1e-5), (kind, word, text)


@pytest.mark.parametrize("template", sorted(TEMPLATES.keys() - {"shouting"}))  # it spells other tokens, in capitals
@settings(deadline=None, max_examples=8)
@given(rounds=ROUNDS, token=st.sampled_from(SPECIAL), system=SYSTEM)
def test_a_special_token_that_a_content_spells_stays_text_and_is_all_that_differs(
    encoders: dict[str, ChatEncoder], template: str, rounds: list[tuple[str, str]], token: str, system: str | None
) -> None:
    encoder = encoders[template]
    special = set(encoder.tokenizer.convert_tokens_to_ids(SPECIAL)) - {encoder.tokenizer.unk_token_id}

    def count_specials(spelled: str) -> tuple[list[int], EncodedChat]:
        chat = chat_of(system, [f"{content}x{spelled}y" for both in rounds for content in both])
        encoded = encoder.encode_chats([chat], ["file:1"])[0]
        return [token for token in encoded.ids.tolist() if token in special], encoded

    spelled, encoded = count_specials(token)
    assert spelled == count_specials("word")[0]
    assert not special & set(encoded.ids[encoded.message >= 0].tolist())
