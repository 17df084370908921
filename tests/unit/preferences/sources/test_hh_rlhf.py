from __future__ import annotations

from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.hh_rlhf import hh_rlhf_pairs
from gazetune.preferences.sources.rows import Row

START = "\n\nHuman: Hi\n\nAssistant:"


def test_rows_give_pairs_and_those_that_compare_nothing_are_dropped() -> None:
    replies = [
        (f"{START} a", f"{START} b"),
        (f"{START} a", f"{START} a"),
        (START, f"{START} b"),
        ("\n\nHuman: Ho", START),
    ]
    rows = [Row(f"hh:{n}", {"chosen": c, "rejected": r}) for n, (c, r) in enumerate(replies, start=1)]
    first, *dropped = hh_rlhf_pairs(rows)
    assert isinstance(first, PreferencePair)
    assert (first.chosen, first.rejected) == ("a", "b")
    assert [type(item).__name__ for item in dropped] == ["Dropped"] * 3
    assert [item.origin for item in dropped] == ["hh:2", "hh:3", "hh:4"]
