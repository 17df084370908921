"""When trials that FAIL for one reason end a search, and when they do not."""

from __future__ import annotations

import pytest

from gazetune.search.stopping.repeated_failures import RepeatedFailures


def verdict_after(limit: int | None, *ends: str | None) -> str | None:
    failures = RepeatedFailures(limit)
    for end in ends:
        failures.count_trial(end)
    return failures.verdict


def test_the_first_three_for_one_reason_end_the_search_whatever_their_numbers() -> None:
    reasons = ("step 3: the loss is nan (0x7f3a, 1e-5)", "step 12: the loss is nan (0x11, -2.5)")
    assert verdict_after(None, *reasons) is None
    last = "step 7: the loss is nan (0xab, 30)"
    assert verdict_after(None, *reasons, last) == f"the first 3 trials FAILed for the same reason: {last}"


@pytest.mark.parametrize("ends", [("a", "b", "a"), ("a", None, "a"), (None, "a", "a", "a")])
def test_other_reasons_and_trials_that_did_not_fail_are_no_first_three(ends: tuple[str | None, ...]) -> None:
    assert verdict_after(None, *ends) is None


def test_more_than_three_in_ten_for_one_reason_end_the_search() -> None:
    good: list[str | None] = [None] * 6
    assert verdict_after(None, *good, "a", "a", "a") is None
    assert verdict_after(None, *good, "a", "a", "a", "a") == "4 of 10 trials FAILed for the same reason: a"
    assert verdict_after(None, *good, "a", "a", "a", "b") is None, "b is another reason"
    assert verdict_after(None, *good, None, "a", "a", "a") is None, "30 % is not more than 30 %"


def test_a_limit_replaces_the_rule() -> None:
    assert verdict_after(3, "a", "a", "a") is None
    assert verdict_after(3, "a", "a", None, "a", "a") == "4 trials FAILed for the same reason: a"
    assert verdict_after(0, "a") == "1 trials FAILed for the same reason: a"
    assert verdict_after(1, *"abcdefgh") is None


def test_the_first_verdict_stays() -> None:
    assert verdict_after(1, "a", "a", "b", "b") == "2 trials FAILed for the same reason: a"
