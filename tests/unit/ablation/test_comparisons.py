"""Arms are compared by item on their common seeds, and what a control shows too is no gain of gaze."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gazetune.ablation.comparisons import ScoredArm, compare_arms, explain_missing
from gazetune.ablation.measure_shares import share_by_measure
from gazetune.ablation.study.contrasts import Contrast
from gazetune.ablation.verdict import answer_study, judge_arms
from gazetune.evaluate.statistics import adjust_holm, paired_difference, sign_flip_p
from gazetune.report.ablation_document import AnswerRecord, ComparisonRecord
from gazetune.report.ablation_wording import word_verdict

PAIRS = 600
CONTROLS = {"shuffled": "shuffled", "noise": "noise"}
CONTRASTS = [
    Contrast("real", "none", "gaze"),
    Contrast("real", "shuffled", "gaze"),
    Contrast("real", "noise", "gaze"),
    Contrast("shuffled", "none", "control"),
    Contrast("noise", "none", "control"),
]


def scored_arm(accuracy: float, seeds: int = 3, pairs: int = PAIRS, first_seed: int = 0) -> ScoredArm:
    """An arm whose cells are right on the given share of the pairs, and mostly on the same ones."""
    rng = np.random.default_rng(round(1000 * accuracy))
    ease = np.random.default_rng(0).random(pairs)
    correct = {
        seed: ((ease < accuracy) ^ (rng.random(pairs) < 0.05)).astype(np.float64)
        for seed in range(first_seed, first_seed + seeds)
    }
    items: NDArray[np.str_] = np.array([f"item {number}" for number in range(pairs)])
    return ScoredArm(items, np.array([f"prompt {number // 2}" for number in range(pairs)]), correct)


def judged(real: float, shuffled: float, noise: float, pairs: int = PAIRS) -> tuple[AnswerRecord, str]:
    accuracies = {"none": 0.6, "real": real, "shuffled": shuffled, "noise": noise}
    arms = {name: scored_arm(accuracy, pairs=pairs) for name, accuracy in accuracies.items()}
    comparisons = compare_arms(CONTRASTS, arms)
    (answer,) = judge_arms(comparisons, CONTROLS)
    return answer, word_verdict([answer], comparisons)


def test_a_difference_is_that_of_the_means_over_seeds_and_its_p_is_grouped_by_prompt_and_one_sided() -> None:
    real, none = scored_arm(0.8), scored_arm(0.6)
    (found,) = compare_arms([Contrast("real", "none", "gaze")], {"real": real, "none": none})
    one, other = (np.mean(list(arm.correct.values()), axis=0) for arm in (real, none))
    expected = paired_difference(one, other, groups=real.groups)
    assert (found.difference, found.ci95) == (expected.difference, (expected.low, expected.high))
    assert found.p == sign_flip_p(one, other, "greater", groups=real.groups)
    assert (found.n, found.seeds, found.seeds_p) == (PAIRS, 3, None)
    assert np.mean(found.by_seed) == pytest.approx(found.difference)


def test_p_is_corrected_within_each_purpose_alone() -> None:
    accuracies = {"none": 0.6, "real": 0.63, "shuffled": 0.61, "noise": 0.6}
    arms = {name: scored_arm(accuracy) for name, accuracy in accuracies.items()}
    found = compare_arms(CONTRASTS, arms)
    for purpose in ("gaze", "control"):
        family = [each for each in found if each.purpose == purpose]
        assert [each.p_adjusted for each in family] == adjust_holm([each.p for each in family]).tolist()


def test_only_seeds_that_both_arms_have_are_compared() -> None:
    arms = {"real": scored_arm(0.8, seeds=3), "none": scored_arm(0.6, seeds=3, first_seed=2)}
    (found,) = compare_arms([CONTRASTS[0]], arms)
    assert found.seeds == 1 and found.seeds_interval is None
    arms["none"] = scored_arm(0.6, first_seed=7)
    assert compare_arms([CONTRASTS[0]], arms) == ()
    assert explain_missing(CONTRASTS[0], arms) == "they have no seed in common"


def test_arms_on_other_pairs_are_not_compared_and_it_is_said_how_many_are_shared() -> None:
    arms = {"real": scored_arm(0.8), "none": scored_arm(0.6, pairs=PAIRS - 100)}
    assert compare_arms([CONTRASTS[0]], arms) == ()
    assert explain_missing(CONTRASTS[0], arms) == "their test pairs differ: 500 are shared, of 600 and 500"


def test_no_p_over_seeds_below_eight() -> None:
    for seeds, has_p in ((7, False), (8, True)):
        arms = {"real": scored_arm(0.8, seeds), "none": scored_arm(0.6, seeds)}
        (found,) = compare_arms([CONTRASTS[0]], arms)
        assert (found.seeds_p is not None) == has_p


def test_a_gain_that_no_control_shows_is_supported() -> None:
    answer, verdict = judged(0.8, 0.6, 0.61)
    assert (answer.answer, answer.controls) == ("supported", ("shuffled", "noise"))
    assert verdict.startswith("Supported: gaze helps") and "beats shuffled and noise too" in verdict


def test_a_gain_that_a_control_shows_too_is_no_gain_of_gaze() -> None:
    answer, verdict = judged(0.8, 0.6, 0.79)
    assert (answer.answer, answer.matching_control) == ("not supported", "noise")
    assert verdict.startswith("Not supported") and "A gain that a control shows too is no gain of gaze" in verdict


def test_a_control_with_more_than_a_third_of_the_gain_denies_it_though_gaze_beats_it() -> None:
    answer, _ = judged(0.8, 0.6, 0.7)
    assert (answer.answer, answer.matching_control) == ("not supported", "noise")


def test_a_control_counts_by_its_gain_over_the_same_arm_without_gaze() -> None:
    accuracies = {"none": 0.6, "none, tuned": 0.7, "real": 0.8, "noise": 0.7}
    arms = {name: scored_arm(accuracy) for name, accuracy in accuracies.items()}
    contrasts = [*CONTRASTS[:1], *CONTRASTS[2:3], *CONTRASTS[4:], Contrast("noise", "none, tuned", "control")]
    (answer,) = judge_arms(compare_arms(contrasts, arms), CONTROLS)
    assert (answer.answer, answer.matching_control) == ("not supported", "noise")


def test_few_pairs_leave_the_question_open_and_it_is_said_how_many_it_would_take() -> None:
    answer, verdict = judged(0.62, 0.6, 0.6, pairs=60)
    assert answer.answer == "cannot tell"
    assert verdict.startswith("Cannot tell") and "takes about" in verdict


def test_many_pairs_without_a_gain_deny_it() -> None:
    answer, verdict = judged(0.6, 0.6, 0.6, pairs=40_000)
    assert answer.answer == "not supported" and verdict.startswith("Not supported: gaze gains less than a point")


def test_a_study_is_supported_when_one_of_its_arms_is() -> None:
    unknown = AnswerRecord("add", "cannot tell", "none", (), None)
    assert answer_study([unknown]) == "cannot tell"
    assert answer_study([unknown, replace(unknown, answer="supported")]) == "supported"
    assert answer_study([unknown, replace(unknown, answer="not supported")]) == "cannot tell"


def test_without_a_control_the_verdict_says_that_none_was_trained() -> None:
    arms = {"real": scored_arm(0.8), "none": scored_arm(0.6)}
    comparisons: tuple[ComparisonRecord, ...] = compare_arms([CONTRASTS[0]], arms)
    assert "No control was trained" in word_verdict(judge_arms(comparisons, {}), comparisons)


def test_the_measures_that_raise_accuracy_have_the_largest_shares() -> None:
    names = ("nFix", "FFD", "GPT", "TRT", "fixProp")
    masks = [[name for bit, name in enumerate(names) if number >> bit & 1] for number in range(1, 32)]
    rng = np.random.default_rng(0)
    accuracies = [0.6 + 0.1 * ("FFD" in mask) + 0.08 * ("TRT" in mask) + rng.normal(0, 0.01) for mask in masks]
    shares = share_by_measure(masks, accuracies)
    assert list(shares)[:2] == ["FFD", "TRT"] and sum(shares.values()) == pytest.approx(1)
    assert share_by_measure([["FFD"], ["TRT"]], [0.7, 0.6]) == {}, "two masks do not tell two measures apart"
