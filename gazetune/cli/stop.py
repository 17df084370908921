"""`gazetune stop`: end a running search so that it can be resumed, or one of its trials."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gazetune.errors import InputError


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("stop", help="stop a running search, or one trial of it", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help="name of the search")
    parser.add_argument("--trial", metavar="ID", help="stop this trial alone, at its next evaluation: it is PRUNED")
    parser.add_argument(
        "--storage",
        type=Path,
        default=Path("gazetune_runs"),
        metavar="DIR",
        help="folder of all results (default: ./gazetune_runs)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask the driver, and say what it will do."""
    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        told = stop(args.storage.resolve(), args.name, args.trial)
    print(told)
    return 0


def stop(storage: Path, name: str, trial: str | None) -> str:
    """Ask the driver of a search to stop it or one of its trials, and return what comes of that.

    Raises
    ------
    InputError
        When there is no such search, nobody drives it, or it has begun no such trial.
    """
    from gazetune.search.folder import SearchFolder
    from gazetune.search.status import read_status

    status = read_status(storage, name)
    if status.state == "finished":
        raise InputError(f"search '{name}' is not running: it is finished")
    resume = f"gazetune search --resume {name} --storage {storage}"
    if status.state == "interrupted":
        raise InputError(f"search '{name}' is not running; go on with: {resume}")
    folder, _ = SearchFolder.find(storage, name)
    if trial is None:
        folder.steering.ask_to_stop(None)
        return f"search {name} is asked to stop; go on later with: {resume}"
    running = [each.id for each in status.running]
    wanted = trial.zfill(4)
    begun = sum(status.states.values())
    if not (wanted.isdecimal() and int(wanted) < begun) and wanted not in running:
        accepted = ", ".join(running) if running else "none runs now"
        raise InputError(f"--trial {trial}: search '{name}' has begun no such trial; accepted: {accepted}")
    if wanted not in running:
        return f"trial {wanted} is over already"
    folder.steering.ask_to_stop(wanted)
    return f"trial {wanted} is asked to stop at its next evaluation"
