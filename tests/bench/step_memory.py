"""What memory a training step takes: the peak of a pass, and the parameters that a worker holds under ZeRO.

    python -m torch.distributed.run --standalone --nproc-per-node=2 -m tests.bench.step_memory STAGE FILE

writes the bytes of parameters that each of two workers holds; `python -m tests.bench.step` starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.distributed._tools.mem_tracker import MemTracker

from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import split_rewards
from gazetune.reward.model.pair_losses import create_loss
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
from tests.bench.step_data import PAIRS, config_of, equal_lengths, measured_backbone
from tests.bench.step_sides import OurStep

WORKERS = 2


def measure_peak_bytes(data: PreparedData, layout: BatchLayout) -> int:
    """Return the most bytes that tensors take at once in the forward and backward pass of a batch, weights included."""
    config = config_of()
    model = GazeRewardModel(config, measured_backbone())
    model.use_layout(layout)
    batch = data.train.batch_pairs(np.arange(PAIRS), layout)
    loss, tracker = create_loss(config.loss), MemTracker()
    tracker.track_external(model)
    with tracker:
        loss(*split_rewards(model(batch)), None).mean().backward()
    return int(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"])


def measure_zero_parameter_bytes() -> dict[str, int]:
    """Return the bytes of parameters that one of two workers holds at ZeRO stages 0 and 3 (the larger of the two)."""
    held = {}
    for stage in (0, 3):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "bytes"
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}"]
            command = [sys.executable, *launcher, "-m", "tests.bench.step_memory", str(stage), str(file)]
            subprocess.run(command, check=True, capture_output=True, timeout=600)
            held[f"stage_{stage}"] = max(json.loads(file.read_text()))
    return held


def count_held_bytes(stage: int, folder: Path) -> list[int]:
    """Take two steps at a ZeRO stage and return the bytes of parameters that each worker holds after them."""
    zero = {"zero_optimization": {"stage3_param_persistence_threshold": 0}} if stage == 3 else {}
    config = config_of(deepspeed={"stage": stage, "override": zero}, resources={"workers": WORKERS})
    worker = join_worker_group()
    side = OurStep(config, equal_lengths(np.random.default_rng(0), 2 * PAIRS), measured_backbone(), worker, folder)
    for step in range(2):
        side.run(step)
    # At stage 3 the shard is `ds_tensor`, and what is gathered just then stands in the parameter itself.
    tensors = [each for p in side.training.model.parameters() for each in (p, getattr(p, "ds_tensor", None))]
    own = sum(each.numel() * each.element_size() for each in tensors if each is not None)
    each_worker = [worker.sum_over_workers(torch.tensor(own if worker.rank == rank else 0)) for rank in range(WORKERS)]
    side.close()
    return [int(total) for total in each_worker]


def main() -> None:
    """One of the two workers."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = count_held_bytes(int(sys.argv[1]), Path(folder))
    Path(sys.argv[2]).write_text(json.dumps(found))
    leave_worker_group()


if __name__ == "__main__":
    main()
