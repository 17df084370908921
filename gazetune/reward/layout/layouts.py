"""How a backbone reads the texts of a batch: padded to one length, packed without padding, or each prompt once.

All three give the same rewards. Packed, no position is wasted on padding; shared, a prompt that the chosen and the
rejected response have in common is computed once for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.model.backbone import reads_both_ways
from gazetune.reward.model.fusion import fusion_class


@dataclass(frozen=True)
class Reading:
    """How the batches of one model are laid out."""

    way: Literal["padded", "packed", "shared"] = "padded"
    causal: bool = True
    """A decoder's reward is read at the last position, an encoder's at the first."""
    gaze_tokens: Literal["before", "after"] | None = None
    """Where gaze stands as positions of its own; None if it does not."""
    sees_gaze: bool = True
    """Whether a token's embedding depends on its measures: then only tokens with equal ones are shared."""
    pools_padding: bool = False
    """Padded decoders only: the reward is read at the end of the row, so that it depends on the batch."""


def default_reading(config: Config, backbone: PreTrainedModel) -> Reading:
    """Return the reading that every backbone and fusion can do: padded.

    Raises
    ------
    InputError
        When the reward of an encoder is to be read at the end of a padded row.
    """
    placed, causal = fusion_class(config.fusion.kind).gaze_tokens, not reads_both_ways(backbone)
    pools_padding = config.train.pool == "last_padded"
    if pools_padding and not causal:
        raise InputError(
            f"train.pool: last_padded needs a decoder, and '{config.backbone}' is an encoder; accepted: last"
        )
    return Reading(
        causal=causal,
        gaze_tokens=config.fusion.position if placed else None,
        sees_gaze=config.fusion.kind != "none",
        pools_padding=pools_padding,
    )


def check_pool(config: Config) -> None:
    """Raise `InputError` when the reward is to be read on padding, and batches need not have any."""
    if config.train.pool == "last_padded" and config.train.batching != "padded":
        raise InputError(
            f"train.pool: last_padded reads padding, and train.batching is {config.train.batching}; accepted: last, or "
            "train.batching: padded"
        )
