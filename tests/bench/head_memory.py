"""Memory of the processes of a search that are on the head whatever nodes its workers are on.

    python -m tests.bench.head_memory [--json]

A search of the planted data with two slots of one CPU is started here. Once both have trained, the proportional set
size of each of its processes is read (Linux), and the search is stopped. `gazetune.search.planning.head_memory` has
these figures, rounded up. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter

import psutil

from tests.bench.start import ROOT, command, environment

KINDS = {
    "RayTrainWorker": "worker",
    "TrainController": "slot: controller",
    "SynchronizationActor": "slot: actor of the workers",
    "Trainable": "slot: trial of Ray Tune",
    "PlacementGroupCleaner": "slot: cleaner",
    "DatasetManager": "slot: data sets",
    "ray::Board": "board and coordinator",
    "_AutoscalingCoordinatorActor": "board and coordinator",
    "ray::IDLE": "idle",
    "gazetune.cli.main": "driver",
}
"""What is in the command line of each kind of process. Those of no kind are Ray's services."""


def measure_search() -> dict[str, dict[str, float]]:
    """Return the number of processes of each kind, and their MiB together."""
    with tempfile.TemporaryDirectory(prefix="head") as folder:
        line = ["search", "search_spaces/smoke.yaml", "--trials", "20", "--name", "head", "--storage", folder]
        process = subprocess.Popen(
            [*command(), *line],
            cwd=ROOT,
            env=environment(ROOT),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        printed, ended = [], 0
        for text in process.stderr:
            printed.append(text)
            ended += " COMPLETE" in text
            if ended == 3:  # both slots have trained one by then
                break
        else:
            raise SystemExit(f"the search ended early:\n{''.join(printed)}")
        found = sum_by_kind(psutil.Process(process.pid))
        process.send_signal(signal.SIGINT)
        process.communicate()
    return found


def sum_by_kind(search: psutil.Process) -> dict[str, dict[str, float]]:
    """Return the processes of a search by their kind."""
    sizes, numbers = Counter[str](), Counter[str]()
    for process in [search, *search.children(recursive=True)]:
        try:
            line, size = " ".join(process.cmdline()), process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended
        kind = next((kind for words, kind in KINDS.items() if words in line), "Ray's services")
        sizes[kind] += size
        numbers[kind] += 1
    return {kind: {"processes": numbers[kind], "MiB": round(sizes[kind] / 2**20)} for kind in sorted(sizes)}


def main() -> None:
    """Measure, and print one document or a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure_search()
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'kind':30}{'processes':>10}{'MiB':>8}")
    for kind, figures in found.items():
        print(f"{kind:30}{figures['processes']:>10}{figures['MiB']:>8}")


if __name__ == "__main__":
    sys.exit(main())
