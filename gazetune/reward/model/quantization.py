"""4-bit weights for a frozen backbone, through bitsandbytes (extra `quant`)."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, TypedDict

from gazetune.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import BitsAndBytesConfig


class LoadingOptions(TypedDict, total=False):
    """Arguments of `from_pretrained` that say where weights go, and in how many bits."""

    quantization_config: BitsAndBytesConfig
    device_map: dict[str, int | str | torch.device]


def has_bitsandbytes() -> bool:
    """Tell whether the package that NF4 needs is installed."""
    return importlib.util.find_spec("bitsandbytes") is not None


def check_quantization(quantization: str) -> None:
    """Raise `InputError` when a backbone cannot be quantised here."""
    if quantization == "nf4" and not has_bitsandbytes():
        raise InputError("adapter.quantization: nf4 needs bitsandbytes: pip install 'gazetune[quant]'; accepted: none")


def nf4_options(dtype: torch.dtype, double: bool = True) -> LoadingOptions:
    """Return what makes `from_pretrained` quantise linear layers, on the current GPU where there is one.

    NF4 weights in blocks of 64, computing in `dtype`, whose scales are quantised again where `double` is set (QLoRA,
    Dettmers et al. 2023, arXiv 2305.14314).
    """
    import torch
    from transformers import BitsAndBytesConfig

    check_quantization("nf4")
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=dtype,
    )
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": settings, "device_map": {"": device}}


def configure_quantized_layers(model: nn.Module) -> None:
    """Let quantised layers compute in the dtype of their input, and never reorder their weights."""
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            # The dtype that the model was loaded in no longer counts: it may have been cast since.
            module.compute_type_is_set = False
            # On some CPUs the layer would reorder its weights when it evaluates, and DoRA cannot read that order.
            module.support_avx512bf16_for_cpu = False
