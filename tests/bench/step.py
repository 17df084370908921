"""How fast a training step is compared with TRL's RewardTrainer and with padding, and what gaze adds to it.

    python -m tests.bench.step [--json] [--quick]

All sides take the same steps in turn: the same weights at the start, the same pairs in a batch, fp32, two threads,
AdamW, clipping. Ours is the loop of `gazetune train` (batches made, a DeepSpeed engine at stage 0); TRL's is its
collator, its `training_step` and its optimiser. A ratio is the median over steps of the ratio of that step's times, so
a busy spell of the machine meets both sides. `by_cpu_time` has the same ratios of processor time, which other processes
change less. Nothing is asserted.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # before torch starts its threads
    # A thread that waits must not spin: on a busy machine it would keep the others from working.
    os.environ.update(OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive", HF_HUB_OFFLINE="1", DS_ACCELERATOR="cpu")

import argparse
import gc
import importlib.metadata
import json
import platform
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.model.fusion_registry import fusion_names
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from tests.bench import step_data
from tests.bench.step_memory import measure_peak_bytes, measure_zero_parameter_bytes
from tests.bench.step_sides import OurStep, TrlStep

THREADS = 2
HH_PAIRS = 800
WARM_UP = 1
"""Steps that are not counted."""
STEPS = {"full": 5, "quick": 1}
CLOCKS = {"seconds": time.perf_counter, "cpu_seconds": time.process_time}

Times = dict[str, list[dict[str, float]]]
"""For each side, its readings of both clocks at each step."""


def hh_data(file: Path, cache: Path) -> PreparedData:
    """Prepare the first pairs of the file, with measures of the lexical predictor."""
    data = {"source": str(file), "pairs": HH_PAIRS}
    return prepare_data(step_data.config_of(data=data, gaze={"predictor": "lexical"}), cache)


def time_steps_in_turn(sides: dict[str, OurStep | TrlStep], steps: int) -> tuple[Times, float]:
    """Return the times of each side's steps, and the largest difference between two sides' losses at a step."""
    times: Times = {name: [] for name in sides}
    apart = 0.0
    for step in range(WARM_UP + steps):
        losses = []
        # Another one begins at every step, since a side may suffer from what the one before it left in the caches.
        names = list(sides)
        for name in names[step % len(names) :] + names[: step % len(names)]:
            side = sides[name]
            if isinstance(side, TrlStep):
                side.prepare(step)
            gc.collect()
            before = {clock: read() for clock, read in CLOCKS.items()}
            losses.append(side.run(step))
            taken = {clock: read() - before[clock] for clock, read in CLOCKS.items()}
            if step >= WARM_UP:
                times[name].append(taken)
        apart = max(apart, max(losses) - min(losses))
    return times, apart


def median_ratio(times: Times, slow: str, fast: str, clock: str) -> float:
    """Return the median over steps of one side's time over another one's."""
    each = [a[clock] / b[clock] for a, b in zip(times[slow], times[fast], strict=True)]
    return round(statistics.median(each), 3)


def compare_with_trl_and_padded(data: PreparedData, worker: Worker, folder: Path, steps: int) -> dict[str, Any]:
    """Compare a step without gaze with TRL's and with the padded layout."""
    backbone = step_data.measured_backbone()
    ours, padded = (
        OurStep(step_data.config_of(train={"batching": batching}), data, backbone, worker, folder / batching)
        for batching in ("auto", "padded")
    )
    trl = TrlStep(ours, data, folder / "trl")
    times, apart = time_steps_in_turn({"ours": ours, "padded": padded, "trl": trl}, steps)
    lengths = np.diff(data.train.token_starts)
    peak = {batching: measure_peak_bytes(data, BatchLayout(batching)) for batching in ("padded", "packed", "shared")}
    ours.close()
    padded.close()
    return {
        "batching": ours.layout_kind,
        "pairs": len(data.train),
        "tokens": {"mean": round(float(lengths.mean())), "longest": int(lengths.max())},
        "median_seconds": {
            name: round(statistics.median(each["seconds"] for each in taken), 3) for name, taken in times.items()
        },
        "largest_loss_difference": float(f"{apart:.1e}"),
        "peak_megabytes": {batching: round(count / 1e6, 1) for batching, count in peak.items()},
        "ratios": {
            other: {clock: median_ratio(times, other, "ours", clock) for clock in CLOCKS} for other in ("trl", "padded")
        },
    }


