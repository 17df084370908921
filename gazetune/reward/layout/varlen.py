"""Whether a GPU has torch's flash kernel for texts of any length that lie one after another (`varlen_attn`).

Without the kernel texts are read one by one, or padded (`reward/model/layout_choice.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache

LEAST_CAPABILITY = (8, 0)
"""Compute capability from which on the kernel runs: Ampere."""

LARGEST_WIDTH, WIDTH_STEP = 256, 8
"""A head has at most so many values, and a multiple of so many."""

_NEEDED = ("scale", "window_size", "enable_gqa")
"""Parameters that the call in `attention.py` uses, and that older versions of the kernel lack."""


def find_varlen() -> Callable[..., object] | None:
    """Return torch's `varlen_attn`; None where this torch has none (before 2.10)."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    kernel: Callable[..., object] = varlen_attn
    return kernel


def explain_no_varlen(kernel: Callable[..., object] | None, capability: tuple[int, int]) -> str | None:
    """Return why the kernel cannot be used on a GPU; None where it can.

    Parameters
    ----------
    kernel
        As `find_varlen` returns it.
    capability
        Compute capability of the GPU, such as (9, 0).

    Examples
    --------
    >>> explain_no_varlen(None, (9, 0))
    'this torch has no varlen_attn'
    """
    if kernel is None:
        return "this torch has no varlen_attn"
    parameters = inspect.signature(kernel).parameters
    missing = [name for name in _NEEDED if name not in parameters]
    if missing:
        return f"varlen_attn of this torch does not take {', '.join(missing)}"
    if capability < LEAST_CAPABILITY:
        return f"varlen_attn needs compute capability {_dotted(LEAST_CAPABILITY)}, this GPU has {_dotted(capability)}"
    return None


@cache
def has_varlen(device_index: int) -> bool:
    """Tell whether the GPU of this number has the kernel."""
    import torch

    return explain_no_varlen(find_varlen(), torch.cuda.get_device_capability(device_index)) is None


def takes_width(width: int) -> bool:
    """Tell whether the kernel takes heads of this width."""
    return width <= LARGEST_WIDTH and width % WIDTH_STEP == 0


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))
