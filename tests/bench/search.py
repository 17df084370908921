"""What a search costs beside training, and how good what it finds is.

    python -m tests.bench.search [--json] [--only handover,study,regret] [--trials N] [--minutes M] ...

Three parts, each in a process of its own: `handover` (the way from trial to trial in a warm slot, a fresh group, the
share of a search that is no training, memory), `study` (a thousand trials that replay recorded curves: proposals beside
bare Optuna's, memory, resume), `regret` (searches of a recorded table, with and without a confirmation). Nothing is
asserted. A part that fails says why in `failed`, and the others go on.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # before torch starts its threads
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", MLFLOW_DISABLE_TELEMETRY="true")

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

PARTS = ("handover", "study", "regret")
FIGURES = (
    "handover_seconds",
    "fresh_group_seconds",
    "overhead_share",
    "rss_growth",
    "proposal_ms_at_1000",
    "proposal_ratio_at_1000",
    "driver_mb_growth",
    "resume_seconds_1000",
    "regret_budget_share",
    "regret_points",
    "random_regret_points",
    "confirmed_regret_points",
    "confirmed_regret_points_drawn_anew",
)
"""What every document has, null where it was not measured."""
GOALS = {
    "handover_seconds": 1.0,
    "overhead_share": 0.10,
    "rss_growth": 1.05,
    "proposal_ratio_at_1000": 1.5,
    "driver_mb_growth": 200,
    "resume_seconds_1000": 20,
    "regret_budget_share": 0.15,
    "regret_points": 1.5,
    "confirmed_regret_points": 0.8,
    "confirmed_regret_points_drawn_anew": 0.8,
}
"""At most."""
SIZES = ("short_trials", "trials", "minutes", "study_trials", "seeds")


def measure(part: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one part in this process."""
    # Imported here: a part needs little of what the others need.
    if part == "regret":
        from tests.bench import search_confirmed, search_regret

        return search_regret.measure(arguments.seeds) | search_confirmed.measure(arguments.seeds)
    with tempfile.TemporaryDirectory(prefix="gazetune-bench-") as folder:
        if part == "study":
            from tests.bench import search_study

            return search_study.measure(Path(folder), arguments.study_trials)
        from tests.bench import search_handover

        return search_handover.measure(Path(folder), arguments.short_trials, arguments.trials, arguments.minutes)


def measure_apart(part: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one part in a process of its own, which leaves neither memory nor threads to the next one."""
    sizes = [word for name in SIZES for word in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))]
    command = [sys.executable, "-m", "tests.bench.search", "--part", part, *sizes]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {"failed": {part: f"ended with {done.returncode}; see stderr"}}
    return json.loads(done.stdout)


def conditions(arguments: argparse.Namespace, loads: list[float]) -> dict[str, Any]:
    """Return what the figures hold for."""
    names = ("ray", "optuna", "mlflow", "torch", "deepspeed")
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
        "load_average": [round(load, 1) for load in loads],
        **{name: getattr(arguments, name) for name in SIZES},
    }


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__.splitlines()[0])
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.add_argument("--only", default=",".join(PARTS), help=f"parts to measure: {','.join(PARTS)} (default: all)")
    made.add_argument("--short-trials", type=int, default=52, help="short trials of the handover (default 52)")
    made.add_argument("--trials", type=int, default=20, help="long trials; 0 leaves them out (default 20)")
    made.add_argument("--minutes", type=float, default=1.0, help="minutes that a long trial takes about (default 1)")
    made.add_argument("--study-trials", type=int, default=1000, help="trials of the study (default 1000)")
    made.add_argument("--seeds", type=int, default=20, help="searches of the table in each way (default 20)")
    made.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return made


def main() -> None:
    """Print the figures."""
    arguments = parser().parse_args()
    warnings.simplefilter("ignore")
    # Searches print to stdout; the figures alone belong there.
    out, sys.stdout = sys.stdout, sys.stderr
    if arguments.part:
        print(json.dumps(measure(arguments.part, arguments)), file=out)
        return
    wanted = [part.strip() for part in arguments.only.split(",")]
    if unknown := set(wanted) - set(PARTS):
        raise SystemExit(f"--only: {', '.join(sorted(unknown))}: accepted: {', '.join(PARTS)}")
    found: dict[str, Any] = dict.fromkeys(FIGURES)
    loads, failed = [os.getloadavg()[0]], {}
    for part in wanted:
        figures = measure_apart(part, arguments)
        failed |= figures.pop("failed", {})
        found |= figures
        loads.append(os.getloadavg()[0])
    document = {"conditions": conditions(arguments, loads), **found, "goals": GOALS, "failed": failed}
    print(json.dumps(document, indent=2) if arguments.json else shown(document), file=out)
    sys.exit(1 if failed else 0)


def shown(document: dict[str, Any]) -> str:
    """Return one line for each figure, with its goal where it has one."""
    lines = []
    for name in FIGURES:
        goal = f" (goal: at most {GOALS[name]})" if name in GOALS else ""
        lines.append(f"{name}: {document[name]}{goal}")
    return "\n".join([*lines, f"conditions: {document['conditions']}", f"failed: {document['failed']}"])


if __name__ == "__main__":
    main()
