"""What a trial gives in a used slot is what it gives in a fresh process, bit for bit, and it leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from gazetune.cluster.connect import connect_to_cluster, disconnect_from_cluster
from gazetune.cluster.node_watch import NodeWatch
from gazetune.config import Config
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.trials.jobs import run_training
from gazetune.trials.messages import TrainingReport, TrainJob
from gazetune.trials.slot_pool import SlotPool

ONE_THREAD = Config.model_validate(
    {
        "data": {"source": "planted", "pairs": 300},
        "gaze": {"predictor": "planted"},
        "train": {"batch_size": 16, "epochs": 1},
        "resources": {"workers": 1, "cpus_per_worker": 1},
    }
)
LORA = {
    "adapter": {"kind": "lora", "r": 4, "dropout": 0.2},
    "fusion": {"kind": "add"},
    "projector": {"dropout": (0.1, 0.3)},
    "deepspeed": {"stage": 0},
}
SHARDED = {
    "adapter": {"kind": "lora", "r": 8, "dropout": 0.1, "targets": ("q_proj", "k_proj", "v_proj")},
    "fusion": {"kind": "concat"},
    "deepspeed": {"stage": 2},
    "train": {"batch_size": 8, "seed": 7, "gradient_checkpointing": True, "epochs": 0.5},
    "optim": {"learning_rate": 1e-3},
}
WHOLE = {"adapter": {"kind": "full"}, "fusion": {"kind": "none"}, "deepspeed": {"stage": 3}, "train": {"epochs": 0.5}}


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[SlotPool]:
    """One slot on a Ray of this process."""
    connect_to_cluster(None, [ONE_THREAD.resources], tmp_path)
    try:
        slots = SlotPool(
            [ONE_THREAD.resources],
            60.0,
            NodeWatch(False, tmp_path),
            1,
            tmp_path / "slots",
            tmp_path / "cache",
            lambda n, why: None,
        )
        try:
            yield slots
        finally:
            slots.close(60.0)
    finally:
        disconnect_from_cluster()


def config_with(change: dict[str, Any]) -> Config:
    raw = ONE_THREAD.model_dump(mode="json")
    for section, values in change.items():
        raw[section] = {**raw[section], **values}
    return Config.model_validate(raw)


def trained(slots: SlotPool, name: str, change: dict[str, Any], folder: Path) -> list[TrainingReport]:
    """Train in the slot and return every report without what a clock has measured."""
    config = config_with(change)
    pairs = prepare_data(config, folder / "cache").facts.data_fingerprint
    job = TrainJob(name, config, folder / name, data_fingerprints=(pairs,), milestones=(64, 128))
    reports: list[TrainingReport] = []

    def check_slots() -> None:
        assert slots.fatal_reason is None, slots.fatal_reason

    run_training(slots.board, job, check_slots, reports.append)
    return [replace(report, train_seconds=0.0, gpu_seconds=0.0) for report in reports]


def files_of(folder: Path) -> dict[str, bytes]:
    """Weights and margins of the best evaluation, margins at every rung, and the state to go on from."""
    kept = [path for path in folder.rglob("*") if path.suffix in (".safetensors", ".npy")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def worker_of_the_slot() -> psutil.Process:
    found = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    (worker,) = found
    return worker


def test_a_trial_in_a_used_slot_gives_what_it_gives_in_a_fresh_process(slots: SlotPool, tmp_path: Path) -> None:
    fresh = trained(slots, "fresh", LORA, tmp_path)
    process = worker_of_the_slot()
    trained(slots, "whole", WHOLE, tmp_path)  # spoils the backbone that is kept
    trained(slots, "sharded", SHARDED, tmp_path)  # leaves the one that the next trial takes
    assert worker_of_the_slot() == process, "these must have been trained in the same process"
    used = trained(slots, "used", LORA, tmp_path)
    assert len(fresh) == 3 and fresh[0].train_losses[0] != fresh[1].train_losses[0]
    assert used == fresh
    assert "best/rewards.npy" in files_of(tmp_path / "fresh")
    assert files_of(tmp_path / "used") == files_of(tmp_path / "fresh")
    # What is left of a trial grows with their number: most of it shows after a few already.
    resident = []
    for number in range(10):
        trained(slots, f"short-{number}", SHARDED if number % 2 else LORA, tmp_path)
        resident.append(process.memory_info().rss)
    assert resident[-1] < 1.05 * resident[3], [f"{size / 2**20:.0f} MiB" for size in resident]
