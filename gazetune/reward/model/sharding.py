"""Weights that ZeRO-3 has divided over the workers: their shape, and how to see or change them whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


def full_shape(weight: Tensor) -> torch.Size:
    """Return the shape of a weight, of which a worker may hold a share only."""
    return torch.Size(getattr(weight, "ds_shape", weight.shape))


@contextlib.contextmanager
def gathered_parameters(*weights: Tensor, changed: bool = False) -> Iterator[None]:
    """Have the weights whole inside the block; every worker must enter it.

    `changed` says that the block writes to them, on every worker the same. Weights that are not divided stay as they
    are, and without any there is no need of DeepSpeed.
    """
    divided = [weight for weight in weights if hasattr(weight, "ds_id")]
    if not divided:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(divided, modifier_rank=0 if changed else None):
        yield
