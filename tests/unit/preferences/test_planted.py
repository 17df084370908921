from __future__ import annotations

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from gazetune.config import MEASURES
from gazetune.gaze.predictors.planted import PLANTED_MEAN, PLANTED_SD, planted_measures
from gazetune.preferences.pair import PreferencePair, collect_margins
from gazetune.preferences.planted import TERMS, WEIGHTS, PlantedData, compute_reply_terms, make_planted_data
from gazetune.preferences.planted_words import ADJECTIVES, DEFINITE, HEDGING, NOUNS, VERBS

SEED = 5


@pytest.fixture(scope="module")
def large() -> PlantedData:
    return make_planted_data(12000, SEED)


@pytest.fixture(scope="module")
def differences(large: PlantedData) -> NDArray[np.float64]:
    """Chosen minus rejected, [pairs, 6]."""
    terms = [[compute_reply_terms(reply, SEED) for reply in (pair.chosen, pair.rejected)] for pair in large.pairs]
    return (np.array(terms)[:, 0] - np.array(terms)[:, 1]) / np.sqrt(2)


def _fitted(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximum-likelihood weights of P(chosen over rejected) = sigmoid(w . difference)."""

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = differences @ weights
        return float(np.logaddexp(0, -score).mean()), -(expit(-score) @ differences) / len(differences)

    return np.asarray(minimize(loss, np.zeros(differences.shape[1]), jac=True).x)


@pytest.mark.parametrize("seen", ["text", "text+FFD", "text+TRT", "text+GPT", "text+FFD+TRT", "text+all"])
def test_logistic_regression_on_the_true_terms_reaches_the_bayes_accuracy(
    large: PlantedData, differences: NDArray[np.float64], seen: str
) -> None:
    columns = [TERMS.index(term) for term in (TERMS if seen == "text+all" else seen.split("+"))]
    train, test = differences[:9000, columns], differences[9000:, columns]
    score = test @ _fitted(train)
    accuracy = np.mean(score > 0) + 0.5 * np.mean(score == 0)
    assert accuracy == pytest.approx(large.bayes[seen], abs=3 * np.sqrt(0.25 / len(test)))


def test_fitted_weights_are_the_planted_ones(differences: NDArray[np.float64]) -> None:
    assert _fitted(differences) == pytest.approx(WEIGHTS, abs=0.15)


def test_margins_are_the_rules_difference_with_the_logistic_noise_of_the_labels(
    large: PlantedData, differences: NDArray[np.float64]
) -> None:
    margins = collect_margins(large.pairs).astype(np.float64)
    assert margins.min() >= 0 and np.isfinite(margins).all()
    # Chosen minus rejected on both sides: a label that disagreed with its margin's sign would pull the weights to 0.
    weights = np.linalg.lstsq(differences, margins, rcond=None)[0]
    assert weights == pytest.approx(WEIGHTS, abs=0.15)
    assert np.sqrt(np.mean((margins - differences @ WEIGHTS) ** 2)) == pytest.approx(np.pi / np.sqrt(3), rel=0.02)


def test_label_does_not_depend_on_the_noise_measures(differences: NDArray[np.float64]) -> None:
    for name in ("nFix", "GPT", "fixProp"):
        column = differences[:, TERMS.index(name)]
        assert abs(column.mean()) < 4 / np.sqrt(len(column))
    for name in ("FFD", "TRT"):
        assert differences[:, TERMS.index(name)].mean() > 0.4


def test_noise_measures_have_the_scale_of_the_others(differences: NDArray[np.float64]) -> None:
    assert np.sqrt((differences**2).mean(axis=0)) == pytest.approx(np.ones(6), abs=0.05)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_bayes_accuracies_are_the_intended_ones(seed: int) -> None:
    bayes = make_planted_data(3000, seed).bayes
    assert list(bayes) == ["text", *(f"text+{name}" for name in MEASURES), "text+FFD+TRT", "text+all"]
    assert bayes["text"] == pytest.approx(0.65, abs=0.01)
    assert bayes["text+FFD+TRT"] == pytest.approx(0.88, abs=0.01)
    assert bayes["text+all"] == bayes["text+FFD+TRT"]
    for name in ("FFD", "TRT"):
        assert 0.74 < bayes[f"text+{name}"] < 0.79
    for name in ("nFix", "GPT", "fixProp"):
        assert bayes[f"text+{name}"] == bayes["text"]


def test_lengths_carry_no_signal(large: PlantedData) -> None:
    for length in (len, lambda reply: len(reply.split())):
        longer = np.array([length(pair.chosen) - length(pair.rejected) for pair in large.pairs])
        share = np.mean(longer[longer != 0] > 0)
        assert share == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / np.count_nonzero(longer)))


def test_marked_adverbs_of_both_classes_have_the_same_lengths() -> None:
    assert sorted(map(len, DEFINITE)) == sorted(map(len, HEDGING))
    assert not set(DEFINITE + HEDGING) & set(ADJECTIVES + VERBS + NOUNS)


def test_nothing_of_the_text_predicts_its_gaze(large: PlantedData) -> None:
    replies = [pair.chosen for pair in large.pairs[:4000]] + [pair.rejected for pair in large.pairs[:4000]]
    terms = np.array([compute_reply_terms(reply, SEED) for reply in replies])
    described = np.stack([terms[:, 0], [len(reply) for reply in replies], [len(reply.split()) for reply in replies]])
    for column in range(1, 6):
        correlations = np.corrcoef(np.vstack([terms[:, column], described]))[0, 1:]
        assert np.abs(correlations).max() < 4.5 / np.sqrt(len(replies))
    # The smallest change of a text draws its measures anew.
    reply = replies[0]
    assert not np.isclose(planted_measures(reply, SEED), planted_measures(reply + " ", SEED), rtol=1e-3).any()


def test_gaze_terms_are_standardised_means_of_the_predictors_measures(large: PlantedData) -> None:
    reply = large.pairs[0].chosen
    expected = (planted_measures(reply, SEED).mean(axis=0) - PLANTED_MEAN) / (PLANTED_SD / np.sqrt(24))
    assert compute_reply_terms(reply, SEED)[1:] == pytest.approx(expected, abs=1e-4)


def test_text_term_counts_definite_less_hedging_adverbs() -> None:
    assert compute_reply_terms("It surely holds. Maybe it truly holds.", 0)[0] == pytest.approx(1 / np.sqrt(6))


def test_replies_are_sentences_of_about_24_readable_words(large: PlantedData) -> None:
    replies = [reply for pair in large.pairs[:500] for reply in (pair.chosen, pair.rejected)]
    counts = [len(reply.split()) for reply in replies]
    assert set(counts) <= set(range(21, 28))
    assert np.mean(counts) == pytest.approx(24, abs=0.3)
    assert all(reply.isascii() and reply.replace(".", "").replace(" ", "").isalpha() for reply in replies)
    assert all(sentence[0].isupper() for reply in replies for sentence in reply.rstrip(".").split(". "))


def test_vocabulary_is_large() -> None:
    pairs = make_planted_data(3000, 0).pairs
    words = {word.strip(".?").lower() for pair in pairs for word in f"{pair.chosen} {pair.rejected}".split()}
    assert 3000 < len(words) < 8000
    assert len(set(NOUNS)) == len(NOUNS)


def _digest(pairs: tuple[PreferencePair, ...]) -> str:
    return hashlib.sha256(repr(pairs).encode()).hexdigest()


def test_same_seed_gives_the_same_pairs_in_another_process() -> None:
    program = (
        "import hashlib; from gazetune.preferences.planted import make_planted_data; "
        "print(hashlib.sha256(repr(make_planted_data(50, 7).pairs).encode()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == _digest(make_planted_data(50, 7).pairs)


def test_another_seed_gives_other_pairs() -> None:
    texts = [
        {reply for pair in make_planted_data(200, seed).pairs for reply in (pair.chosen, pair.rejected)}
        for seed in (0, 1)
    ]
    assert not texts[0] & texts[1]


def test_fewer_pairs_are_the_beginning_of_more() -> None:
    assert make_planted_data(20, 3).pairs == make_planted_data(60, 3).pairs[:20]


def test_generation_takes_little_time() -> None:
    start = time.process_time()
    make_planted_data(3000, 11)
    assert time.process_time() - start < 5
