from __future__ import annotations

from typing import Any

import pytest

from gazetune.errors import InputError
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.sources.ultrafeedback import ultrafeedback_pairs


def _converted(completions: Any) -> PreferencePair | Dropped:
    (item,) = ultrafeedback_pairs([Row("u:1", {"instruction": "Do.", "completions": completions, "models": []})])
    return item


def _completion(response: str, overall: float | None, fine: float | None = 1.0) -> dict[str, Any]:
    return {"response": response, "overall_score": overall, "fine-grained_score": fine, "model": "m"}


def test_the_best_completion_stands_against_the_worst() -> None:
    pair = _converted([_completion("b", 6.5), _completion("d", 9), _completion("a", 2), _completion("c", 7)])
    assert isinstance(pair, PreferencePair)
    assert (pair.prompt, pair.chosen, pair.rejected) == ((Message("user", "Do."),), "d", "a")
    assert pair.margin == 7


def test_the_fine_grained_score_is_used_where_an_overall_score_is_absent() -> None:
    pair = _converted([_completion("a", 9, 2.0), _completion("b", None, 4.5)])
    assert isinstance(pair, PreferencePair)
    assert (pair.chosen, pair.rejected, pair.margin) == ("b", "a", 2.5)


def test_ties_and_unscored_completions_are_dropped() -> None:
    assert _converted([_completion("a", 3), _completion("b", 3)]) == Dropped("u:1", "tie")
    unscored = [_completion("a", None, float("nan")), _completion("b", 3)]
    for completions in ([], [_completion("a", 3)], [unscored[0], _completion("b", None)]):
        assert _converted(completions) == Dropped("u:1", "fewer than two scored replies")


def test_completions_of_another_type_are_refused() -> None:
    with pytest.raises(InputError, match="u:1: key 'completions' must be a list of completions, got 'text'"):
        _converted("text")
