from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from gazetune.gaze.alignment import align_units
from gazetune.gaze.words import word_spans

Policy = Literal["spread", "first"]
POLICIES: tuple[Policy, ...] = ("spread", "first")
MADE_UP = [
    "the reader looks at the words and the words look back",
    "naïve café, Zürich! 日本語の文 🙂🙂 tabs\tand  spaces don't matter (much)",
    "re-reading numbers 1, 22, 333 and unfamiliar vocabularies takes longer",
]
ALPHABET = st.sampled_from(
    [*"abcdethz ABé.,'-1", "\t", "\n", "\u00a0", "日", "本", "🙂", "👩‍👩‍👧", "e\u0301", "ﬁ", "\u200d", "İ"]
)


def byte_level(trim: bool, prefix: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(MADE_UP, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokens = ["[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(MADE_UP, trainers.WordPieceTrainer(vocab_size=200, special_tokens=tokens))
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        MADE_UP, trainers.UnigramTrainer(vocab_size=200, unk_token="<unk>", special_tokens=["<unk>"])
    )
    return tokenizer


TOKENIZERS = {
    "byte-level": byte_level(trim=False, prefix=False),
    "byte-level, trimmed offsets": byte_level(trim=True, prefix=True),
    "WordPiece": word_piece(),
    "Unigram": unigram(),
}


def spans_of(tokenizer: Tokenizer, text: str) -> np.ndarray:
    return np.array(tokenizer.encode(text).offsets, dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None, max_examples=150)
@given(text=st.lists(ALPHABET, max_size=60).map("".join), policy=st.sampled_from(POLICIES))
def test_sums_are_conserved_under_real_tokenizers(name: str, text: str, policy: Policy) -> None:
    spans, units = spans_of(TOKENIZERS[name], text), word_spans(text)
    unit, share = align_units(spans, units, policy)
    got = np.bincount(unit[unit >= 0], weights=share[unit >= 0], minlength=len(units))
    expected = np.array([any(min(e, end) > max(s, start) for s, e in spans) for start, end in units], dtype=float)
    if name != "Unigram":  # a run of unknown characters can be one token over several words there
        assert got == pytest.approx(expected, abs=1e-6)
    assert (got <= expected + 1e-6).all()
    for (start, end), mine in zip(spans.tolist(), unit.tolist(), strict=True):
        assert mine < 0 or min(end, units[mine, 1]) > max(start, units[mine, 0])
    assert (share[unit < 0] == 0).all()
    assert (share[unit >= 0] > 0).all()


@pytest.mark.parametrize("name", ["byte-level", "byte-level, trimmed offsets", "WordPiece"])
def test_every_word_of_a_plain_text_has_all_its_tokens(name: str) -> None:
    text = MADE_UP[1]
    spans, units = spans_of(TOKENIZERS[name], text), word_spans(text)
    unit, share = align_units(spans, units, "spread")
    assert set(unit[unit >= 0].tolist()) == set(range(len(units)))
    assert share.sum() == pytest.approx(len(units))
    first, first_share = align_units(spans, units, "first")
    assert [int(np.flatnonzero(unit == each)[0]) for each in range(len(units))] == np.flatnonzero(first >= 0).tolist()
    assert first_share.sum() == len(units)


def align(tokens: list[tuple[int, int]], units: list[tuple[int, int]], policy: Policy = "spread") -> tuple[list, list]:
    unit, share = align_units(np.array(tokens).reshape(-1, 2), np.array(units).reshape(-1, 2), policy)
    assert unit.dtype == np.int32
    assert share.dtype == np.float32
    return unit.tolist(), share.tolist()


def test_spread_divides_a_unit_evenly_and_first_puts_it_on_the_first_token() -> None:
    tokens = [(0, 0), (0, 2), (2, 4), (4, 8), (8, 9), (0, 0)]
    assert align(tokens, [(0, 4), (5, 8)]) == ([-1, 0, 0, 1, -1, -1], [0, 0.5, 0.5, 1, 0, 0])
    assert align(tokens, [(0, 4), (5, 8)], "first") == ([-1, 0, -1, 1, -1, -1], [0, 1, 0, 1, 0, 0])


def test_the_pieces_of_an_emoji_have_one_span_and_share_one_unit() -> None:
    assert align([(0, 1)] * 4, [(0, 1)]) == ([0] * 4, [0.25] * 4)


def test_a_token_over_two_units_goes_to_the_larger_overlap_and_to_the_first_of_equals() -> None:
    assert align([(0, 1), (1, 6), (6, 7)], [(0, 3), (3, 7)])[0] == [0, 1, 1]
    assert align([(0, 1), (2, 4), (4, 5)], [(0, 3), (3, 5)])[0] == [0, 0, 1]


def test_a_token_moves_where_a_unit_would_be_left_without() -> None:
    assert align([(0, 2), (2, 6)], [(0, 5), (5, 6)])[0] == [0, 1]
    # The third unit can be served only if the second token leaves the first unit, through a chain of two moves.
    assert align([(0, 2), (2, 6), (5, 9)], [(0, 5), (5, 8), (8, 9)])[0] == [0, 1, 2]


def test_one_token_over_two_units_serves_one_and_truncated_units_get_none() -> None:
    assert align([(0, 5)], [(0, 2), (3, 5), (6, 9)]) == ([0], [1.0])


def test_empty_sides_are_fine() -> None:
    assert align([], [(0, 2)]) == ([], [])
    assert align([(0, 2)], []) == ([-1], [0.0])


def test_units_out_of_order_and_unknown_policies_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        align([(0, 1)], [(3, 4), (0, 1)])
    with pytest.raises(ValueError, match="middle"):
        align([(0, 1)], [(0, 1)], "middle")  # type: ignore[arg-type]


def most_served(tokens: list[tuple[int, int]], units: list[tuple[int, int]]) -> int:
    choices = [[u for u, (s, e) in enumerate(units) if min(e, end) > max(s, start)] or [-1] for start, end in tokens]
    return max(len(set(picked) - {-1}) for picked in itertools.product(*choices))


segments = st.lists(st.integers(1, 3), min_size=1, max_size=6).map(
    lambda widths: [(end - width, end) for width, end in zip(widths, itertools.accumulate(widths), strict=True)]
)


@settings(deadline=None, max_examples=300)
@given(tokens=segments, units=segments, widen=st.integers(0, 3))
def test_as_many_units_as_possible_are_served(
    tokens: list[tuple[int, int]], units: list[tuple[int, int]], widen: int
) -> None:
    tokens = [(start, end + widen) for start, end in tokens]
    unit, _ = align(tokens, units)
    assert len(set(unit) - {-1}) == most_served(tokens, units)


def test_a_long_text_takes_linear_time() -> None:
    starts = np.arange(0, 2_000_000, 10)
    units = np.stack([starts, starts + 9], axis=1)
    tokens = np.repeat(units, 2, axis=0)
    unit, share = align_units(tokens, units, "spread")  # quadratic would be 8e10 comparisons
    assert np.array_equal(unit, np.arange(len(tokens)) // 2)
    assert (share == 0.5).all()
