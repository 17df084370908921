"""What of a backbone trains: all of it, LoRA matrices, or nothing."""

from __future__ import annotations

from typing import cast

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from gazetune.config import AdapterConfig
from gazetune.errors import InputError


def adapt(backbone: PreTrainedModel, adapter: AdapterConfig) -> PreTrainedModel | PeftModel:
    """Make of the backbone trainable what `adapter` says: all, LoRA matrices, or nothing."""
    backbone.requires_grad_(adapter.kind == "full")
    if adapter.kind != "lora":
        return backbone
    targets = adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets)
    if isinstance(targets, list):
        _check_targets(backbone, targets)
    lora = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # any number will do: it is divided by r
        lora_dropout=adapter.dropout,
        target_modules=targets,
    )
    return cast(PeftModel, get_peft_model(backbone, lora))


def _check_targets(backbone: PreTrainedModel, targets: list[str]) -> None:
    linear = {name.rsplit(".", 1)[-1] for name, module in backbone.named_modules() if isinstance(module, nn.Linear)}
    missing = [target for target in targets if target not in linear]
    if missing:
        accepted = ", ".join(["all-linear", *sorted(linear)])
        raise InputError(f"adapter.targets: the backbone has no module '{missing[0]}'; accepted: {accepted}")
