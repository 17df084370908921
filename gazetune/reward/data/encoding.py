"""Conversations as flat arrays: their tokens, and for each token the unit of gaze that stands on it.

The same code makes the prepared data set that a model trains on and the batches that a saved model scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config, GazeConfig
from gazetune.gaze.alignment import align_units
from gazetune.gaze.measures import FlatGaze
from gazetune.gaze.trt_redistribution import redistribute_trt
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import EncodedChat
from gazetune.reward.data.gaze_context import Passage, passages
from gazetune.reward.data.gaze_unit import gaze_unit


@dataclass(frozen=True)
class TextRows:
    """Where the units of each distinct text stand among those of all texts."""

    rows: dict[str, int]
    offsets: NDArray[np.int64]
    spans: NDArray[np.int32]


class AlignedChat(NamedTuple):
    """One conversation as T tokens and U units."""

    ids: NDArray[np.int32]
    """[T] token ids."""
    token_unit: NDArray[np.int32]
    """[T] index into the conversation's own units, -1 for none."""
    token_share: NDArray[np.float32]
    """[T]"""
    unit_index: NDArray[np.int32]
    """[U] row of the measures of all texts that each unit has."""


def model_units(config: Config, units: FlatGaze) -> FlatGaze:
    """Return a predictor's units as the model of `config` takes them: as words or not, TRT redistributed or not."""
    if gaze_unit(config) == "word":
        units = units.merge_into_words()
    if config.gaze.sigma is not None:
        units = units._replace(values=redistribute_trt(units, config.gaze.sigma))
    return units


def scoped_passages(chat: Sequence[Message], gaze: GazeConfig) -> list[tuple[int, Passage]]:
    """Return index and place of the messages that the model sees gaze on, in the texts that the predictor reads."""
    read = list(enumerate(passages([message.content for message in chat], gaze.context)))
    return read[-1:] if gaze.scope == "response" else read


def align_chat(encoded: EncodedChat, chat: Sequence[Message], texts: TextRows, gaze: GazeConfig) -> AlignedChat:
    """Return the conversation with each token's unit of gaze, which `texts` must have for every message in scope.

    Units behind the last token of a conversation that was cut are left out.
    """
    unit = np.full(len(encoded.ids), -1, dtype=np.int32)
    share = np.zeros(len(encoded.ids), dtype=np.float32)
    index: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    count = 0
    for message, passage in scoped_passages(chat, gaze):
        row = texts.rows[passage.text]
        inside, spans = passage.units(texts.spans[texts.offsets[row] : texts.offsets[row + 1]])
        at = np.flatnonzero(encoded.message == message)
        if not encoded.whole:
            spans = spans[spans[:, 0] < encoded.spans[at, 1].max(initial=0)]
        first = texts.offsets[row] + inside.start
        last = first + len(spans)
        token_unit, token_share = align_units(encoded.spans[at], spans, gaze.align)
        unit[at] = np.where(token_unit >= 0, token_unit + count, -1)
        share[at] = token_share
        index.append(np.arange(first, last, dtype=np.int32))
        count += int(last - first)
    return AlignedChat(encoded.ids, unit, share, np.concatenate(index))


def flat_arrays(chats: Sequence[AlignedChat]) -> dict[str, NDArray[Any]]:
    """Return conversations one after another, as the fields of `EncodedSplit` that are about tokens and units."""
    columns = dict(zip(AlignedChat._fields, zip(*chats, strict=True), strict=True))
    return {
        **{name: np.concatenate(column) for name, column in columns.items()},
        "token_starts": _starts(columns["ids"]),
        "unit_starts": _starts(columns["unit_index"]),
    }


def _starts(columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(column) for column in columns])]).astype(np.int64)
