"""Where the seconds go from the command to the first finished trial of a search, beside those of another checkout.

    python -m tests.bench.start [--before CHECKOUT] [--repeats 3] [--json]

Each run is `gazetune search` of the demo with a few pairs and two trials, in a new process and a new folder. So nearly
all of its time goes to starting: imports, Ray, data, workers. With `--before` both checkouts run in turns with the same
interpreter, and the ratio of the medians is printed. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKS = {
    "first_line": "",
    "data_ready": "pairs: train",
    "slots_started": "slot(s) of",
    "first_trial": " COMPLETE",
}
"""Words of the line on stderr that shows that the search has come so far; the empty ones stand in the first line."""
QUICK = {
    "status": ["status"],
    "space_show": ["space", "show", "search_spaces/demo.yaml"],
    "wrong_key": ["search", "search_spaces/demo.yaml", "--set", "train.epoch=2"],
}
"""Commands that train nothing."""


def time_search(checkout: Path) -> dict[str, float]:
    """Return the seconds from the command to each mark, and to the end."""
    with tempfile.TemporaryDirectory(prefix="start") as storage:
        sets = ["data.pairs=300", "search.scheduler=none", "fusion.kind=none"]
        line = ["search", "search_spaces/demo.yaml", "--trials", "2", "--name", "start", "--storage", storage]
        begin = time.monotonic()
        process = subprocess.Popen(
            [*command(), *line, *(word for each in sets for word in ("--set", each))],
            cwd=checkout,
            env=environment(checkout),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        seconds: dict[str, float] = {}
        printed = []
        assert process.stderr is not None
        for text in process.stderr:
            printed.append(text)
            for mark, words in MARKS.items():
                if words in text:
                    seconds.setdefault(mark, time.monotonic() - begin)
        if process.wait() != 0:
            raise SystemExit(f"{checkout}: the search ended with {process.returncode}:\n{''.join(printed)}")
        return {**seconds, "end": time.monotonic() - begin}


def time_quick_commands(checkout: Path) -> dict[str, float]:
    """Return the seconds that each command of `QUICK` takes."""
    seconds = {}
    for name, line in QUICK.items():
        begin = time.monotonic()
        subprocess.run([*command(), *line], cwd=checkout, env=environment(checkout), capture_output=True)
        seconds[name] = time.monotonic() - begin
    return seconds


def command() -> list[str]:
    """Return the beginning of a command line of `gazetune`."""
    return [sys.executable, "-c", "from gazetune.cli.main import entry; entry()"]


def environment(checkout: Path) -> dict[str, str]:
    """Return the environment in which a process imports the package of a checkout, and so do its Ray workers."""
    return {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def summarise(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def main() -> None:
    """Measure, and print one document or a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout of another commit, measured in turns with this one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sides = {"now": ROOT} if options.before is None else {"before": options.before.resolve(), "now": ROOT}
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(options.repeats):
        for side, checkout in sides.items():
            runs[side].append({**time_search(checkout), **time_quick_commands(checkout)})
            print(f"{side}: {runs[side][-1]}", file=sys.stderr)
    document: dict[str, dict[str, float]] = {side: summarise(found) for side, found in runs.items()}
    if "before" in document:
        both = document["now"].keys() & document["before"].keys()
        document["ratio"] = {
            name: round(document["now"][name] / document["before"][name], 2) for name in document["now"] if name in both
        }
    if options.json:
        print(json.dumps(document, indent=1))
        return
    print(f"{'seconds to':16}" + "".join(f"{side:>10}" for side in document))
    for name in document["now"]:
        print(f"{name:16}" + "".join(f"{figures.get(name, float('nan')):>10}" for figures in document.values()))


if __name__ == "__main__":
    main()
