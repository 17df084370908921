"""What a worker computes a run with."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch

from gazetune.reward.data.dataset import PreparedData
from gazetune.tracking.environment import RunEnvironment
from gazetune.tracking.lineage import code_version, package_versions
from gazetune.train.processes.worker_group import Worker


def describe_environment(data: PreparedData, worker: Worker) -> RunEnvironment:
    """Return what this worker computes with."""
    on_gpu = worker.device.type == "cuda"
    return RunEnvironment(
        code=_code_version(),
        packages=package_versions(),
        processor=torch.cuda.get_device_name(worker.device) if on_gpu else _processor_name(),
        threads=torch.get_num_threads(),
        workers=worker.world_size,
        data_fingerprint=data.facts.data_fingerprint,
        gaze_fingerprint=data.facts.gaze_fingerprint,
    )


@functools.cache
def _code_version() -> str:
    return code_version()  # asks git, for every run of a warm worker


@functools.cache
def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.processor() or platform.machine())
