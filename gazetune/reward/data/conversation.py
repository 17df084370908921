"""From a conversation to token ids, knowing for each token which characters of which message it spells.

The chat template is rendered around place holders, and the contents are put in afterwards. No content therefore passes
through the template: text that looks like a role marker or spells a special token stays text, and its characters can
be counted.

    roles              user, assistant
    rendered           <|user|>(0)<|end|><|assistant|>(1)<|end|>
    frame              literals "<|user|>", "<|end|><|assistant|>", "<|end|>"; between them messages 0 and 1
    filled             <|user|>Why?<|end|><|assistant|>Because.<|end|>
                               ^^^^ _ContentSpan(8, 12, 0) of message 0

The tokenizer gives for each token its characters in the filled text, from which follow message and characters in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.preferences.pair import Message

# White space on either side shows which sides the template strips; it is of a kind that no template writes itself.
_SPACE = "\N{FOUR-PER-EM SPACE}"
_HOLDER = re.compile(f"({_SPACE}?)\ue000(\\d+)\ue001({_SPACE}?)")


class _Holder(NamedTuple):
    """Where the template has the content of a message."""

    message: int
    strips_left: bool
    strips_right: bool


class _Frame(NamedTuple):
    """What the template writes for a sequence of roles: `literals[0]`, the first content, `literals[1]`, and so on."""

    literals: list[str]
    holders: list[_Holder]


class _ContentSpan(NamedTuple):
    """Where the content of a message stands in the filled text."""

    start: int
    end: int
    stripped: int
    """Characters that the template strips off before it."""


class _FilledText(NamedTuple):
    """A conversation as the template writes it."""

    text: str
    contents: list[_ContentSpan]
    """By message."""
    breaks: list[int]
    """Where the text must be tokenised in pieces, so that no content is read as a special token."""


@dataclass(frozen=True, slots=True)
class EncodedChat:
    """One conversation as T tokens."""

    ids: NDArray[np.int32]
    """[T] token ids."""
    message: NDArray[np.int32]
    """[T] index of the message whose content the token spells, -1 for the template's own tokens."""
    spans: NDArray[np.int32]
    """[T, 2] characters (start, end) of that message's content."""
    whole: bool = True
    """False when there were more tokens."""

    def truncate(self, tokens: int | None) -> EncodedChat:
        """Return the first so many tokens; all for None."""
        if tokens is None or len(self.ids) <= tokens:
            return self
        return EncodedChat(self.ids[:tokens], self.message[:tokens], self.spans[:tokens], whole=False)


