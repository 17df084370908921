"""Margins of pairs as one array."""

from __future__ import annotations

import numpy as np

from gazetune.preferences.pair import Message, PreferencePair, collect_margins


def test_margins_stand_in_the_order_of_the_pairs_and_nan_where_there_is_none() -> None:
    pairs = [
        PreferencePair((Message("user", "Hi"),), "a", "b", "group", f"f:{row}", margin)
        for row, margin in enumerate([2.0, None, 0.0, 0.25], start=1)
    ]
    margins = collect_margins(pairs)
    assert margins.dtype == np.float32
    np.testing.assert_array_equal(margins, [2.0, np.nan, 0.0, 0.25])
    assert collect_margins([]).shape == (0,)
