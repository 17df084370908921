"""Conversations as flat arrays: their tokens, and for each token the unit of gaze that stands on it.

The same code makes the prepared data set that a model trains on and the batches that a saved model scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config, GazeConfig
from gazetune.gaze.alignment import align_units
from gazetune.gaze.measures import FlatGaze
from gazetune.gaze.trt_redistribution import redistribute_trt
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import EncodedChat
from gazetune.reward.data.gaze_context import Passage, find_passages
from gazetune.reward.data.gaze_unit import gaze_unit


@dataclass(frozen=True)
class TextRows:
    """Where the units of each distinct text stand among those of all texts."""

    rows: dict[str, int]
    offsets: NDArray[np.int64]
    spans: NDArray[np.int32]


class AlignedChat(NamedTuple):
    """One conversation as T tokens and U units of gaze."""

    ids: NDArray[np.int32]
    """[T] token ids."""
    token_unit: NDArray[np.int32]
    """[T] index into the conversation's own units, -1 for none."""
    token_share: NDArray[np.float32]
    """[T] share of the unit's measures that stands on the token."""
    unit_index: NDArray[np.int32]
    """[U] row of the measures of all texts that each unit has."""
    unit_message: NDArray[np.int32]
    """[U] index of the message that each unit is part of."""
    unit_spans: NDArray[np.int32]
    """[U, 2] character offsets of each unit into the content of its message."""


class ChatArrays(TypedDict):
    """Conversations one after another: the fields of `EncodedSplit` that are about tokens and units."""

    ids: NDArray[np.int32]
    token_unit: NDArray[np.int32]
    token_share: NDArray[np.float32]
    unit_index: NDArray[np.int32]
    token_starts: NDArray[np.int64]
    unit_starts: NDArray[np.int64]


def convert_units(config: Config, units: FlatGaze) -> FlatGaze:
    """Return a predictor's units as the model of `config` takes them: as words or not, TRT redistributed or not."""
    if gaze_unit(config) == "word":
        units = units.merge_into_words()
    if config.gaze.sigma is not None:
        units = units._replace(values=redistribute_trt(units, config.gaze.sigma))
    return units


def find_scoped_passages(chat: Sequence[Message], gaze: GazeConfig) -> list[tuple[int, Passage]]:
    """Return index and place of the messages that the model sees gaze on, in the texts that the predictor reads."""
    contents = [message.content for message in chat]
    passages = list(enumerate(find_passages(contents, gaze.context, gaze.predictor_units == "reference")))
    return passages[-1:] if gaze.scope == "response" else passages


def align_chat(encoded: EncodedChat, chat: Sequence[Message], texts: TextRows, gaze: GazeConfig) -> AlignedChat:
    """Return the conversation with each token's unit of gaze, which `texts` must have for every message in scope.

    Units behind the last token of a conversation that was cut are left out, and those of text that the chat template
    does not write.
    """
    unit = np.full(len(encoded.ids), -1, dtype=np.int32)
    share = np.zeros(len(encoded.ids), dtype=np.float32)
    index: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    messages: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    places: list[NDArray[np.int32]] = [np.zeros((0, 2), dtype=np.int32)]
    count = 0
    for message, passage in find_scoped_passages(chat, gaze):
        row = texts.rows[passage.text]
        inside, spans = passage.select_units(texts.spans[texts.offsets[row] : texts.offsets[row + 1]])
        tokens = np.flatnonzero(encoded.message == message)
        if not encoded.whole:
            spans = spans[spans[:, 0] < encoded.spans[tokens, 1].max(initial=0)]
        rows = np.arange(inside.start, inside.start + len(spans)) + texts.offsets[row]
        if message in encoded.shown:
            written = np.concatenate([[0], np.cumsum(encoded.shown[message])])
            visible = written[spans[:, 1]] > written[spans[:, 0]]
            spans, rows = spans[visible], rows[visible]
        token_unit, token_share = align_units(encoded.spans[tokens], spans, gaze.align)
        unit[tokens] = np.where(token_unit >= 0, token_unit + count, -1)
        share[tokens] = token_share
        index.append(rows.astype(np.int32))
        messages.append(np.full(len(rows), message, dtype=np.int32))
        places.append(spans.astype(np.int32))
        count += len(rows)
    return AlignedChat(
        encoded.ids, unit, share, np.concatenate(index), np.concatenate(messages), np.concatenate(places)
    )


def flatten_chats(chats: Sequence[AlignedChat]) -> ChatArrays:
    """Return conversations one after another.

    Examples
    --------
    >>> none = np.zeros(0, dtype=np.int32)
    >>> chats = [AlignedChat(np.array(ids), none, none, none, none, none) for ids in ([5, 6, 7], [8, 9])]
    >>> arrays = flatten_chats(chats)
    >>> arrays["ids"], arrays["token_starts"]
    (array([5, 6, 7, 8, 9]), array([0, 3, 5]))
    """
    return {
        "ids": np.concatenate([chat.ids for chat in chats]),
        "token_unit": np.concatenate([chat.token_unit for chat in chats]),
        "token_share": np.concatenate([chat.token_share for chat in chats]),
        "unit_index": np.concatenate([chat.unit_index for chat in chats]),
        "token_starts": _count_starts([len(chat.ids) for chat in chats]),
        "unit_starts": _count_starts([len(chat.unit_index) for chat in chats]),
    }


def _count_starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return where each of some lengths starts when they lie one after another, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
