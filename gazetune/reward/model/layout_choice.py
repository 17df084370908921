"""Which layouts of a batch a backbone, a fusion and a device allow, and which of them is the cheapest."""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.layout.varlen import has_varlen
from gazetune.reward.model.backbone import is_encoder
from gazetune.reward.model.fusion_registry import fusion_class

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
"""Pairs of which `auto` asks how much sharing saves."""
_WORTH_SHARING = 0.1
"""Share of positions that sharing must save: the attention of a rejected response then needs a mask."""


def padded_layout(config: Config, backbone: PreTrainedModel) -> BatchLayout:
    """Return the padded layout, which every backbone and fusion can do.

    Raises
    ------
    InputError
        When the reward of an encoder is to be read at the end of a padded row.
    """
    causal = not is_encoder(backbone)
    pools_padding = config.train.pool == "last_padded"
    if pools_padding and not causal:
        raise InputError(
            f"train.pool: last_padded needs a decoder, and '{config.backbone}' is an encoder; accepted: last"
        )
    if config.train.padding == "token" and not causal:
        raise InputError(
            f"train.padding: token needs a decoder, and '{config.backbone}' is an encoder; accepted: zeros"
        )
    has_gaze_tokens = fusion_class(config.fusion.kind).positions_per_unit > 0
    return BatchLayout(
        kind="padded",
        causal=causal,
        gaze_tokens=config.fusion.position if has_gaze_tokens else None,
        sees_gaze=config.fusion.kind != "none",
        pads_with_token=config.train.padding == "token",
        pools_padding=pools_padding,
    )


def choose_layout(
    config: Config, backbone: PreTrainedModel, device: torch.device, split: EncodedSplit | None = None
) -> BatchLayout:
    """Return the layout that `train.batching` names, or the cheapest one for `auto`.

    Parameters
    ----------
    config
        Of the model.
    backbone
        Of the model, as transformers knows it.
    device
        Where the backbone will run.
    split
        Pairs of which a sample tells how much sharing prompts saves; `auto` shares nothing without it.

    Raises
    ------
    InputError
        If the backbone or the fusion cannot do with the layout that is asked for.
    """
    padded, asked = padded_layout(config, backbone), config.train.batching
    if asked == "padded":
        return padded
    packed = replace(padded, kind="packed", pads_with_token=False, pools_padding=False)
    shared = replace(packed, kind="shared")
    refusal = _packing_refusal(config, backbone)
    if refusal is not None:
        if asked != "auto":
            raise InputError(f"train.batching: {asked} {refusal}; accepted: auto, padded")
        return padded
    if asked == "packed":
        return packed
    refusal = _sharing_refusal(config, padded)
    if asked == "shared":
        if refusal is not None:
            raise InputError(f"train.batching: shared {refusal}; accepted: auto, padded, packed")
        return shared
    if device.type == "cuda" and not has_varlen(device.index or 0):
        return padded
    pays = split is not None and refusal is None and split.shared_fraction(shared, _SAMPLE) >= _WORTH_SHARING
    return shared if pays else packed


def _packing_refusal(config: Config, backbone: PreTrainedModel) -> str | None:
    """Return why texts cannot be packed, as a line goes on; None where they can."""
    architecture = backbone.config.get_text_config().model_type
    if architecture in _PACKABLE and not getattr(backbone.config, "use_bidirectional_attention", False):
        return None
    return f"does not work with a backbone of the architecture {architecture} ({config.backbone})"


def _sharing_refusal(config: Config, padded: BatchLayout) -> str | None:
    """Return why prompts cannot be shared, as a line goes on; None where they can."""
    if not padded.causal:
        return "needs a decoder: in an encoder the prompt sees the response"
    if padded.gaze_tokens == "before":
        return "needs fusion.position: after: before the text stands gaze on the response"
    if fusion_class(config.fusion.kind).mixes_messages:
        return f"does not work with fusion.kind {config.fusion.kind}: the prompt sees gaze on the response"
    return None
