from __future__ import annotations

import numpy as np
import pytest

from gazetune.gaze.predictors.planted import PLANTED_MEAN, PLANTED_SD, PlantedPredictor, planted_measures


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    texts = [f"{number} " + "word " * 99 for number in range(2000)]
    return np.stack([planted_measures(text, 7) for text in texts])  # [texts, words, 5]


def test_mean_and_standard_deviation_are_the_published_ones(many: np.ndarray) -> None:
    values = many.reshape(-1, 5)
    assert values.mean(axis=0) == pytest.approx(PLANTED_MEAN, rel=0.01)
    assert values.std(axis=0) == pytest.approx(PLANTED_SD, rel=0.02)
    assert (values > 0).all()
    assert (values[:, 4] < 100).all()


def test_measures_of_a_word_are_uncorrelated(many: np.ndarray) -> None:
    ranks = many.reshape(-1, 5).argsort(axis=0).argsort(axis=0)
    off_diagonal = np.corrcoef(ranks.T) - np.eye(5)
    assert np.abs(off_diagonal).max() < 0.01


def test_words_of_a_text_and_same_places_of_two_texts_are_uncorrelated(many: np.ndarray) -> None:
    for first, second in ((many[:, 1:], many[:, :-1]), (many[1:], many[:-1])):
        for measure in range(5):
            assert abs(np.corrcoef(first[..., measure].ravel(), second[..., measure].ravel())[0, 1]) < 0.01


def test_values_depend_on_text_and_seed_only() -> None:
    assert np.array_equal(planted_measures("some words here", 3), planted_measures("some words here", 3))
    assert (planted_measures("some words here", 3) != planted_measures("some words here", 4)).all()
    assert (planted_measures("some words here", 3) != planted_measures("some words there", 3)).all()


def test_values_are_frozen() -> None:
    # Planted labels and stores made by an earlier version stay valid only while these stand.
    expected = np.array(
        [[28.827703, 1.817224, 3.835852, 4.567541, 98.959366], [9.664996, 4.940164, 7.015403, 2.061328, 56.096134]]
    )
    assert planted_measures("frozen for good", 0)[[0, 2]] == pytest.approx(expected, rel=1e-6)


def test_predictor_gives_one_unit_a_word() -> None:
    first, empty, last = PlantedPredictor(5).predict(["two words", "", "three more words"])
    assert first.spans.tolist() == [[0, 3], [4, 9]]
    assert first.words.tolist() == [0, 1]
    assert np.array_equal(last.values, planted_measures("three more words", 5))
    assert empty.values.shape == (0, 5)
