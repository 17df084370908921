"""Which way of reading a backbone, a fusion and a device allow, and which of them is the cheapest."""

from __future__ import annotations

from typing import Literal

import torch
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.layout.attention import HAS_VARLEN
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.layout.layouts import Reading, default_reading
from gazetune.reward.model.fusion import fusion_class

_PACKABLE = frozenset(
    [
        "albert",
        "bert",
        "camembert",
        "distilbert",
        "electra",
        "gemma",
        "gemma2",
        "gemma3_text",
        "llama",
        "mistral",
        "modernbert",
        "phi",
        "phi3",
        "qwen2",
        "qwen3",
        "roberta",
        "xlm-roberta",
    ]
)
"""Architectures of which only attention looks from one position to another, through transformers' interface."""

_SAMPLE = 256
_WORTH_SHARING = 0.1
"""Share of positions that sharing must save: the attention of a rejected response then needs a mask."""


def choose_reading(
    config: Config, backbone: PreTrainedModel, device: torch.device, split: EncodedSplit | None = None
) -> Reading:
    """Return the reading that `train.batching` names, or the cheapest one for `auto`.

    Parameters
    ----------
    device
        Where the backbone will run.
    split
        Pairs of which a sample tells how much sharing prompts saves; `auto` shares nothing without it.

    Raises
    ------
    InputError
        If the backbone or the fusion cannot be read in the way that is asked for.
    """
    plain, asked = default_reading(config, backbone), config.train.batching
    if asked == "padded":
        return plain
    packed, shared = _replace(plain, "packed"), _replace(plain, "shared")
    refusal = _no_packing(config, backbone)
    if refusal is not None:
        if asked != "auto":
            raise InputError(f"train.batching: {asked} {refusal}; accepted: auto, padded")
        return plain
    if asked == "packed":
        return packed
    refusal = _no_sharing(config, plain)
    if asked == "shared":
        if refusal is not None:
            raise InputError(f"train.batching: shared {refusal}; accepted: auto, padded, packed")
        return shared
    if device.type == "cuda" and not HAS_VARLEN:
        return plain
    pays = split is not None and refusal is None and split.shared_fraction(shared, _SAMPLE) >= _WORTH_SHARING
    return shared if pays else packed


def _replace(reading: Reading, way: Literal["packed", "shared"]) -> Reading:
    return Reading(way, reading.causal, reading.gaze_tokens, reading.sees_gaze)


def _no_packing(config: Config, backbone: PreTrainedModel) -> str | None:
    architecture = backbone.config.get_text_config().model_type
    if architecture in _PACKABLE and not getattr(backbone.config, "use_bidirectional_attention", False):
        return None
    return f"does not work with a backbone of the architecture {architecture} ({config.backbone})"


def _no_sharing(config: Config, plain: Reading) -> str | None:
    if not plain.causal:
        return "needs a decoder: in an encoder the prompt sees the response"
    if plain.gaze_tokens == "before":
        return "needs fusion.position: after: before the text stands gaze on the response"
    if fusion_class(config.fusion.kind).mixes_messages:
        return f"does not work with fusion.kind {config.fusion.kind}: the prompt sees gaze on the response"
    return None
