"""Program: several processes write into one study at once. Arguments: URL, study, processes, trials of each."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier

import optuna

from gazetune.search.study.storage import find_study

STEPS = (10, 20, 30)


def write(url: str, name: str, writer: int, trials: int, start: Barrier) -> None:
    study = find_study(url, name)
    assert study is not None
    study.sampler = optuna.samplers.RandomSampler(seed=writer)
    start.wait()
    for turn in range(trials):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        for step in STEPS:
            trial.report(writer + step / 100, step)
        trial.set_user_attr("writer", writer)
        study.tell(trial, 1000 * writer + turn)


def main() -> int:
    url, name, processes, trials = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    context = multiprocessing.get_context("fork")
    start = context.Barrier(processes)
    writers = [context.Process(target=write, args=(url, name, number, trials, start)) for number in range(processes)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return sum(writer.exitcode != 0 for writer in writers)


if __name__ == "__main__":
    sys.exit(main())
