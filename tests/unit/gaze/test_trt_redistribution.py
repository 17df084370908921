from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetune.config import MEASURES
from gazetune.gaze.measures import FlatGaze
from gazetune.gaze.trt_redistribution import redistribute_trt

TRT = MEASURES.index("TRT")


def gaze_of(texts: list[list[tuple[int, float]]]) -> FlatGaze:
    """Return texts, each a list of (word, TRT) for its units; the other measures are random."""
    units = [unit for text in texts for unit in text]
    values = np.random.default_rng(len(units)).random((len(units), 5), dtype=np.float32)
    values[:, TRT] = [trt for _, trt in units]
    words = np.array([word for word, _ in units], dtype=np.int32)
    offsets = np.cumsum([0, *(len(text) for text in texts)])
    return FlatGaze(np.zeros((len(units), 2), np.int32), values, words, offsets)


def moved(texts: list[list[tuple[int, float]]], sigma: tuple[float, float]) -> list[float]:
    return redistribute_trt(gaze_of(texts), sigma)[:, TRT].tolist()


def plain(text: list[tuple[int, float]], sigma: tuple[float, float]) -> list[float]:
    """Return the new TRT of a text's units, word by word and share by share."""
    words = sorted({word for word, _ in text})
    total = {word: sum(trt for its, trt in text if its == word) for word in words}
    new = dict.fromkeys(words, 0.0)
    for giver in words:
        weights = {}
        for taker in words:
            deviation = sigma[0] if taker < giver else sigma[1]
            distance = abs(taker - giver)
            if distance == 0:
                weights[taker] = 1.0
            elif distance <= 4 * deviation:
                weights[taker] = math.exp(-(distance**2) / (2 * deviation**2))
        for taker, weight in weights.items():
            new[taker] += total[giver] * weight / sum(weights.values())
    units = {word: sum(its == word for its, _ in text) for word in words}
    return [new[word] * (trt / total[word] if total[word] else 1 / units[word]) for word, trt in text]


unit_lists = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.5, 3.0, 11.0])), max_size=15).map(sorted)
deviations = st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.5, 40.0])


@settings(deadline=None, max_examples=300)
@given(texts=st.lists(unit_lists, min_size=1, max_size=4), sigma=st.tuples(deviations, deviations))
def test_it_is_the_plain_computation_and_conserves_every_texts_sum(
    texts: list[list[tuple[int, float]]], sigma: tuple[float, float]
) -> None:
    gaze = gaze_of(texts)
    found = redistribute_trt(gaze, sigma)
    assert found.dtype == np.float32
    assert found[:, TRT] == pytest.approx([value for text in texts for value in plain(text, sigma)], rel=1e-5, abs=1e-7)
    for start, stop in zip(gaze.offsets[:-1], gaze.offsets[1:], strict=True):
        assert found[start:stop, TRT].sum() == pytest.approx(gaze.values[start:stop, TRT].sum(), rel=1e-5)
    others = [column for column in range(5) if column != TRT]
    assert np.array_equal(found[:, others], gaze.values[:, others])


def test_each_side_has_its_own_width_and_a_side_of_zero_gets_nothing() -> None:
    text = [[(0, 0.0), (1, 0.0), (2, 8.0), (3, 0.0), (4, 0.0)]]
    near, far = math.exp(-1 / 2), math.exp(-4 / 2)
    whole = 1 + near + far
    assert moved(text, (0.0, 1.0)) == pytest.approx([0, 0, 8 / whole, 8 * near / whole, 8 * far / whole])
    assert moved(text, (1.0, 0.0)) == pytest.approx([8 * far / whole, 8 * near / whole, 8 / whole, 0, 0])
    assert moved(text, (0.0, 0.0)) == [0, 0, 8, 0, 0]


def test_nothing_is_given_to_words_without_measures_or_to_other_texts() -> None:
    far = math.exp(-4 / 2)
    assert moved([[(0, 6.0), (2, 0.0)]], (1.0, 1.0)) == pytest.approx([6 / (1 + far), 6 * far / (1 + far)])
    assert moved([[(0, 6.0)], [(0, 0.0)], [(0, 1.0)]], (9.0, 9.0)) == pytest.approx([6, 0, 1])


def test_the_units_of_a_word_keep_their_proportions_and_share_evenly_where_all_had_none() -> None:
    near = math.exp(-1 / 2)
    found = moved([[(0, 3.0), (0, 1.0), (1, 0.0), (1, 0.0)]], (1.0, 1.0))
    given_away = 4 * near / (1 + near)
    assert found == pytest.approx([(4 - given_away) * 0.75, (4 - given_away) * 0.25, given_away / 2, given_away / 2])


def test_the_input_stays_as_it_was() -> None:
    gaze = gaze_of([[(0, 1.0), (1, 2.0)]])
    before = gaze.values.copy()
    redistribute_trt(gaze, (2.0, 2.0))
    assert np.array_equal(gaze.values, before)


def test_a_long_text_takes_linear_time() -> None:
    words = np.arange(300_000, dtype=np.int32)
    values = np.ones((len(words), 5), np.float32)
    gaze = FlatGaze(np.zeros((len(words), 2), np.int32), values, words, np.array([0, len(words)]))
    found = redistribute_trt(gaze, (1.0, 2.0))  # quadratic would be 9e10 weights
    assert found[100:-100, TRT] == pytest.approx(np.ones(len(words) - 200))
