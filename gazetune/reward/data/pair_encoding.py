"""Preference pairs as tokens with gaze, without those whose two texts are equal tokens or that a template refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.controls import add_noise, apply_control
from gazetune.gaze.measures import GazePredictor
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.sources.rows import RowError
from gazetune.reward.data.conversation import ChatEncoder
from gazetune.reward.data.encoding import AlignedChat, ChatArrays, TextRows, align_chat, convert_units, flatten_chats
from gazetune.reward.data.stored_gaze import RemotePrediction, open_gaze_store
from gazetune.reward.model.backbone import vocabulary_size

CUT_TO_EQUAL = "equal tokens, cut off by data.max_tokens"
EQUAL = "equal tokens"
"""Reasons for which pairs are dropped when they are encoded: nothing of what differs is left for a model to see."""

Progress = Callable[[str, int, int], None]


class EncodedPairs(NamedTuple):
    """The pairs of one split as tokens."""

    pairs: list[PreferencePair]
    """Those that are kept, in their order."""
    arrays: ChatArrays
    """Their chosen and rejected conversations in turn."""
    dropped: Counter[str]
    """How many pairs are not kept, by reason."""
    cut: int
    """How many conversations of the kept pairs end at `data.max_tokens`."""


class PairEncoder:
    """Encodes the pairs of a config's splits; knows the longest conversation that it saw."""

    def __init__(self, config: Config, encoder: ChatEncoder, context: int | None, reading: SourceReading) -> None:
        """`context` is the most positions that the backbone takes, None for no limit; `reading` counts refused rows."""
        self.config, self.encoder, self.context, self.reading = config, encoder, context, reading
        self.vocabulary = vocabulary_size(config)
        self.longest, self.longest_origin = {"tokens": 0, "units": 0}, ""

    def encode_pairs(
        self, name: str, pairs: Sequence[PreferencePair], texts: TextRows, progress: Progress
    ) -> EncodedPairs:
        """Return the pairs of the split `name` as tokens with gaze, without those whose two texts are equal tokens.

        A pair that the chat template refuses is a bad row: refused, or dropped and counted, as `reading` has it.

        Raises
        ------
        InputError
            When no pair is left, a conversation is longer than the backbone's context, and as `ChatEncoder`.
        """
        kept: list[PreferencePair] = []
        rows: list[AlignedChat] = []
        dropped: Counter[str] = Counter()
        cut = 0
        for done, pair in enumerate(pairs, start=1):
            chats = [pair.chat_with(pair.chosen), pair.chat_with(pair.rejected)]
            progress(f"tokens of {name}", done, len(pairs))
            try:
                both = self.encoder.encode_chats(chats, [pair.origin] * 2)
            except RowError as error:
                self.reading.take_bad_pair(error)
                dropped[error.reason] += 1
                continue
            for encoded in both:
                self._check_ids(encoded.ids, pair.origin)
            if np.array_equal(both[0].ids, both[1].ids):
                dropped[EQUAL if both[0].whole and both[1].whole else CUT_TO_EQUAL] += 1
                continue
            kept.append(pair)
            for chat, encoded in zip(chats, both, strict=True):
                rows.append(align_chat(encoded, chat, texts, self.config.gaze))
                cut += not encoded.whole
                self._note_length(len(encoded.ids), len(rows[-1].unit_index), pair.origin)
        if not kept:
            self.check_bad_rows()
            raise InputError(self._why_nothing_is_left(name, dropped))
        return EncodedPairs(kept, flatten_chats(rows), dropped, cut)

    def check_bad_rows(self) -> None:
        """Refuse the pairs when more rows than `data.max_bad_rows` gave none; after the last split is encoded."""
        self.reading.check_bad_rows(self.config.data.max_bad_rows)

    def _why_nothing_is_left(self, name: str, dropped: Counter[str]) -> str:
        if dropped.total() > dropped[CUT_TO_EQUAL] + dropped[EQUAL]:
            counts = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
            return f"data.source: '{self.config.data.source}': no pair of the {name} split is left (left out: {counts})"
        if dropped[CUT_TO_EQUAL] >= dropped[EQUAL]:
            return (
                f"data.max_tokens: {self.config.data.max_tokens} leaves no difference between the two texts of any of "
                f"the {dropped.total()} pairs of the {name} split; accepted: more tokens, or null"
            )
        return (
            f"backbone '{self.config.backbone}': its tokenizer and chat template give the two texts of each of the "
            f"{dropped.total()} pairs of the {name} split equal tokens, so the replies are not in them"
        )

    def _check_ids(self, ids: NDArray[np.int32], origin: str) -> None:
        """Refuse an id that the backbone has no embedding for: a template may write a token for a few rows only."""
        largest = int(ids.max(initial=0))
        if self.vocabulary is not None and largest >= self.vocabulary:
            raise InputError(
                f"{origin}: the conversation has the token {largest} "
                f"('{self.encoder.tokenizer.convert_ids_to_tokens(largest)}'), and backbone "
                f"'{self.config.backbone}' has {self.vocabulary} token embeddings; accepted: a chat template and a "
                "tokenizer of this model"
            )

    def _note_length(self, tokens: int, units: int, origin: str) -> None:
        """Refuse a conversation that is longer than the backbone's context, and remember the longest one."""
        if self.context is not None and tokens > self.context:
            raise InputError(
                f"{origin}: the conversation has {tokens} tokens and backbone '{self.config.backbone}' takes "
                f"{self.context}; a lower data.max_chars drops such pairs"
            )
        if tokens + units > sum(self.longest.values()):
            self.longest, self.longest_origin = {"tokens": tokens, "units": units}, origin


def gather_measures(
    config: Config,
    cache: Path,
    texts: Iterable[str],
    predictor: GazePredictor,
    progress: Progress,
    remote_prediction: RemotePrediction | None = None,
) -> tuple[TextRows, NDArray[np.float32]]:
    """Return where the units of each text stand among those of all texts, and their values [N, 5]."""
    texts = list(dict.fromkeys(texts))
    store = open_gaze_store(
        config, cache, texts, predictor, lambda done, total: progress("gaze", done, total), remote_prediction
    )
    spans, values, _, offsets = convert_units(config, store.gather_rows(store.find_rows(texts)))
    return TextRows({text: row for row, text in enumerate(texts)}, offsets, spans), values


def distort_measures(
    config: Config, texts: TextRows, values: NDArray[np.float32], of_split: Mapping[str, Sequence[str]]
) -> NDArray[np.float32]:
    """Return measures [N, 5] with the config's control and noise; `of_split` has the texts of each split."""
    split_rows = {
        split: np.asarray([texts.rows[text] for text in its], dtype=np.int64) for split, its in of_split.items()
    }
    seed = config.data.seed
    train_rows = split_rows.get("train", next(iter(split_rows.values())))
    values = apply_control(config.gaze.control, values, texts.offsets, split_rows, train_rows, seed)
    if config.gaze.noise:
        values = add_noise(values, config.gaze.noise, seed)
    return np.ascontiguousarray(values, dtype=np.float32)
