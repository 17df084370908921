from __future__ import annotations

import pytest

from gazetune.errors import InputError
from gazetune.search.space.conditions import parse_condition


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("fusion.kind == add", "add", True),
        ("fusion.kind == add", "none", False),
        ("fusion.kind != none", "add", True),
        ("fusion.kind in [add, concat]", "concat", True),
        ("fusion.kind in [add, concat]", "none", False),
        ("fusion.kind not in [add, concat]", "none", True),
    ],
)
def test_comparisons(text: str, value: str, holds: bool) -> None:
    assert parse_condition(text, "f").holds({"fusion.kind": value}) is holds


def test_clauses_joined_by_and_must_all_hold() -> None:
    condition = parse_condition("fusion.kind != none and deepspeed.stage == 3", "f")
    assert condition.keys == {"fusion.kind", "deepspeed.stage"}
    assert condition.holds({"fusion.kind": "add", "deepspeed.stage": 3})
    assert not condition.holds({"fusion.kind": "add", "deepspeed.stage": 2})
    assert not condition.holds({"fusion.kind": "none", "deepspeed.stage": 3})


def test_a_list_is_needed_after_in() -> None:
    with pytest.raises(InputError, match="needs a list in square brackets after 'in'"):
        parse_condition("fusion.kind in add", "f")
