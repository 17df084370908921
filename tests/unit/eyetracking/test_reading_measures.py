"""Measures of made-up scanpaths, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gazetune.eyetracking.reading_measures import convert_to_cmcl, measure_words


def measure(path: list[tuple[int, int]], words: int, first_pass_only: bool = False) -> NDArray[np.float64]:
    """Measure (word, milliseconds) fixations."""
    word, ms = zip(*path, strict=True) if path else ((), ())
    return measure_words(np.array(word, dtype=np.int64), np.array(ms) / 1000, words, first_pass_only)


def test_reading_from_left_to_right_makes_all_times_equal() -> None:
    assert measure([(0, 200), (1, 150), (2, 300)], 3) == pytest.approx(
        np.array(
            [
                [1, 200, 200, 200, 100],
                [1, 150, 150, 150, 100],
                [1, 300, 300, 300, 100],
            ]
        )
    )


def test_a_regression_counts_to_the_go_past_time_of_the_word_it_starts_from_and_to_no_other() -> None:
    # 0, 2, back to 1 and 0, 2 again, then past it.
    values = measure([(0, 100), (2, 200), (1, 50), (0, 70), (2, 30), (3, 400)], 4)
    assert values == pytest.approx(
        np.array(
            [
                [2, 100, 100, 170, 100],
                [1, 50, 50 + 70, 50, 100],
                [2, 200, 200 + 50 + 70 + 30, 230, 100],
                [1, 400, 400, 400, 100],
            ]
        )
    )


def test_refixations_count_to_total_and_go_past_time_and_not_to_the_first_duration() -> None:
    assert measure([(0, 100), (0, 60), (0, 40), (1, 90)], 2)[0] == pytest.approx([3, 100, 200, 200, 100])


def test_the_go_past_time_of_the_last_word_runs_to_the_end_of_the_trial() -> None:
    assert measure([(1, 100), (0, 60), (1, 40)], 2)[1] == pytest.approx([2, 100, 200, 140, 100])


def test_a_return_after_moving_past_counts_to_the_total_time_alone() -> None:
    assert measure([(0, 100), (1, 80), (0, 60)], 2)[0] == pytest.approx([2, 100, 100, 160, 100])


def test_a_skipped_word_has_zeros() -> None:
    assert measure([(0, 100), (2, 80)], 3)[1] == pytest.approx([0, 0, 0, 0, 0])


def test_a_word_first_fixated_after_a_later_one_has_no_first_pass() -> None:
    path = [(2, 100), (0, 80), (0, 20), (1, 30), (3, 10)]
    assert measure(path, 4)[0] == pytest.approx([2, 80, 100, 100, 100])
    strict = measure(path, 4, first_pass_only=True)
    assert strict[0] == pytest.approx([2, 0, 0, 100, 100])
    assert strict[1] == pytest.approx([1, 0, 0, 30, 100])
    assert strict[[2, 3]] == pytest.approx(measure(path, 4)[[2, 3]])


def test_fixations_on_no_word_count_nowhere() -> None:
    with_gap = measure([(0, 100), (-1, 500), (0, 20), (1, 70)], 2)
    assert with_gap == pytest.approx(measure([(0, 100), (0, 20), (1, 70)], 2))


def test_no_fixation_gives_zeros() -> None:
    assert measure([], 2) == pytest.approx(np.zeros((2, 5)))


def test_the_shared_task_scale_is_its_published_one() -> None:
    values = convert_to_cmcl(np.array([[7.25, 48.5, 97.0, 485.0, 60.0]]))
    assert values == pytest.approx(np.array([[100.0, 1.0, 2.0, 10.0, 60.0]]))
    assert convert_to_cmcl(np.ones((1, 5)))[0, 0] == pytest.approx(13.793, abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_any_scanpath_has_the_measures_of_a_slow_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = [(int(word), int(ms)) for word, ms in zip(rng.integers(-1, 6, 25), rng.integers(50, 500, 25), strict=True)]
    values = measure(path, 6)
    for word in range(6):
        seen = [ms for each, ms in path if each == word]
        go_past, inside = 0, False
        for each, ms in path:
            inside = inside or each == word
            if each > word and inside:
                break
            go_past += ms if inside and each >= 0 else 0
        expected = [len(seen), seen[0], go_past, sum(seen), 100] if seen else [0] * 5
        assert values[word] == pytest.approx(expected)
        assert values[word, 1] <= values[word, 2] + 1e-9 and values[word, 1] <= values[word, 3] + 1e-9
