"""`gazetune status`: what a search or an ablation does, has done and still has to do, seen from any terminal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option
from gazetune.cli.program.outcome import Outcome
from gazetune.files.paths import resolve_path

if TYPE_CHECKING:
    from gazetune.ablation.status import AblationStatus
    from gazetune.search.status import CapUse, ListedSearch, SearchStatus, TrialStatus


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("status", help="show how far a search or an ablation is", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the search or ablation (default: list all)")
    add_storage_option(parser)
    add_json_option(parser, "print the status as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Look at the search, or at all of them, and return what is seen."""
    from dataclasses import asdict

    from gazetune.ablation.status import describe_ablation, list_ablations
    from gazetune.search.status import list_searches, read_status

    storage = resolve_path(args.storage, "--storage")
    ablations = list_ablations(storage)
    if args.name is None:
        searches = list_searches(storage)
        listed = {"searches": [asdict(each) for each in searches], "ablations": [asdict(each) for each in ablations]}
        return Outcome(listed, lambda: _print_list(storage, searches, ablations))
    ablation = next((each for each in ablations if each.name == args.name), None)
    if ablation is not None:
        return Outcome(asdict(ablation), lambda: print("\n".join(describe_ablation(ablation))))
    status = read_status(storage, args.name)
    return Outcome(asdict(status), lambda: print("\n".join(_describe_status(status))))


def _print_list(storage: Path, searches: Sequence[ListedSearch], ablations: Sequence[AblationStatus]) -> None:
    for each in searches:
        state = each.phase if each.phase is not None and each.state == "running" else each.state
        best = "" if each.best_val_accuracy is None else f", best validation accuracy {each.best_val_accuracy:.3f}"
        if each.problem is not None:
            print(f"{each.name}: {each.problem}")
            continue
        print(f"{each.name}: {state}, {each.finished} of {each.trials} trials finished{best}")
    for ablation in ablations:
        if ablation.problem is not None:
            print(f"{ablation.name}: {ablation.problem}")
            continue
        state = ablation.state if ablation.driver is None else ablation.driver.phase
        print(f"{ablation.name}: an ablation, {state}, {ablation.complete} of {ablation.cells} cells finished")
    if not searches and not ablations:
        print(f"no search was started in {storage}")


def _describe_status(status: SearchStatus) -> list[str]:
    """Return the status for people, line by line."""
    from gazetune.report.wording import ended_line

    counts = status.states
    over = counts["COMPLETE"] + counts["PRUNED"] + counts["FAIL"]
    begun = "running" if status.state == "running" else "begun"
    rest = "to come" if status.ended_by is None else "not begun"
    shown = [
        f"search {status.name}: {_describe_state(status)}",
        f"trials: {over} of {status.trials} finished ({counts['COMPLETE']} COMPLETE, {counts['PRUNED']} PRUNED, "
        f"{counts['FAIL']} FAIL), {counts['RUNNING']} {begun}, {status.trials - over - counts['RUNNING']} {rest}",
    ]
    if status.ended_by is not None:
        shown.append(ended_line(status.ended_by))
    if status.best is not None:
        shown.append(f"best so far: {_describe_trial(status.best)}")
    shown += [f"{begun}: {_describe_trial(trial)}" for trial in status.running]
    shown += [f"FAIL: trial {', '.join(ids)}: {reason}" for reason, ids in status.failures.items()]
    left = "not known yet" if status.hours_left is None else f"about {status.hours_left:.2f} hours"
    shown.append(f"trained: {status.trial_hours:.2f} hours in all trials, {status.gpu_hours:.2f} GPU hours")
    shown += [f"{cap.cap}: {_describe_use(cap)} used" for cap in status.caps]
    return shown if status.state == "finished" else [*shown, f"left: {left}, without the baselines"]


def _describe_state(status: SearchStatus) -> str:
    if status.state == "finished":
        return f"finished; its report is {Path(status.storage) / 'report.md'}"
    if status.state == "interrupted":
        from gazetune.report.wording import resume_command

        storage = Path(status.storage).parent
        return f"interrupted; go on with: {resume_command(status.name, storage)}"
    if status.driver is None:
        return "starting"
    driver = status.driver
    doing = {
        "preparing": "preparing data and gaze",
        "running": f"running with {driver.slots} slot(s)",
        "confirming": "training the best trials again and comparing the chosen one on the test split",
        "comparing": "comparing the winner with the baselines on the test split",
    }
    return f"{doing[driver.phase]}, process {driver.pid} on {driver.host} since {driver.since}"


def _describe_use(cap: CapUse) -> str:
    if cap.cap == "search.max_disk":
        return f"{cap.used / 1e9:.3f} of {cap.limit / 1e9:g} GB"
    unit = "GPU hours" if cap.cap == "search.max_gpu_hours" else "hours"
    return f"{cap.used:.2f} of {cap.limit:g} {unit}"


def _describe_trial(trial: TrialStatus) -> str:
    of = "" if trial.budget is None else f" of {trial.budget}"
    accuracy = "" if trial.val_accuracy is None else f", validation accuracy {trial.val_accuracy:.3f}"
    return f"trial {trial.id}, {trial.examples}{of} examples{accuracy}"
