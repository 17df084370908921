"""Memory of a GPU between the trainings of one process."""

from __future__ import annotations

import gc
import os
from collections.abc import MutableMapping

import torch

ALLOCATOR_SETTINGS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""Environment variables that torch's allocator of device memory reads, the second one by its older name."""


def prefer_expandable_segments(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let torch's allocator grow its segments, unless the environment sets it otherwise; before a GPU is used.

    By default memory that one training freed lies in segments of fixed sizes. The next one, with texts and batches of
    other sizes, may find none that fits, and runs out of memory where much is free.
    """
    if not any(name in environment for name in ALLOCATOR_SETTINGS):
        environment[ALLOCATOR_SETTINGS[0]] = "expandable_segments:True"


def release_device_memory(device: torch.device) -> None:
    """Free what nothing refers to any more, and give a GPU's memory that torch keeps for later back to the driver."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
