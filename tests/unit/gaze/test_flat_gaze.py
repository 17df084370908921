from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from gazetune.gaze.alignment import align_units
from gazetune.gaze.measures import FlatGaze
from gazetune.gaze.words import word_spans

MADE_UP = ["the reader looks at the words and the words look back", "naïve café 日本語の文 🙂🙂 tabs\tand re-reading"]
ALPHABET = st.sampled_from([*"abcdethz  é.,'-1", "\t", "\n", "日", "🙂", "👩‍👧", "e\u0301", "ﬁ", "\u200d"])


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(MADE_UP, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(MADE_UP, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]"]))
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    # As T5 has it: a token never goes beyond a word.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=200, unk_token="<unk>", special_tokens=["<unk>"])
    tokenizer.train_from_iterator(MADE_UP, trainer)
    return tokenizer


TOKENIZERS = {"byte-level": byte_level(), "WordPiece": word_piece(), "Unigram": unigram()}


def flat(texts: Sequence[tuple[Sequence[int], np.ndarray]]) -> FlatGaze:
    """Return texts, each the words of its units and their spans, with measures that tell all units apart."""
    words = np.concatenate([np.asarray(each, dtype=np.int32) for each, _ in texts])
    spans = np.concatenate([np.asarray(each, dtype=np.int32).reshape(-1, 2) for _, each in texts])
    values = np.random.default_rng(len(words)).random((len(words), 5), dtype=np.float32)
    return FlatGaze(spans, values, words, np.concatenate([[0], np.cumsum([len(each) for each, _ in texts])]))


def pieces_of(text: str, cuts: Sequence[int]) -> tuple[list[int], np.ndarray]:
    """Return the words of a text cut at some of its characters, as the units of a predictor with tokens of its own."""
    words, spans = [], []
    for number, (start, end) in enumerate(word_spans(text).tolist()):
        edges = [start, *sorted({cut for cut in cuts if start < cut < end}), end]
        spans += list(itertools.pairwise(edges))
        words += [number] * (len(edges) - 1)
    return words, np.array(spans, dtype=np.int32).reshape(-1, 2)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None, max_examples=100)
@given(
    text=st.lists(ALPHABET, max_size=50).map("".join),
    cuts=st.lists(st.integers(1, 60), max_size=60),
    policy=st.sampled_from(("spread", "first")),
)
def test_every_words_sum_reaches_its_tokens_however_fine_the_units(
    name: str, text: str, cuts: list[int], policy: Literal["spread", "first"]
) -> None:
    fine = flat([pieces_of(text, cuts)])
    units = fine.merge_into_words()
    tokens = np.array(TOKENIZERS[name].encode(text).offsets, dtype=np.int64).reshape(-1, 2)
    owner, share = align_units(tokens, units.spans, policy)
    spans = word_spans(text)
    assert np.array_equal(units.spans, spans)
    for word, (start, end) in enumerate(spans.tolist()):
        mine = np.flatnonzero(owner == word)
        if not ((np.minimum(tokens[:, 1], end) - np.maximum(tokens[:, 0], start)) > 0).any():
            continue  # the tokenizer left the word out
        whole = fine.values[fine.words == word].sum(axis=0)
        assert share[mine].sum() * units.values[word] == pytest.approx(whole, rel=1e-5)
        if policy == "first":
            assert share[mine].tolist() == [1.0]


def test_units_finer_than_tokens_lose_values_when_they_stand_on_tokens_themselves() -> None:
    fine = flat([pieces_of("reading", range(1, 7))])
    _, share = align_units(np.array([[0, 4], [4, 7]]), fine.spans, "spread")
    assert share.sum() == 2  # of seven units
    assert fine.merge_into_words().values == pytest.approx(fine.values.sum(axis=0, keepdims=True))


def test_a_words_span_and_sum_are_those_of_its_units_and_texts_stay_apart() -> None:
    spans = np.array([[0, 2], [2, 5], [6, 7]])
    gaze = flat([([0, 0, 2], spans), ([], np.zeros((0, 2))), ([0, 0, 0], spans)])
    found = gaze.merge_into_words()
    assert found.spans.tolist() == [[0, 5], [6, 7], [0, 7]]
    assert found.words.tolist() == [0, 2, 0]
    assert found.offsets.tolist() == [0, 2, 2, 3]
    expected = [gaze.values[:2].sum(axis=0), gaze.values[2], gaze.values[3:].sum(axis=0)]
    assert found.values == pytest.approx(np.array(expected)) and found.values.dtype == np.float32


def test_units_that_are_words_are_left_as_they_are() -> None:
    spans = np.array([[0, 2], [3, 5]])
    for gaze in (flat([([0, 1], spans), ([1, 4], spans)]), flat([([], np.zeros((0, 2)))])):
        assert gaze.merge_into_words() is gaze


def test_units_out_of_the_order_of_words_are_put_in_it() -> None:
    gaze = flat([([1, 0, 1], np.array([[4, 5], [0, 3], [6, 7]]))])
    found = gaze.merge_into_words()
    assert found.spans.tolist() == [[0, 3], [4, 7]]
    assert found.values[1] == pytest.approx(gaze.values[[0, 2]].sum(axis=0))


def test_words_are_numbered_over_texts_with_room_for_those_without_units() -> None:
    gaze = flat([([0, 3], np.array([[0, 1], [9, 10]])), ([], np.zeros((0, 2))), ([1], np.array([[2, 3]]))])
    word, text = gaze.number_words()
    assert word.tolist() == [0, 3, 5]
    assert text.tolist() == [0, 0, 0, 0, 2, 2]
