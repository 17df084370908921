"""Conversations to score, as the flat arrays that a batch is made of: the prepared data set without a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from transformers import PreTrainedTokenizerFast

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.measures import FlatGaze, GazePredictor
from gazetune.gaze.store.build import predict_flat
from gazetune.preferences.pair import Message
from gazetune.preferences.sources.messages import read_messages
from gazetune.reward.data.chat_rendering import RenderingTally
from gazetune.reward.data.conversation import CUT_NOTE, ChatEncoder
from gazetune.reward.data.encoding import (
    AlignedChat,
    TextRows,
    align_chat,
    convert_units,
    find_scoped_passages,
    flatten_chats,
)
from gazetune.reward.layout.batching import EncodedSplit

_log = logging.getLogger(__name__)

Chat = Sequence[Message | Mapping[str, object]]
"""A conversation: messages, or mappings with `role` and `content`."""


class GazeChatEncoder:
    """Turns conversations into what one model takes: tokens of its tokenizer and gaze of its predictor."""

    def __init__(self, config: Config, tokenizer: PreTrainedTokenizerFast, predictor: GazePredictor | None) -> None:
        """`predictor` is None where the model sees no gaze."""
        self.config, self.predictor = config, predictor
        self._chat_encoder = ChatEncoder(tokenizer, config.data.max_tokens, config.data.tokens)
        self._pad_token = int(tokenizer.pad_token_id or 0)
        self._warned: set[str] = set()

    def encode_chats(self, chats: Sequence[Chat]) -> EncodedSplit:
        """Return the conversations as texts of a split, in their order; see `align_chats`."""
        return self.align_chats(chats)[0]

    def align_chats(self, chats: Sequence[Chat]) -> tuple[EncodedSplit, list[AlignedChat]]:
        """Return the conversations as texts of a split, in their order, and where the units of gaze of each stand.

        What of conversations the model does not see is told in a warning, the first time that it happens.

        Raises
        ------
        InputError
            For a conversation that does not end in an assistant's reply or has an unknown role, and for a text that the
            predictor has no measures of.
        """
        origins = [f"chat {number}" for number in range(len(chats))]
        checked = [_check_chat(chat, origin) for chat, origin in zip(chats, origins, strict=True)]
        passages = (passage for chat in checked for _, passage in find_scoped_passages(chat, self.config.gaze))
        texts = list(dict.fromkeys(passage.text for passage in passages))
        units = self._predict_units(texts)
        rows = TextRows({text: row for row, text in enumerate(texts)}, units.offsets, units.spans)
        tally = self._chat_encoder.renderer.tally = RenderingTally()
        encoded = self._chat_encoder.encode_chats(checked, origins)
        cut = sum(not one.whole for one in encoded)
        self._warn_once({**tally.list_notes(), **({CUT_NOTE: cut} if cut else {})}, len(chats))
        aligned = [align_chat(one, chat, rows, self.config.gaze) for one, chat in zip(encoded, checked, strict=True)]
        split = EncodedSplit(
            **flatten_chats(aligned),
            scores=np.zeros(0, dtype=np.float32),
            values=np.ascontiguousarray(units.values, dtype=np.float32),
            pad_token=self._pad_token,
        )
        return split, aligned

    def _warn_once(self, notes: Mapping[str, int], chats: int) -> None:
        """Warn of what was not told yet, in one line; `notes` has the number of conversations of each."""
        new = [f"{note} ({count} of {chats})" for note, count in notes.items() if note not in self._warned]
        if new:
            _log.warning("chats to score: %s; later ones are not told", "; ".join(new))
        self._warned.update(notes)

    def _predict_units(self, texts: Sequence[str]) -> FlatGaze:
        if self.predictor is None:
            none = np.zeros(0, dtype=np.int32)
            nothing = np.zeros((0, len(MEASURES)), dtype=np.float32)
            return FlatGaze(none.reshape(0, 2), nothing, none, np.zeros(len(texts) + 1, dtype=np.int64))
        return convert_units(self.config, predict_flat(self.predictor, texts))


def _check_chat(chat: Chat, origin: str) -> tuple[Message, ...]:
    """Return the messages of a conversation, which must end with an assistant's reply."""
    items = [{"role": item.role, "content": item.content} if isinstance(item, Message) else item for item in chat]
    messages = read_messages(origin, "messages", items)
    if not messages or messages[-1].role != "assistant":
        last = messages[-1].role if messages else "nothing"
        raise InputError(f"{origin}: ends with {last}; accepted: a conversation that ends with an assistant's reply")
    return messages