def measure_fusion_cost(data: PreparedData, worker: Worker, folder: Path, steps: int, batching: str) -> dict[str, Any]:
    """Compare a step of each fusion with one without gaze, all in one layout."""
    backbone, sides = step_data.measured_backbone(), {}
    for kind in fusion_names():
        config = step_data.config_of(fusion={"kind": kind}, train={"batching": batching})
        sides[kind] = OurStep(config, data, backbone, worker, folder / batching / kind)
    times, _ = time_steps_in_turn(sides, steps)
    positions = {}
    for kind in ("none", "concat"):
        layout, pairs = sides[kind].training.model.layout, [sides[kind].pairs(WARM_UP + at) for at in range(steps)]
        positions[kind] = sum(data.train.batch_pairs(each, layout).position_ids.numel() for each in pairs)
    for side in sides.values():
        side.close()
    return {
        "read": {kind: side.layout_kind for kind, side in sides.items()},
        "concat_positions": round(positions["concat"] / positions["none"], 3),
        "ratios": {
            kind: {clock: median_ratio(times, kind, "none", clock) for clock in CLOCKS}
            for kind in sides
            if kind != "none"
        },
    }


def measure(quick: bool) -> dict[str, Any]:
    """Measure everything and return the figures with their conditions."""
    generator, steps, loads = np.random.default_rng(0), STEPS["quick" if quick else "full"], [os.getloadavg()[0]]
    worker = join_worker_group()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), step_data.shared_pairs()
        kinds = {} if file is None else {"hh": hh_data(file, folder)}
        kinds |= {
            "helpsteer2_like": step_data.helpsteer2_like(generator),
            "equal": step_data.equal_lengths(generator),
        }
        found = {}
        for kind, data in kinds.items():
            found[kind] = compare_with_trl_and_padded(data, worker, folder / kind, steps)
            loads.append(os.getloadavg()[0])
            print(kind, found[kind], file=sys.stderr, flush=True)
        fused = kinds.get("hh", kinds["helpsteer2_like"])
        costs = {
            batching: measure_fusion_cost(fused, worker, folder / "fusions", steps, batching)
            for batching in ("packed", "auto")
        }
        loads.append(os.getloadavg()[0])
    leave_worker_group()
    held = None if quick else measure_zero_parameter_bytes()
    return build_document(found, costs, held, {"load_average": [round(load, 1) for load in loads], "steps": steps})


def build_document(
    found: dict[str, Any], costs: dict[str, Any], held: dict[str, int] | None, conditions: dict[str, Any]
) -> dict[str, Any]:
    """Put the figures in the order in which they are printed."""

    def ratios_by(clock: str) -> dict[str, Any]:
        beside = {
            name: {kind: each["ratios"][name][clock] for kind, each in found.items()} for name in ("trl", "padded")
        }
        cost = {batching: {kind: each[clock] for kind, each in costs[batching]["ratios"].items()} for batching in costs}
        return {
            "ratio_vs_trl": beside["trl"],
            "ratio_vs_padded": beside["padded"],
            "fusion_cost": cost["packed"],
            "fusion_cost_auto": cost["auto"],
        }

    peaks = {kind: each["peak_megabytes"] for kind, each in found.items()}
    details = {
        kind: {key: value for key, value in each.items() if key not in ("ratios", "peak_megabytes")}
        for kind, each in found.items()
    }
    return {
        "conditions": describe_conditions() | conditions,
        **ratios_by("seconds"),
        "concat_positions": {batching: costs[batching]["concat_positions"] for batching in costs},
        "fusions_read_auto": costs["auto"]["read"],
        "by_cpu_time": ratios_by("cpu_seconds"),
        "peak_megabytes": peaks,
        "packed_peak_over_padded": {kind: round(each["packed"] / each["padded"], 3) for kind, each in peaks.items()},
        "zero_parameter_bytes": held,
        "zero3_over_zero0": None if held is None else round(held["stage_3"] / held["stage_0"], 3),
        "data": details,
    }


def describe_conditions() -> dict[str, Any]:
    """Return what the figures hold for."""
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "deepspeed")},
        "model": "Llama, hidden size 256, 4 layers, 4 heads, fp32, all weights trained",
        "engine": "DeepSpeed stage 0",
        "pairs_per_batch": step_data.PAIRS,
        "warm_up_steps": WARM_UP,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.step", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="few steps, no ZeRO: to see that it runs")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    # DeepSpeed and TRL write to stdout; the figures alone belong there.
    out, sys.stdout = sys.stdout, sys.stderr
    figures = measure(arguments.quick)
    sys.stdout = out
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
