"""Memory of a GPU between trainings: what torch's allocator is told, and what it gives back."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest
import torch

from gazetune.train.processes.device_memory import prefer_expandable_segments, release_device_memory

AFTER_JOINING = """
import torch
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group

join_worker_group()
print(torch._C._accelerator_getAllocatorSettings())
leave_worker_group()
"""


def test_a_worker_tells_torchs_allocator_to_grow_its_segments() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_JOINING], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1:] == ["expandable_segments:True"], done.stderr


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_what_the_environment_says_stays(name: str) -> None:
    environment = {name: "max_split_size_mb:64"}
    prefer_expandable_segments(environment)
    assert environment == {name: "max_split_size_mb:64"}


def test_what_refers_to_itself_is_freed_too() -> None:
    class Engine:
        def __init__(self) -> None:
            self.weights, self.itself = torch.zeros(3), self

    gc.disable()
    try:
        weights = weakref.ref(Engine().weights)
        assert weights() is not None
        release_device_memory(torch.device("cpu"))
        assert weights() is None
    finally:
        gc.enable()
