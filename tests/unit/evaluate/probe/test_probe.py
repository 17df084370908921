"""The probe finds what is planted, and says so when there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gazetune.config import MEASURES, DataConfig
from gazetune.errors import InputError
from gazetune.evaluate.probe.crossvalidate import divide_into_folds, fit_weights, predict_margins
from gazetune.evaluate.probe.features import ProbeItems, describe_length, describe_pairs
from gazetune.evaluate.probe.run import run_probe
from gazetune.evaluate.probe.sample import draw_known_pairs
from gazetune.gaze.predictors.planted import PlantedPredictor
from gazetune.preferences.pair import PreferencePair
from gazetune.report.probe_wording import probe_rows, state_probe_verdict


@pytest.fixture(scope="module")
def planted() -> tuple[list[PreferencePair], ProbeItems]:
    known = draw_known_pairs(DataConfig(pairs=1200), most=900)
    assert known.total > 900 == len(known.pairs)
    return known.pairs, describe_pairs(known.pairs, known.groups, PlantedPredictor(0))


def _noise(pairs: int, seed: int, groups: NDArray[np.str_] | None = None) -> ProbeItems:
    """Pairs whose length tells a little and whose measures tell nothing."""
    rng = np.random.default_rng(seed)
    words = rng.integers(5, 60, (pairs, 2)).astype(np.int32)
    shorter_first = (rng.random(pairs) < 0.6) == (words[:, 0] < words[:, 1])
    words = np.where(shorter_first[:, None], words, words[:, ::-1])
    names = np.array([f"prompt {row}" for row in range(pairs)]) if groups is None else groups
    return ProbeItems(describe_length(words), rng.normal(size=(pairs, 5, 3)), names)


def test_it_finds_the_measures_that_the_planted_labels_come_from(
    planted: tuple[list[PreferencePair], ProbeItems],
) -> None:
    result = run_probe(planted[1])
    assert result.found and result.measures == ("FFD", "TRT")
    assert result.overall.p < 0.001 and result.overall.difference > 0.2
    assert result.scores["length"].ci95[0] < 0.5 < result.scores["length"].ci95[1]
    verdict = state_probe_verdict(result)
    assert verdict.startswith("Gaze carries something") and "FFD, TRT" in verdict


def test_measures_of_other_pairs_show_nothing_and_it_says_so(planted: tuple[list[PreferencePair], ProbeItems]) -> None:
    items = planted[1]
    order = np.random.default_rng(0).permutation(len(items))
    signs = np.random.default_rng(1).choice([-1.0, 1.0], len(items))
    result = run_probe(ProbeItems(items.length, items.measures[order] * signs[:, None, None], items.groups))
    assert not result.found and result.measures == ()
    verdict = state_probe_verdict(result)
    assert verdict.startswith("Gaze shows nothing about the preference beyond length")
    assert "900 pairs can show gains above about" in verdict


def test_noise_is_seldom_taken_for_something() -> None:
    found = sum(run_probe(_noise(200, seed), by_measure=False).found for seed in range(100))
    assert found <= 8  # 2.5 are expected of 100; more than 8 come once in a thousand times


def test_what_length_tells_is_not_called_gaze() -> None:
    items = _noise(600, seed=3)
    measures = items.measures.copy()
    measures[:, MEASURES.index("TRT"), 2] = items.length[:, 1]  # a total that is the length and nothing more
    result = run_probe(ProbeItems(items.length, measures, items.groups))
    assert result.scores["TRT"].ci95[0] > 0.5
    assert not result.found and result.measures == ()
    assert run_probe(items, by_measure=False).scores["all measures + length"].ci95[0] > 0.5, "length is in it"


def test_a_measure_that_is_the_same_everywhere_is_not_asked_about() -> None:
    items = _noise(200, seed=0)
    measures = items.measures.copy()
    measures[:, MEASURES.index("GPT")] = 0.0
    result = run_probe(ProbeItems(items.length, measures, items.groups))
    assert "GPT" not in result.scores and len(result.comparisons) == 5
    assert [row[0] for row in probe_rows(result)][1:] == list(result.scores)


def test_all_pairs_of_a_group_are_in_one_fold() -> None:
    groups = np.array([f"reader {row % 23}" for row in range(400)])
    fold = divide_into_folds(groups)
    assert all(len(set(fold[groups == name])) == 1 for name in groups)
    assert np.bincount(fold).min() > 60


def test_the_fit_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4)) + np.array([0.5, 0.0, -0.3, 0.1])
    signs = rng.choice([-1.0, 1.0], 300)  # it needs both classes
    model = linear_model.LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10)
    model.fit(features * signs[:, None], signs > 0)
    np.testing.assert_allclose(fit_weights(features), model.coef_[0], atol=1e-4)


def test_margins_change_their_sign_when_the_replies_change_places() -> None:
    features = np.random.default_rng(0).normal(size=(60, 3)) + 0.3
    fold = np.arange(60) % 5
    swapped = features.copy()
    swapped[fold == 0] *= -1
    before, after = predict_margins(features, fold), predict_margins(swapped, fold)
    np.testing.assert_allclose(after[fold == 0], -before[fold == 0])


@pytest.mark.parametrize(("pairs", "groups"), [(30, 30), (60, 3)])
def test_too_few_pairs_or_groups_are_refused(pairs: int, groups: int) -> None:
    names = np.array([str(row % groups) for row in range(pairs)])
    with pytest.raises(InputError, match=f"{pairs} pairs in {groups} groups; accepted: at least 50 pairs in 5 groups"):
        run_probe(_noise(pairs, 0, names))
