"""Program: drivers and onlookers open a storage without tables at once. Arguments: URL, folder, number of each.

Each driver makes a study `s0`, `s1`, ... of its own; the onlookers ask for the first one until it is there.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna

from gazetune.search.study.storage import find_study, open_shared_study


def drive(url: str, folder: Path, number: int, start: Barrier) -> None:
    (folder / f"s{number}").mkdir()
    start.wait()
    open_shared_study(url, f"s{number}", ["maximize"], folder / f"s{number}")


def look(url: str, start: Barrier) -> None:
    start.wait()
    while find_study(url, "s0") is None:
        pass


def main() -> int:
    url, folder, each = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    context = multiprocessing.get_context("fork")
    start = context.Barrier(2 * each)
    openers = [context.Process(target=drive, args=(url, folder, number, start)) for number in range(each)]
    openers += [context.Process(target=look, args=(url, start)) for _ in range(each)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(timeout=100)
        opener.kill()
    return sum(opener.exitcode != 0 for opener in openers)


if __name__ == "__main__":
    sys.exit(main())
