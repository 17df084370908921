from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gazetune.errors import InputError
from gazetune.evaluate.comparison import compare_runs
from gazetune.evaluate.margins import Margins
from gazetune.search.baselines import compare_correctness

PAIRS = 200
ITEMS = np.array([f"item {number:03d}" for number in range(PAIRS)])
GROUPS = np.array([f"prompt {number:03d}" for number in range(PAIRS)])


def run_that_is_right(correct: np.ndarray, items: np.ndarray = ITEMS, groups: np.ndarray = GROUPS) -> Margins:
    rewards = np.stack([np.where(correct, 1.0, -1.0), np.zeros(len(correct))], axis=1)
    return Margins(items, groups, rewards, np.full((len(correct), 2), 5, dtype=np.int32))


def draw(share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(PAIRS) < share


def test_figures_are_those_of_a_short_computation() -> None:
    a, b, c = draw(0.8, 0), draw(0.6, 1), draw(0.75, 2)
    found = compare_runs({name: [run_that_is_right(right)] for name, right in {"a": a, "b": b, "c": c}.items()})
    assert [run.accuracy for run in found.runs] == [a.mean(), b.mean(), c.mean()]
    ab, ac = found.pairs
    assert (ab.first, ab.second, ac.second) == ("a", "b", "c") and (found.n, found.left_out) == (PAIRS, 0)
    differences = a.astype(float) - b
    assert ab.difference == pytest.approx(differences.mean())
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    assert ab.p == pytest.approx(stats.binomtest(better, better + worse).pvalue)
    assert ab.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))
    bootstrap = stats.bootstrap((differences,), np.mean, rng=np.random.default_rng(3))
    assert ab.ci95 == pytest.approx(tuple(bootstrap.confidence_interval), abs=0.01)
    assert (ab.p_adjusted, ac.p_adjusted) == pytest.approx((2 * ab.p, max(2 * ab.p, ac.p)))


def test_items_are_matched_by_their_keys_and_not_by_their_place() -> None:
    a, order = draw(0.7, 0), np.random.default_rng(5).permutation(PAIRS)
    shuffled = run_that_is_right(a[order], ITEMS[order], GROUPS[order])
    (pair,) = compare_runs({"a": [run_that_is_right(a)], "b": [shuffled]}).pairs
    # Of pairs that are matched wrongly the difference is 0, too, but not that of every pair.
    assert pair.difference == 0 and pair.ci95 == (0.0, 0.0)


def test_a_pair_that_stands_twice_counts_twice() -> None:
    a, b = draw(0.8, 0), draw(0.6, 1)
    items = np.array([f"item {number // 2:03d}" for number in range(PAIRS)])
    found = compare_runs({name: [run_that_is_right(right, items)] for name, right in {"a": a, "b": b}.items()})
    assert (found.n, found.left_out) == (PAIRS, 0)
    assert found.pairs[0].difference == pytest.approx(a.mean() - b.mean())


def test_what_pairs_can_show_of_means_over_seeds_is_what_a_search_says_of_them() -> None:
    runs = {
        name: [draw(share, seed) for seed in seeds] for name, share, seeds in (("a", 0.8, (0, 1)), ("b", 0.6, (2, 3)))
    }
    (pair,) = compare_runs({name: [run_that_is_right(each) for each in its] for name, its in runs.items()}).pairs
    mean = {name: np.mean(its, axis=0) for name, its in runs.items()}
    searched = compare_correctness(mean["a"], mean["b"], GROUPS, is_averaged=True)
    assert (pair.detectable, pair.pairs_needed, pair.p) == (searched.detectable, searched.pairs_needed, searched.p)


def test_runs_with_other_items_are_refused_with_how_many_are_shared() -> None:
    a, b = run_that_is_right(draw(0.7, 0)), run_that_is_right(draw(0.6, 1))
    fewer = Margins(b.items[:150], b.groups[:150], b.rewards[:150], b.words[:150])
    with pytest.raises(InputError, match=r"other items \(a 200, b 150\), of which 150 are shared; --shared"):
        compare_runs({"a": [a], "b": [fewer]})
    found = compare_runs({"a": [a], "b": [fewer]}, shared=True)
    assert (found.n, found.left_out) == (150, 50)
    assert found.runs[0].accuracy == a.correctness[:150].mean()
    other = Margins(np.char.add(b.items, "x"), b.groups, b.rewards, b.words)
    with pytest.raises(InputError, match=r"of which 0 are shared$"):
        compare_runs({"a": [a], "b": [other]}, shared=True)


def test_an_arm_is_the_mean_of_its_seeds_item_by_item() -> None:
    seeds = [draw(0.7, seed) for seed in range(3)]
    found = compare_runs({"a": [run_that_is_right(right) for right in seeds], "b": [run_that_is_right(draw(0.5, 9))]})
    assert found.runs[0].seeds == 3
    assert found.runs[0].accuracy == pytest.approx(np.mean(seeds))
    assert 0 < found.pairs[0].p < 0.05


def test_pairs_of_one_prompt_widen_the_interval() -> None:
    together = np.repeat(GROUPS[::10], 10)
    a, b = np.repeat(draw(0.8, 0)[:20], 10), np.repeat(draw(0.5, 1)[:20], 10)

    def width(groups: np.ndarray) -> float:
        compared = {"a": [run_that_is_right(a, groups=groups)], "b": [run_that_is_right(b, groups=groups)]}
        low, high = compare_runs(compared).pairs[0].ci95
        return high - low

    assert width(together) > 2 * width(GROUPS)


def test_a_margin_that_is_no_number_has_no_accuracy() -> None:
    broken = run_that_is_right(draw(0.7, 0))
    broken.rewards[4, 0] = np.nan
    with pytest.raises(InputError, match="b: 1 margins are NaN"):
        compare_runs({"a": [run_that_is_right(draw(0.7, 0))], "b": [broken]})
