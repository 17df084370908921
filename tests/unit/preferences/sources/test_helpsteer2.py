from __future__ import annotations

from typing import Any

import pytest

from gazetune.errors import InputError
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.sources.helpsteer2 import helpsteer2_pairs, single_prompt_pairs
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row


def _converted(*replies: tuple[str, str, Any]) -> list[PreferencePair | Dropped]:
    return list(
        helpsteer2_pairs(
            Row(f"h:{number}", {"prompt": prompt, "response": response, "helpfulness": score, "verbosity": 2})
            for number, (prompt, response, score) in enumerate(replies, start=1)
        )
    )


def test_the_more_helpful_reply_is_chosen_and_the_margin_is_the_difference() -> None:
    (pair,) = _converted(("p", "low", 1), ("p", "high", 4))
    assert isinstance(pair, PreferencePair)
    assert (pair.prompt, pair.chosen, pair.rejected) == ((Message("user", "p"),), "high", "low")
    assert pair.margin == 3
    assert pair.origin == "h:2"


def test_of_several_replies_the_top_stands_against_the_second() -> None:
    (pair,) = _converted(("p", "low", 0), ("p", "second", 3), ("p", "top", 4))
    assert isinstance(pair, PreferencePair)
    assert (pair.chosen, pair.rejected, pair.margin) == ("top", "second", 1)


def test_rows_of_a_prompt_belong_together_even_when_apart() -> None:
    first, second = _converted(("p", "a", 1), ("q", "c", 0), ("p", "b", 2), ("q", "d", 4))
    assert isinstance(first, PreferencePair) and isinstance(second, PreferencePair)
    assert (first.chosen, second.chosen) == ("b", "d")


def test_ties_single_replies_and_identical_replies_are_dropped_with_their_reason() -> None:
    dropped = _converted(
        ("p", "a", 3), ("p", "b", 3), ("q", "c", 1), ("r", "d", 1), ("r", "d", 2), ("s", "", 1), ("s", "e", 2)
    )
    assert [item.reason for item in dropped if isinstance(item, Dropped)] == [
        "tie",
        "single reply",
        "chosen and rejected are identical",
        "empty reply",
    ]


def test_prompts_of_several_turns_become_messages() -> None:
    prompt = "One\n\n<extra_id_1>Assistant\nTwo\n\n<extra_id_1>User\nThree"
    (pair,) = _converted((prompt, "a", 1), (prompt, "b", 2))
    assert isinstance(pair, PreferencePair)
    assert pair.prompt == (Message("user", "One"), Message("assistant", "Two"), Message("user", "Three"))


def test_a_score_that_is_no_number_is_refused_with_its_row() -> None:
    with pytest.raises(InputError, match="h:2: key 'helpfulness' must be a finite number, got 'high'"):
        _converted(("p", "a", 1), ("p", "b", "high"))


def test_a_single_prompt_keeps_the_marks_of_its_turns() -> None:
    prompt = "One\n\n<extra_id_1>Assistant\nTwo\n\n<extra_id_1>User\nThree"
    rows = [{"prompt": prompt, "response": text, "helpfulness": score} for text, score in (("a", 1), ("b", 3))]
    (pair,) = single_prompt_pairs(Row(f"h:{number}", values) for number, values in enumerate(rows, start=1))
    assert isinstance(pair, PreferencePair)
    assert pair.prompt == (Message("user", prompt),)
    assert (pair.chosen, pair.rejected, pair.margin) == ("b", "a", 2)
