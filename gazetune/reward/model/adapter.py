"""What of a backbone trains: all of it, LoRA, DoRA or rsLoRA matrices, or nothing."""

from __future__ import annotations

from typing import cast

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from gazetune.config import AdapterConfig
from gazetune.errors import InputError


def apply_adapter(backbone: PreTrainedModel, adapter: AdapterConfig) -> PreTrainedModel | PeftModel:
    """Return the backbone with what `adapter` says trainable: all, low-rank matrices beside its weights, or nothing.

    LoRA (Hu et al. 2021, arXiv 2106.09685) adds B A alpha / r to each target [out, in], with A [r, in] and B [out, r].
    rsLoRA (Kalajdzievski 2023, arXiv 2312.03732) divides alpha by sqrt(r) instead. DoRA (Liu et al. 2024, arXiv
    2402.09353) also trains the norm of each output's weights, a vector [out].

    Raises
    ------
    InputError
        When a target names no linear layer of the backbone.
    """
    if adapter.kind == "full":
        backbone.requires_grad_(True)
        return backbone
    backbone.requires_grad_(False)
    if adapter.kind == "none":
        return backbone
    targets = adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets)
    if isinstance(targets, list):
        _check_targets(backbone, targets)
    lora = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # any number will do: it is divided by r
        lora_dropout=adapter.dropout,
        target_modules=targets,
        use_dora=adapter.kind == "dora",
        use_rslora=adapter.kind == "rslora",
    )
    return cast(PeftModel, get_peft_model(backbone, lora))


def _check_targets(backbone: PreTrainedModel, targets: list[str]) -> None:
    linear = {name.rsplit(".", 1)[-1] for name, module in backbone.named_modules() if isinstance(module, nn.Linear)}
    missing = [target for target in targets if target not in linear]
    if missing:
        accepted = ", ".join(["all-linear", *sorted(linear)])
        raise InputError(f"adapter.targets: the backbone has no module '{missing[0]}'; accepted: {accepted}")