class ChatEncoder:
    """Encodes conversations with one tokenizer; remembers the template's frame for each sequence of roles."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        max_tokens: int | None = None,
        tokens: Literal["template", "reference"] = "template",
    ) -> None:
        """Encode at most `max_tokens` tokens a conversation; `tokens` is the key `data.tokens`."""
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.tokens = tokens
        self._frames: dict[tuple[str, ...], _Frame] = {}
        added = {token.content for token in tokenizer.added_tokens_decoder.values()}
        specials = sorted(set(tokenizer.all_special_tokens) | added, key=len, reverse=True)
        self._special = re.compile("|".join(re.escape(token) for token in specials if len(token) > 1) or r"(?!)")

    def encode_chats(self, chats: Sequence[Sequence[Message]], origins: Sequence[str]) -> list[EncodedChat]:
        """Encode conversations; `origins` name their rows in errors.

        Raises
        ------
        InputError
            When the chat template refuses a conversation's roles.
        """
        filled = [self._fill_template(chat, origin) for chat, origin in zip(chats, origins, strict=True)]
        if self.tokens == "reference":
            return self._encode_rendered(filled)
        plain = [row for row, one in enumerate(filled) if not one.breaks]
        encoded: dict[int, tuple[list[int], list[tuple[int, int]]]] = {}
        if plain:
            batch = self.tokenizer(
                [filled[row].text for row in plain], add_special_tokens=False, return_offsets_mapping=True
            )
            encoded.update(zip(plain, zip(batch["input_ids"], batch["offset_mapping"], strict=True), strict=True))
        for row, one in enumerate(filled):
            if one.breaks:
                encoded[row] = self._encode_in_pieces(one)
        return [
            _assign_to_messages(*encoded[row], one.contents).truncate(self.max_tokens) for row, one in enumerate(filled)
        ]

    def _encode_rendered(self, filled: Sequence[_FilledText]) -> list[EncodedChat]:
        """Encode rendered conversations as the reference does: each as a text that knows nothing of its template.

        The tokenizer adds the special tokens that it puts around any text (a second BOS), and what spells a special
        token in a content is one. Of a text that is cut, the tokenizer keeps what it adds behind it.
        """
        if not filled:
            return []
        texts = [one.text for one in filled]
        batch = self.tokenizer(texts, return_offsets_mapping=True)
        lengths = [len(ids) for ids in batch["input_ids"]]
        if self.max_tokens is not None and max(lengths) > self.max_tokens:
            batch = self.tokenizer(texts, return_offsets_mapping=True, truncation=True, max_length=self.max_tokens)
        encoded = [
            _assign_to_messages(ids, offsets, one.contents)
            for ids, offsets, one in zip(batch["input_ids"], batch["offset_mapping"], filled, strict=True)
        ]
        return [replace(one, whole=len(one.ids) == length) for one, length in zip(encoded, lengths, strict=True)]

    def _fill_template(self, chat: Sequence[Message], origin: str) -> _FilledText:
        """Put the contents into the template's frame, and find where they spell special tokens."""
        literals, holders = self._find_frame(tuple(message.role for message in chat), origin)
        text = literals[0]
        contents = [_ContentSpan(0, 0, 0)] * len(chat)
        breaks: list[int] = []
        for holder, literal in zip(holders, literals[1:], strict=True):
            content = chat[holder.message].content
            shown = content.lstrip() if holder.strips_left else content
            stripped = len(content) - len(shown)
            shown = shown.rstrip() if holder.strips_right else shown
            contents[holder.message] = _ContentSpan(len(text), len(text) + len(shown), stripped)
            # A special token is broken after its first character.
            breaks += [len(text) + found.start() + 1 for found in self._special.finditer(shown)]
            text += shown + literal
        return _FilledText(text, contents, breaks)

    def _find_frame(self, roles: tuple[str, ...], origin: str) -> _Frame:
        """Return what the template writes around the contents of messages with these roles."""
        if roles not in self._frames:
            messages = [
                {"role": role, "content": f"{_SPACE}\ue000{index}\ue001{_SPACE}"} for index, role in enumerate(roles)
            ]
            try:
                text = str(self.tokenizer.apply_chat_template(messages, tokenize=False))
            except (TemplateError, ValueError) as error:
                reason = f"the chat template refuses the roles {', '.join(roles)}: {error}"
                raise InputError(f"{origin}: {reason}") from error
            literals: list[str] = []
            holders: list[_Holder] = []
            end = 0
            for found in _HOLDER.finditer(text):
                literals.append(text[end : found.start()])
                holders.append(_Holder(int(found[2]), strips_left=not found[1], strips_right=not found[3]))
                end = found.end()
            self._frames[roles] = _Frame([*literals, text[end:]], holders)
        return self._frames[roles]

    def _encode_in_pieces(self, filled: _FilledText) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode a text whose contents spell special tokens, cut so that none of those is read as one."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end in zip([0, *filled.breaks], [*filled.breaks, len(filled.text)], strict=True):
            piece = self.tokenizer(filled.text[start:end], add_special_tokens=False, return_offsets_mapping=True)
            ids += piece["input_ids"]
            offsets += [(start + first, start + last) for first, last in piece["offset_mapping"]]
        return ids, offsets


def _assign_to_messages(ids: list[int], offsets: list[tuple[int, int]], contents: list[_ContentSpan]) -> EncodedChat:
    """Assign tokens, given their characters [T, 2] in the whole text, to messages; linear in tokens."""
    spans = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
    bounds = np.asarray(contents, dtype=np.int32).reshape(-1, 3)
    order = np.argsort(bounds[:, 0], kind="stable")
    # The message whose content begins last before the token's last character is the only one it can spell.
    nearest = np.searchsorted(bounds[order, 0], spans[:, 1] - 1, side="right") - 1
    message = np.where(nearest >= 0, order[np.maximum(nearest, 0)], -1).astype(np.int32)
    start, end, stripped = bounds[message].T
    first, last = np.maximum(spans[:, 0], start), np.minimum(spans[:, 1], end)
    inside = (message >= 0) & (last > first)
    own_spans = np.stack([first - start + stripped, last - start + stripped], axis=1)
    return EncodedChat(
        ids=np.asarray(ids, dtype=np.int32),
        message=np.where(inside, message, -1).astype(np.int32),
        spans=np.where(inside[:, None], own_spans, 0).astype(np.int32),
    )
