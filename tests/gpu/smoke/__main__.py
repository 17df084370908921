"""The program for the first GPU: does everything that no CPU can show, and prints one JSON document.

    tests/gpu/smoke.sh [--small] [--parts NAME ...] [--seconds N]

A part that fails is reported and the others go on. The exit status is 1 where a part failed or found a problem, and 2
where nothing could be started. `--small` does all of it in a tiny size, on a CPU too. What is not done after
`--seconds` is left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gazetune.train.processes.device_memory import release_device_memory
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from tests.gpu.smoke.device import describe_device
from tests.gpu.smoke.layouts import compare_layouts
from tests.gpu.smoke.precision import compare_precisions
from tests.gpu.smoke.resume import resume_all
from tests.gpu.smoke.sizes import FULL, SMALL, Size
from tests.gpu.smoke.training import measure_nf4, measure_training
from tests.gpu.smoke.trials import measure_memory_of_trials, train_on_kept_backbone

Part = Callable[[Size, Worker], dict[str, Any]]

PARTS: dict[str, Part] = {
    "layouts": compare_layouts,
    "training": measure_training,
    "kept_backbone": train_on_kept_backbone,
    "nf4": measure_nf4,
    "precision": compare_precisions,
    "resume": resume_all,
    "memory": measure_memory_of_trials,
}
PACKAGES = ("torch", "transformers", "peft", "deepspeed", "bitsandbytes")
SECONDS = 420.0
"""Leaves a minute of eight for the start."""


class SmokeRun:
    """The parts that are done, and the document about them."""

    def __init__(self, size: Size, worker: Worker, names: list[str]) -> None:
        self._size, self._worker, self._names = size, worker, names
        self._found: dict[str, dict[str, Any]] = {}
        self._began = time.monotonic()
        self._conditions = {"size": size.backbone, "packages": {name: _version(name) for name in PACKAGES}}

    def run_parts(self, parts: dict[str, Part]) -> None:
        """Do one part after another; an error of one is part of the document."""
        self._conditions["device"] = describe_device(self._worker.device)
        for name in self._names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            began = time.monotonic()
            try:
                found = parts[name](self._size, self._worker)
            except Exception as error:
                traceback.print_exc()
                where = traceback.extract_tb(error.__traceback__)[-1]
                found = {"error": f"{type(error).__name__}: {error}", "at": f"{where.filename}:{where.lineno}"}
            self._found[name] = found | {"seconds": round(time.monotonic() - began, 2)}
            release_device_memory(self._worker.device)

    def document(self) -> dict[str, Any]:
        """Return what is known by now; a part that is not done is one that failed."""
        parts = {name: self._found.get(name, {"error": "not done in time"}) for name in self._names}
        return {
            "ok": not any("error" in each or each.get("problems") for each in parts.values()),
            "seconds": round(time.monotonic() - self._began, 1),
            "conditions": self._conditions,
            "parts": parts,
        }


def main() -> int:
    """Do the parts and print the document; return the exit status."""
    parser = argparse.ArgumentParser(prog="tests/gpu/smoke.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes; runs on a CPU too")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="what is not done then is left out")
    arguments = parser.parse_args()
    if not arguments.small and not torch.cuda.is_available():
        parser.error("torch sees no CUDA GPU; with --small everything runs in a tiny size on a CPU")
    warnings.simplefilter("ignore", FutureWarning)  # of transformers, which both sides call
    # DeepSpeed and NCCL print on stdout, C code too: the document alone goes there.
    document_file = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = SmokeRun(SMALL if arguments.small else FULL, join_worker_group(), arguments.parts)

    def give_up() -> None:
        _print_document(run.document(), document_file)
        os._exit(1)

    # Another thread, as a kernel that hangs lets no signal through.
    watch = threading.Timer(arguments.seconds, give_up)
    watch.daemon = True
    watch.start()
    run.run_parts(PARTS)
    watch.cancel()
    document = run.document()
    _print_document(document, document_file)
    leave_worker_group()
    return 0 if document["ok"] else 1


def _print_document(document: dict[str, Any], file: Any) -> None:
    json.dump(_without_nan(document), file, indent=1)
    print(file=file, flush=True)


def _without_nan(value: Any) -> Any:
    """Return the value with words for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
