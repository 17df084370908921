"""From a conversation to token ids, knowing for each token which characters of which message it spells.

The chat template is rendered around place holders, so message contents never pass through it: text that looks like a
role marker or spells a special token stays text, and the gaze on it stays in place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.preferences.pair import Message

# White space on either side shows which sides the template strips; it is of a kind that no template writes itself.
_SPACE = "\N{FOUR-PER-EM SPACE}"
_HOLDER = re.compile(f"({_SPACE}?)\ue000(\\d+)\ue001({_SPACE}?)")


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

    def cut(self, tokens: int | None) -> EncodedChat:
        """Return the first so many tokens; all for None."""
        if tokens is None or len(self.ids) <= tokens:
            return self
        return EncodedChat(self.ids[:tokens], self.message[:tokens], self.spans[:tokens], whole=False)


class ChatEncoder:
    """Encodes conversations with one tokenizer; remembers the template's frame for each sequence of roles."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, max_tokens: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._frames: dict[tuple[str, ...], tuple[list[str], list[tuple[int, bool, bool]]]] = {}
        specials = sorted(set(tokenizer.all_special_tokens) | set(_added_specials(tokenizer)), key=len, reverse=True)
        self._special = re.compile("|".join(re.escape(token) for token in specials if len(token) > 1) or r"(?!)")

    def encode(self, chats: Sequence[Sequence[Message]], origins: Sequence[str]) -> list[EncodedChat]:
        """Encode conversations; `origins` name their rows in errors.

        Raises
        ------
        InputError
            When the chat template refuses a conversation's roles.
        """
        rendered = [self._render(chat, origin) for chat, origin in zip(chats, origins, strict=True)]
        plain = [row for row, (_, _, cuts) in enumerate(rendered) if not cuts]
        encoded: dict[int, tuple[list[int], list[tuple[int, int]]]] = {}
        if plain:
            batch = self.tokenizer(
                [rendered[row][0] for row in plain], add_special_tokens=False, return_offsets_mapping=True
            )
            encoded.update(zip(plain, zip(batch["input_ids"], batch["offset_mapping"], strict=True), strict=True))
        for row, (text, _, cuts) in enumerate(rendered):
            if cuts:
                encoded[row] = self._encode_in_pieces(text, cuts)
        return [_locate(*encoded[row], rendered[row][1]).cut(self.max_tokens) for row in range(len(chats))]

    def _render(self, chat: Sequence[Message], origin: str) -> tuple[str, list[tuple[int, int, int]], list[int]]:
        """Return the text, where each message's content is shown in it, and where to cut literal special tokens.

        A place is (start, end, characters stripped off before it).
        """
        literals, holders = self._frame(tuple(message.role for message in chat), origin)
        text = literals[0]
        places: list[tuple[int, int, int]] = [(0, 0, 0)] * len(chat)
        cuts: list[int] = []
        for (index, strips_left, strips_right), literal in zip(holders, literals[1:], strict=True):
            content = chat[index].content
            shown = content.lstrip() if strips_left else content
            stripped = len(content) - len(shown)
            shown = shown.rstrip() if strips_right else shown
            places[index] = (len(text), len(text) + len(shown), stripped)
            cuts += [len(text) + found.start() + 1 for found in self._special.finditer(shown)]
            text += shown + literal
        return text, places, cuts

    def _frame(self, roles: tuple[str, ...], origin: str) -> tuple[list[str], list[tuple[int, bool, bool]]]:
        """Return the template's literals between contents, and for each its message and if left and right are cut."""
        if roles not in self._frames:
            held = [
                {"role": role, "content": f"{_SPACE}\ue000{index}\ue001{_SPACE}"} for index, role in enumerate(roles)
            ]
            try:
                text = str(self.tokenizer.apply_chat_template(held, tokenize=False))
            except (TemplateError, ValueError) as error:
                reason = f"the chat template refuses the roles {', '.join(roles)}: {error}"
                raise InputError(f"{origin}: {reason}") from error
            literals: list[str] = []
            holders: list[tuple[int, bool, bool]] = []
            end = 0
            for found in _HOLDER.finditer(text):
                literals.append(text[end : found.start()])
                holders.append((int(found[2]), not found[1], not found[3]))
                end = found.end()
            self._frames[roles] = ([*literals, text[end:]], holders)
        return self._frames[roles]

    def _encode_in_pieces(self, text: str, cuts: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode a text whose contents spell special tokens, cut so that none of those is read as one."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            piece = self.tokenizer(text[start:end], add_special_tokens=False, return_offsets_mapping=True)
            ids += piece["input_ids"]
            offsets += [(start + first, start + last) for first, last in piece["offset_mapping"]]
        return ids, offsets


def _added_specials(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values()]


def _locate(ids: list[int], offsets: list[tuple[int, int]], places: list[tuple[int, int, int]]) -> EncodedChat:
    """Assign tokens with characters [T, 2] of the whole text to messages; linear in tokens."""
    spans = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
    bounds = np.asarray(places, dtype=np.int32).reshape(-1, 3)
    order = np.argsort(bounds[:, 0], kind="stable")
    # The message whose content begins last before the token's last character is the only one it can spell.
    place = np.searchsorted(bounds[order, 0], spans[:, 1] - 1, side="right") - 1
    message = np.where(place >= 0, order[np.maximum(place, 0)], -1).astype(np.int32)
    start, end, stripped = bounds[message].T
    first, last = np.maximum(spans[:, 0], start), np.minimum(spans[:, 1], end)
    inside = (message >= 0) & (last > first)
    located = np.stack([first - start + stripped, last - start + stripped], axis=1)
    return EncodedChat(
        ids=np.asarray(ids, dtype=np.int32),
        message=np.where(inside, message, -1).astype(np.int32),
        spans=np.where(inside[:, None], located, 0).astype(np.int32),
    )
