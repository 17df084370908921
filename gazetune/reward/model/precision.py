"""What computes in which dtype: weights in that of the run, buffers as they were made, the score head in float32.

A buffer is no weight: it may hold numbers that a 16-bit dtype cannot. The frequencies of rotary embeddings
(`inv_freq`) are multiplied by a position. Rounded to bf16 they are off by up to 0.2 %, which is more than a radian at
position 1,000. `nn.Module.to(dtype)` rounds them; nothing here does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


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


class RewardHead(nn.Linear):
    """Hidden states [n, H] to rewards [n, 1], float32 or wider; without a bias, since a pair gives it no gradient.

    bf16 has 256 numbers between 1 and 2. Rewards in bf16 would therefore tie where texts differ. States in bf16 are
    widened first, and the weight [1, H] is float32.

    DeepSpeed trains a whole model in one dtype. Where that is bf16 the head has a bf16 weight, which takes the
    gradient, and the buffer `full_weight` [1, H], which is the float32 weight and is what rewards are computed with.
    """

    full_weight: Tensor | None

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden, 1, bias=False)
        self.register_buffer("full_weight", None, persistent=False)

    def forward(self, states: Tensor) -> Tensor:
        """Return rewards [n, 1] of states [n, H]."""
        wide = torch.promote_types(states.dtype, torch.float32)
        weight = self.weight.to(wide)
        if self.full_weight is not None:
            # The value is that of the float32 weight, and the gradient is that of the trained one.
            weight = self.full_weight + (weight - weight.detach())
        return linear(states.to(wide), weight)

    def lower_weight(self, dtype: torch.dtype) -> None:
        """Hold the trained weight in `dtype`, for DeepSpeed, and go on computing with its float32 value."""
        if dtype != self.weight.dtype:
            self.set_full_weight(self.weight.detach())
            self.weight.data = self.weight.data.to(dtype)

    def set_full_weight(self, value: Tensor) -> None:
        """Compute with this weight [1, H] from now on."""
        self.full_weight = value.to(self.weight.device, torch.float32, copy=True)
