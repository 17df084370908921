"""The three ways in which the texts of a batch can be laid out for the backbone (`train.batching`).

All three give the same rewards. They differ in how many positions the backbone computes. For a pair with the prompt
`p p p` and the replies `c c` (chosen) and `r` (rejected):

    padded      p p p c c       a row for each text, filled up to the longest one
                p p p r .

    packed      p p p c c | p p p r         one row, no filling; each text sees itself alone

    shared      p p p c c | r               packed, and the prompt is computed once; `r` sees it in the first text

Which of them a backbone, a fusion and a device allow is decided in `gazetune.reward.model.layout_choice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GAZE_BOUNDARIES = 2
"""Positions around the gaze of a text, one that opens it and one that closes it, where gaze has positions."""


@dataclass(frozen=True)
class BatchLayout:
    """How the batches of one model are laid out."""

    kind: Literal["padded", "packed", "shared"] = "padded"
    causal: bool = True
    """A decoder's reward is read at the last position, an encoder's at the first."""
    gaze_tokens: Literal["before", "after"] | None = None
    """Where gaze stands as positions of its own; None if it does not."""
    sees_gaze: bool = True
    """Whether a token's embedding depends on its measures: then only tokens with equal ones are shared."""
    pads_with_token: bool = False
    """Padded decoders only: padding is the padding token, and gaze before the text is padded within the batch."""
    pools_padding: bool = False
    """Padded decoders only: the reward is read at the end of the row, so that it depends on the batch."""
