from __future__ import annotations

from gazetune.config import DataConfig
from gazetune.reward.saved.scored_pairs import without_division


def test_other_pairs_need_no_column_that_kept_the_own_ones_together() -> None:
    own = DataConfig(group="reader", fold=2, subsample=0.5)
    assert without_division(own, ["data.source"]) == DataConfig(max_chars=None)
    assert without_division(own, ["data.source", "data.group"]).group == "reader"
