"""`gazetune status`: what a search does, has done and still has to do, seen from any terminal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazetune.report.wording import ended_line

if TYPE_CHECKING:
    from gazetune.search.status import BegunTrial, CapUse, SearchStatus


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("status", help="show how far a search is", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help="name of the search")
    parser.add_argument(
        "--storage",
        type=Path,
        default=Path("gazetune_runs"),
        metavar="DIR",
        help="folder of all results (default: ./gazetune_runs)",
    )
    parser.add_argument("--json", action="store_true", help="print the status as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look at the search, and print what is seen."""
    from dataclasses import asdict

    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        from gazetune.search.status import read_status

        status = read_status(args.storage.resolve(), args.name)
    print(json.dumps(asdict(status), indent=2) if args.json else "\n".join(lines(status)))
    return 0


def lines(status: SearchStatus) -> list[str]:
    """Return the status for people."""
    counts = status.states
    over = counts["COMPLETE"] + counts["PRUNED"] + counts["FAIL"]
    begun = "running" if status.state == "running" else "begun"
    rest = "to come" if status.ended_by is None else "not begun"
    shown = [
        f"search {status.name}: {_state(status)}",
        f"trials: {over} of {status.trials} finished ({counts['COMPLETE']} COMPLETE, {counts['PRUNED']} PRUNED, "
        f"{counts['FAIL']} FAIL), {counts['RUNNING']} {begun}, {status.trials - over - counts['RUNNING']} {rest}",
    ]
    if status.ended_by is not None:
        shown.append(ended_line(status.ended_by))
    if status.best is not None:
        shown.append(f"best so far: {_trial(status.best)}")
    shown += [f"{begun}: {_trial(trial)}" for trial in status.running]
    shown += [f"FAIL: trial {', '.join(ids)}: {reason}" for reason, ids in status.failures.items()]
    left = "not known yet" if status.hours_left is None else f"about {status.hours_left:.2f} hours"
    shown.append(f"trained: {status.trial_hours:.2f} hours in all trials, {status.gpu_hours:.2f} GPU hours")
    shown += [f"{cap.cap}: {_used(cap)} used" for cap in status.caps]
    return shown if status.state == "finished" else [*shown, f"left: {left}, without the baselines"]


def _state(status: SearchStatus) -> str:
    if status.state == "finished":
        return f"finished; its report is {Path(status.storage) / 'report.md'}"
    if status.state == "interrupted":
        storage = Path(status.storage).parent
        return f"interrupted; go on with: gazetune search --resume {status.name} --storage {storage}"
    if status.driver is None:
        return "starting"
    driver = status.driver
    return f"running with {driver.slots} slot(s), process {driver.pid} on {driver.host} since {driver.since}"


def _used(cap: CapUse) -> str:
    if cap.cap == "search.max_disk":
        return f"{cap.used / 1e9:.3f} of {cap.limit / 1e9:g} GB"
    unit = "GPU hours" if cap.cap == "search.max_gpu_hours" else "hours"
    return f"{cap.used:.2f} of {cap.limit:g} {unit}"


def _trial(trial: BegunTrial) -> str:
    of = "" if trial.budget is None else f" of {trial.budget}"
    accuracy = "" if trial.val_accuracy is None else f", validation accuracy {trial.val_accuracy:.3f}"
    return f"trial {trial.id}, {trial.examples}{of} examples{accuracy}"
