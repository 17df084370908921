"""From a conversation to token ids, knowing for each token which characters of which message it spells.

The ids are those that the tokenizer's own `apply_chat_template` gives, with one exception: where a content spells a
special token, as a text about chat formats may, it stays text. Its characters can then be counted like any other.

    text       <|user|>Why?<|end|><|assistant|>Because.<|end|>        (`chat_rendering` says where the contents stand)
                       ^^^^ characters 8 to 12, of message 0

The tokenizer gives for each token its characters in the text, from which follow message and characters in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.preferences.pair import Message
from gazetune.reward.data.chat_rendering import ChatRenderer, RenderedChat


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
    shown: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    """As `RenderedChat.shown`: what the template writes of messages that it does not write whole."""

    def truncate(self, tokens: int | None) -> EncodedChat:
        """Return the first so many tokens; all for None."""
        if tokens is None or len(self.ids) <= tokens:
            return self
        return EncodedChat(self.ids[:tokens], self.message[:tokens], self.spans[:tokens], False, self.shown)


CUT_NOTE = "conversations end at data.max_tokens"
"""What is told of conversations that are not whole, with their number."""
CHECKED = 8
"""So many conversations of an encoder are tokenised once more by `apply_chat_template` itself, and compared."""


class ChatEncoder:
    """Encodes conversations with one tokenizer and its chat template."""

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
        self.renderer = ChatRenderer(tokenizer)
        self._unchecked = CHECKED
        added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        specials = sorted(set(tokenizer.all_special_tokens) | added, key=len, reverse=True)
        self._special = re.compile("|".join(re.escape(token) for token in specials if len(token) > 1) or r"(?!)")

    def encode_chats(self, chats: Sequence[Sequence[Message]], origins: Sequence[str]) -> list[EncodedChat]:
        """Encode conversations; `origins` name their rows in errors.

        Raises
        ------
        InputError
            When the chat template refuses a conversation, or is not the same each time.
        """
        rendered = self.renderer.render_chats(chats, origins)
        if self.tokens == "reference":
            return self._encode_as_texts(rendered)
        breaks = [self._find_breaks(chat, one) for chat, one in zip(chats, rendered, strict=True)]
        plain = [row for row, places in enumerate(breaks) if not places]
        encoded: dict[int, tuple[list[int], list[tuple[int, int]]]] = {}
        if plain:
            batch = self.tokenizer(
                [rendered[row].text for row in plain], add_special_tokens=False, return_offsets_mapping=True
            )
            encoded.update(zip(plain, zip(batch["input_ids"], batch["offset_mapping"], strict=True), strict=True))
        for row in plain[: self._unchecked]:
            self._check_ids(chats[row], origins[row], encoded[row][0])
        for row, places in enumerate(breaks):
            if places:
                encoded[row] = self._encode_in_pieces(rendered[row].text, places)
        return [_assign_to_messages(*encoded[row], one).truncate(self.max_tokens) for row, one in enumerate(rendered)]

    def _check_ids(self, chat: Sequence[Message], origin: str, ids: list[int]) -> None:
        """Refuse a tokenizer that gives other ids for the same conversation; asked of a few real ones."""
        self._unchecked -= 1
        turns = [{"role": message.role, "content": message.content} for message in chat]
        if list(self.tokenizer.apply_chat_template(turns, return_dict=False)) != ids:
            raise InputError(f"{origin}: the tokenizer's apply_chat_template gives other ids for the same conversation")

    def _encode_as_texts(self, rendered: Sequence[RenderedChat]) -> list[EncodedChat]:
        """Encode rendered conversations as the reference does: each as a text that knows nothing of its template.

        The tokenizer adds the special tokens that it puts around any text (a second BOS), and what spells a special
        token in a content is one. Of a text that is cut, the tokenizer keeps what it adds behind it.
        """
        if not rendered:
            return []
        texts = [one.text for one in rendered]
        batch = self.tokenizer(texts, return_offsets_mapping=True)
        lengths = [len(ids) for ids in batch["input_ids"]]
        if self.max_tokens is not None and max(lengths) > self.max_tokens:
            batch = self.tokenizer(texts, return_offsets_mapping=True, truncation=True, max_length=self.max_tokens)
        encoded = [
            _assign_to_messages(ids, offsets, one)
            for ids, offsets, one in zip(batch["input_ids"], batch["offset_mapping"], rendered, strict=True)
        ]
        return [replace(one, whole=len(one.ids) == length) for one, length in zip(encoded, lengths, strict=True)]

    def _find_breaks(self, chat: Sequence[Message], rendered: RenderedChat) -> list[int]:
        """Return where the text must be tokenised in pieces, so that no content is read as a special token."""
        if not any(self._special.search(message.content) for message in chat):
            return []
        owner = np.full(len(rendered.text), -1)
        for start, end, message, _ in rendered.pieces.tolist():
            owner[start:end] = message
        breaks: list[int] = []
        for found in self._special.finditer(rendered.text):
            its_owner = owner[found.start()]
            of_content = its_owner >= 0 and (owner[found.start() : found.end()] == its_owner).all()
            if of_content and found[0] not in rendered.template_tokens:
                breaks.append(found.start() + 1)  # a special token is broken after its first character
        return breaks

    def _encode_in_pieces(self, text: str, breaks: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode a text whose contents spell special tokens, cut so that none of those is read as one."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end in zip([0, *breaks], [*breaks, len(text)], strict=True):
            piece = self.tokenizer(text[start:end], add_special_tokens=False, return_offsets_mapping=True)
            ids += piece["input_ids"]
            offsets += [(start + first, start + last) for first, last in piece["offset_mapping"]]
        return ids, offsets


def _assign_to_messages(ids: list[int], offsets: list[tuple[int, int]], rendered: RenderedChat) -> EncodedChat:
    """Assign tokens, given their characters [T, 2] in the whole text, to messages; linear in tokens."""
    spans = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
    # One piece behind all others saves a case for none.
    start, end, owner, offset = np.vstack([rendered.pieces, [2**31 - 2, 2**31 - 1, -1, 0]]).T
    # A token that spells characters of several pieces belongs to the message of the last one.
    first = np.searchsorted(end, spans[:, 0], side="right")
    last = np.searchsorted(start, spans[:, 1], side="left") - 1
    inside = (last >= first) & (spans[:, 1] > spans[:, 0])
    last = np.maximum(last, 0)
    first = np.where(inside & (owner[np.minimum(first, last)] == owner[last]), first, last)
    begins = offset[first] + np.maximum(spans[:, 0] - start[first], 0)
    begins = np.where(first == last, begins, np.minimum(begins, offset[last]))
    stops = offset[last] + np.minimum(spans[:, 1], end[last]) - start[last]
    return EncodedChat(
        ids=np.asarray(ids, dtype=np.int32),
        message=np.where(inside, owner[last], -1).astype(np.int32),
        spans=np.where(inside[:, None], np.stack([begins, stops], axis=1), 0).astype(np.int32),
        shown=rendered.shown,
    )
