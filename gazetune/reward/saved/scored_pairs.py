"""Pairs that a saved model is to score and that it was not prepared with: those of a file that is named to it.

All pairs of a file are scored, and those of the test split of a folder that has one. They become tokens by the
tokenizer that was saved with the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES, Config, DataConfig
from gazetune.errors import InputError
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.preferences.pair import PreferencePair, collect_margins
from gazetune.preferences.pairs_to_score import load_pairs_to_score
from gazetune.reward.data.conversation import CUT_NOTE, ChatEncoder
from gazetune.reward.data.dataset import describe_counts
from gazetune.reward.data.encoding import TextRows
from gazetune.reward.data.pair_encoding import PairEncoder, distort_measures, gather_measures
from gazetune.reward.data.prepared_data import check_context, count_response_words
from gazetune.reward.data.rendered_length import create_counter, load_pair_splits
from gazetune.reward.data.stored_gaze import texts_to_predict
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.backbone import context_length
from gazetune.reward.saved.saved_model import load_saved_tokenizer, with_saved_template

_WHOLE: dict[str, object] = {
    "pairs": None,
    "splits": None,
    "max_chars": None,
    "split": None,
    "subsample": 1.0,
    "fold": 0,
    "group": None,
}
"""The keys that leave pairs out, or divide them, when a model is trained, as they are where every pair counts."""


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs as tokens, and what is known of them."""

    split: EncodedSplit
    words: NDArray[np.int32]
    """[pairs, 2] white-space words of the chosen and the rejected response."""
    which: str
    """What of the source they are."""
    dropped: dict[str, int]
    notes: dict[str, int]

    def describe(self, source: str) -> list[str]:
        """Return lines for people: how many pairs are scored, which ones, and what else is to be known."""
        dropped = f"; dropped: {describe_counts(self.dropped)}" if self.dropped else ""
        notes = [f"pairs: {what} ({count})" for what, count in self.notes.items()]
        return [f"scoring {len(self.split)} pairs: {self.which} of {source}{dropped}", *notes]


def without_division(data: DataConfig, given: Iterable[str]) -> DataConfig:
    """Return a data config that leaves no pair out, but as the `given` keys (`data.pairs` and the like) say."""
    kept = {key.removeprefix("data.") for key in given}
    return data.model_copy(update={key: value for key, value in _WHOLE.items() if key not in kept})


def encode_named_pairs(config: Config, folder: Path, cache: Path, own: DataConfig, whole: bool) -> ScoredPairs:
    """Return the pairs that `config.data` names, for the model saved in `folder`, which trained on `own`.

    With `whole` these are all pairs of a file, or the published test split of a source that has one; else the test
    pairs of the division that training would make.

    Raises
    ------
    InputError
        For pairs that cannot be read, and a conversation that the backbone has no room for.
    """
    templated = with_saved_template(config, folder)
    if whole:
        rendered = config.data.max_chars_of == "rendered" and config.data.max_chars is not None
        found = load_pairs_to_score(config.data, create_counter(templated) if rendered else None)
        pairs, which, dropped, notes = found.pairs, found.which, found.dropped, dict(found.notes)
        reading = found.reading
    else:
        splits = load_pair_splits(templated)
        pairs, which = list(splits.test), "the test split"
        dropped, notes, reading = splits.dropped, dict(splits.notes), splits.reading
    tokenizer = load_saved_tokenizer(folder)
    context = context_length(config.backbone)
    texts, values = _read_gaze(config, cache, pairs)
    chat_encoder = ChatEncoder(tokenizer, config.data.max_tokens, config.data.tokens)
    encoder = PairEncoder(config, chat_encoder, context, reading)
    encoded = encoder.encode_pairs("test", pairs, texts, _say_nothing)
    encoder.check_bad_rows()
    check_context(config, encoder.longest, encoder.longest_origin, context)
    split = EncodedSplit(
        **encoded.arrays,
        scores=collect_margins(encoded.pairs),
        values=values,
        pad_token=int(tokenizer.pad_token_id or 0),
    )
    notes |= _count_trained(encoded.pairs, with_saved_template(config.model_copy(update={"data": own}), folder))
    notes |= chat_encoder.renderer.tally.list_notes()
    if encoded.cut:
        notes[CUT_NOTE] = encoded.cut
    return ScoredPairs(
        split, count_response_words(encoded.pairs), which, dict(Counter(dropped) + encoded.dropped), notes
    )


def _say_nothing(stage: str, done: int, total: int) -> None:
    """Take a progress report for nobody."""


def _read_gaze(config: Config, cache: Path, pairs: list[PreferencePair]) -> tuple[TextRows, NDArray[np.float32]]:
    """Return the measures of the pairs' texts; none for a model that sees no gaze, which needs no predictor either."""
    texts = texts_to_predict(pairs, config.gaze)
    if config.fusion.kind == "none":
        rows = {text: row for row, text in enumerate(texts)}
        nothing = np.zeros((0, 2), dtype=np.int32)
        of_texts = TextRows(rows, np.zeros(len(texts) + 1, dtype=np.int64), nothing)
        return of_texts, np.zeros((0, len(MEASURES)), dtype=np.float32)
    found, values = gather_measures(config, cache, texts, create_predictor(config), _say_nothing)
    return found, distort_measures(config, found, values, {"test": texts})


def _count_trained(pairs: list[PreferencePair], own: Config) -> dict[str, int]:
    """Return a note of how many pairs the model was trained on, or that this cannot be known any more."""
    try:
        trained = {(pair.prompt, pair.chosen, pair.rejected) for pair in load_pair_splits(own).train}
    except InputError:
        return {f"whether the model was trained on them is not known: {own.data.source} cannot be read": len(pairs)}
    count = sum((pair.prompt, pair.chosen, pair.rejected) in trained for pair in pairs)
    return {"the model was trained on some of these pairs": count} if count else {}
