"""How many positions the longest conversation has, for an estimate."""

from __future__ import annotations

import pytest

from gazetune.config import Config
from gazetune.reward.model import fusion_registry as fusions
from gazetune.reward.model.fusion_registry import fusion_class, register_fusion
from gazetune.reward.model.fusions.none import NoFusion
from gazetune.train.limits.activations import conversation_positions


def test_the_longest_conversation_follows_from_characters_context_and_fusion() -> None:
    def positions(fusion: str, characters: int | None, context: int | None) -> int:
        config = Config.model_validate({"fusion": {"kind": fusion}, "data": {"max_chars": characters}})
        return conversation_positions(config, context)

    assert positions("none", 8000, None) == 1000
    assert positions("concat", 8000, None) > 1600
    assert positions("none", 8000, 512) == positions("none", None, 512) == 512
    assert positions("none", None, None) == 4096


def test_no_more_text_is_read_than_the_most_tokens() -> None:
    def positions(fusion: str, tokens: int, context: int | None = None) -> int:
        config = Config.model_validate({"fusion": {"kind": fusion}, "data": {"max_tokens": tokens}})
        return conversation_positions(config, context)

    assert positions("none", 300) == 300
    assert positions("concat", 300) == 500
    assert positions("none", 5000) == 1250
    assert positions("none", 300, 200) == 200


def test_a_fusion_that_joins_later_says_itself_how_many_positions_it_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    fusion_class("concat")  # registered for good, and not in the copy alone
    monkeypatch.setattr(fusions, "_FUSIONS", dict(fusions._FUSIONS))

    @register_fusion("beside")
    class BesideFusion(NoFusion):
        positions_per_unit = 1

    def positions(fusion: str) -> int:
        config = Config.model_validate({"fusion": {"kind": fusion}, "data": {"max_chars": 2400}})
        return conversation_positions(config, None)

    assert positions("beside") == positions("concat") == 500
    assert positions("none") == 300
    assert BesideFusion.fused_length(tokens=3, units=2) == 3 + 2 + 2
