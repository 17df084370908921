"""What of a backbone trains: all of it, LoRA, DoRA or rsLoRA matrices, or nothing."""

from __future__ import annotations

from typing import Literal, cast

from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from gazetune.config import AdapterConfig, Config
from gazetune.errors import InputError

LOW_RANK_KINDS = ("lora", "dora", "rslora")
"""Values of `adapter.kind` that add low-rank matrices."""
QUERY_AND_VALUE = (
    ("q_proj", "v_proj"),  # Llama, Mistral, Qwen, Gemma, Phi, OPT, GPT-J
    ("query", "value"),  # BERT, RoBERTa, ALBERT, ELECTRA
    ("query_proj", "value_proj"),  # DeBERTa-v2 and v3
    ("q_lin", "v_lin"),  # DistilBERT
    ("q", "v"),  # MPNet
    ("q_proj", "kv_b_proj"),  # DeepSeek-V2 Lite
    ("q_b_proj", "kv_b_proj"),  # DeepSeek-V3
    ("Wqkv",),  # ModernBERT, MPT
    ("qkv_proj",),  # Phi-3, CodeGen
    ("query_key_value",),  # GPT-NeoX, BLOOM, Falcon
    ("c_attn",),  # GPT-2, GPTBigCode
)
"""Names of the projections that `adapter.targets: auto` takes; the first row that the backbone has whole.

Some architectures compute query, key and value with one layer, which is then the target. Where no row fits, PEFT's own
table knows some architectures more.
"""


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
    targets = choose_targets(backbone, adapter)
    lora = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # any number will do: it is divided by r
        lora_dropout=adapter.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=adapter.kind == "dora",
        use_rslora=adapter.kind == "rslora",
    )
    return cast(PeftModel, get_peft_model(backbone, lora))


def choose_targets(backbone: PreTrainedModel, adapter: AdapterConfig) -> tuple[str, ...] | Literal["all-linear"]:
    """Return the modules that get low-rank matrices; `auto` becomes the query and value projections of the attention.

    Raises
    ------
    InputError
        When a target names no linear layer of the backbone, or `auto` finds no projections by a name that it knows.
    """
    if adapter.targets == "all-linear":
        return "all-linear"
    linear = _linear_names(backbone)
    accepted = ", ".join(["all-linear", *sorted(linear)])
    if adapter.targets == "auto":
        of_peft = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(backbone.config.model_type, ())
        known = (*QUERY_AND_VALUE, *([tuple(of_peft)] if isinstance(of_peft, list) else []))
        found = next((names for names in known if linear.issuperset(names)), None)
        if found is None:
            raise InputError(
                f"adapter.targets: auto finds no query and value projections in {type(backbone).__name__}; accepted: "
                f"{accepted}"
            )
        return found
    missing = [target for target in adapter.targets if target not in linear]
    if missing:
        raise InputError(f"adapter.targets: the backbone has no module '{missing[0]}'; accepted: auto, {accepted}")
    return adapter.targets


def name_targets(config: Config, backbone: PreTrainedModel) -> Config:
    """Return the config with `adapter.targets: auto` replaced by names, so that a saved model says what it has.

    Raises
    ------
    InputError
        As `choose_targets`.
    """
    if config.adapter.kind not in LOW_RANK_KINDS:
        return config
    targets = choose_targets(backbone, config.adapter)
    return config.model_copy(update={"adapter": config.adapter.model_copy(update={"targets": targets})})


def _linear_names(backbone: PreTrainedModel) -> set[str]:
    """Return the last parts of the names of all linear layers."""
    kinds = (nn.Linear, Conv1D)  # GPT-2 has a linear layer of its own, which PEFT knows
    return {name.rsplit(".", 1)[-1] for name, module in backbone.named_modules() if isinstance(module, kinds)}
