from __future__ import annotations

import numpy as np
import pytest

from gazetune.gaze.controls import add_noise, apply_control, training_statistics

COUNTS = np.array([3, 0, 5, 2, 7, 1, 4, 4])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])
OWNER = np.repeat(np.arange(8), COUNTS)
# The first measure names the text, the second the place in it: a result tells where it came from.
VALUES = np.stack([OWNER, np.arange(26) - OFFSETS[OWNER], *np.random.default_rng(0).random((3, 26))], axis=1).astype(
    np.float32
)
SPLITS = {"train": np.array([0, 1, 2, 3, 4]), "test": np.array([5, 6, 7])}


def control(kind: str, seed: int = 0) -> np.ndarray:
    return apply_control(kind, VALUES, OFFSETS, SPLITS, SPLITS["train"], seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_gives_each_text_another_text_of_its_split_cycled_to_length(seed: int) -> None:
    result = control("shuffled", seed)
    for text, count in enumerate(COUNTS):
        units = result[OFFSETS[text] : OFFSETS[text + 1]]
        if not count:
            continue
        donor = int(units[0, 0])
        assert donor != text
        assert (donor in SPLITS["train"]) == (text in SPLITS["train"])
        expected = np.resize(VALUES[OFFSETS[donor] : OFFSETS[donor + 1]], (count, 5))
        assert np.array_equal(units, expected)


def test_shuffled_uses_each_text_once() -> None:
    donors = control("shuffled")[OFFSETS[:-1][COUNTS > 0], 0]
    assert sorted(donors.tolist()) == [0, 2, 3, 4, 5, 6, 7]


def test_shuffled_leaves_a_lone_text_and_shuffles_texts_of_no_split_among_themselves() -> None:
    result = apply_control("shuffled", VALUES, OFFSETS, {"train": np.array([0])}, np.array([0]), 0)
    assert np.array_equal(result[:3], VALUES[:3])
    assert (result[3:, 0] != VALUES[3:, 0]).all()
    assert (result[3:, 0] != 0).all()


def test_noise_draws_each_measure_by_itself_from_training_values() -> None:
    result = control("noise")
    train = VALUES[:17]
    for measure in range(5):
        assert set(result[:, measure]) <= set(train[:, measure])
    whole_vectors = {tuple(vector) for vector in train.tolist()}
    assert sum(tuple(vector) in whole_vectors for vector in result.tolist()) < 5


def test_noise_has_the_training_means() -> None:
    values = np.random.default_rng(1).gamma(2.0, 3.0, (20000, 5)).astype(np.float32)
    offsets = np.arange(0, 20001, 10)
    train = np.arange(500)
    result = apply_control("noise", values, offsets, {"train": train}, train, 3)
    assert result.mean(axis=0) == pytest.approx(values[:5000].mean(axis=0), rel=0.03)
    assert np.abs(np.corrcoef(result.T) - np.eye(5)).max() < 0.03


def test_constant_is_the_training_mean_everywhere() -> None:
    result = control("constant")
    assert result == pytest.approx(np.tile(VALUES[:17].mean(axis=0), (26, 1)))


@pytest.mark.parametrize("kind", ["shuffled", "noise"])
def test_controls_are_deterministic_in_the_seed(kind: str) -> None:
    assert np.array_equal(control(kind, 2**63 - 1), control(kind, 2**63 - 1))
    assert not np.array_equal(control(kind, 1), control(kind, 2))


def test_no_control_changes_nothing_and_controls_leave_their_input_alone() -> None:
    before = VALUES.copy()
    assert control("none") is VALUES
    for kind in ("shuffled", "noise", "constant"):
        assert control(kind).dtype == np.float32
    assert np.array_equal(VALUES, before)


def test_unknown_control_and_missing_training_units_are_refused() -> None:
    with pytest.raises(ValueError, match="constantly"):
        control("constantly")
    with pytest.raises(ValueError, match="training split"):
        apply_control("constant", VALUES, OFFSETS, SPLITS, np.array([1]), 0)


def test_added_noise_has_the_asked_spread_and_is_cut_off_at_zero() -> None:
    values = np.full((20000, 5), 50.0, np.float32)
    noisy = add_noise(values, 2.0, 0)
    assert noisy.std() == pytest.approx(2.0, rel=0.03)
    assert noisy.mean() == pytest.approx(50.0, abs=0.05)
    assert add_noise(np.zeros((100, 5), np.float32), 2.0, 0).min() == 0.0
    assert np.array_equal(noisy, add_noise(values, 2.0, 0))
    assert np.array_equal(add_noise(VALUES, 0.0, 0), VALUES)


def test_statistics_are_safe_to_divide_by() -> None:
    values = np.array([[1, 4, 0, 0, 0.1], [3, 4, 0, 0, 0.1]], np.float32)
    mean, sd = training_statistics(values)
    assert mean == pytest.approx([2, 4, 0, 0, 0.1])
    assert sd.tolist() == [1, 1, 1, 1, 1]
    assert training_statistics(values * [5, 1, 1, 1, 1])[1][0] == 5
    assert training_statistics(values[:0])[1].tolist() == [1] * 5
