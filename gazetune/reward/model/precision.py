"""In which dtype a model's weights are. Buffers keep the dtype that they were made in.

A buffer is no weight: it may hold numbers that a 16-bit dtype cannot. The frequencies of rotary embeddings
(`inv_freq`) are multiplied by a position. Rounded to bf16 they are off by up to 0.2 %, which is more than a radian at
position 1,000. `nn.Module.to(dtype)` rounds them; nothing here does.
"""

from __future__ import annotations

import torch
from torch import nn


def cast_parameters(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast the floating-point parameters of `module` to `dtype` in place, and no buffer.

    Packed 4-bit weights are integers and stay. So do weights that ZeRO-3 has divided over the workers: they were
    loaded in the dtype of the run.

    Examples
    --------
    >>> norm = nn.BatchNorm1d(2)
    >>> cast_parameters(norm, torch.bfloat16)
    >>> norm.weight.dtype, norm.running_mean.dtype
    (torch.bfloat16, torch.float32)
    """
    for parameter in module.parameters():
        if parameter.is_floating_point() and not hasattr(parameter, "ds_id"):
            parameter.data = parameter.data.to(dtype)
