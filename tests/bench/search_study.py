"""A study of many trials through the real driver, Ray Tune, searcher, schedulers, ledger, MLflow, board and slots.

The workers replay the curves of the recorded table (`tests.bench.search_replayed`) in the place of training. The
search is stopped by hand when it has so many trials, and resumed. Its last proposals are made in turn with bare
Optuna's on a copy of its study.
"""

from __future__ import annotations

import functools
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil

from gazetune.cli.main import main as gazetune
from gazetune.search.folder import SearchFolder
from gazetune.search.space.space_file import read_space
from gazetune.search.study import searcher
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.searcher import StudySearcher
from gazetune.search.study.storage import own_study_url
from gazetune.tracking.mlflow_runs import Tracker
from tests.bench.search_replayed import replaying_loop
from tests.bench.search_table import SPACE, Table, numbers
from tests.bench.search_worker import use

NAME = "regret"
WARM_TRIALS = 50
"""Trials after which the driver's memory is looked at first: imports and caches are there by then."""
MARKS = (50, 100, 250, 500, 750, 1000)
LAST = 30
"""Proposals that a figure is the median of."""
NEVER_REACHED = 10_000
"""`search.trials`: the search is always stopped before."""
TRACKED = ("start_trial", "log_metrics", "log_series", "log_file", "finish")
STOPPED = 130
"""Exit code of a search that was stopped by hand."""
BARE_WARM_UP = 3
FEWEST = WARM_TRIALS + LAST + BARE_WARM_UP + 7


class BareOptuna:
    """Optuna alone on a copy of the search's study: the same sampler, which it keeps, and the same kind of storage."""

    def __init__(self, folder: Path) -> None:
        """Copy the study of the search in `folder` as it is now."""
        self._space, self._table = read_space(SPACE), Table.read()
        self._number, self._accuracy = numbers(self._space), self._table.right.mean(axis=2)
        copy = folder.with_name("bare")
        copy.mkdir()
        shutil.copy(folder / "study.db", copy)
        sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True)
        self._study = optuna.load_study(study_name=NAME, storage=own_study_url(copy), sampler=sampler)

    def propose(self) -> float:
        """Propose a trial, tell the study what its configuration reached, and return the seconds of the proposal."""
        began = time.perf_counter()
        trial = self._study.ask()
        params = propose_values(trial, self._space)
        seconds = time.perf_counter() - began
        at = self._number(self._space.trial_config(params).model_dump(mode="json"))
        for examples, value in zip(self._table.examples.tolist(), self._accuracy[at].tolist(), strict=True):
            trial.report(value, examples)
        self._study.tell(trial, float(self._accuracy[at, -1]))
        return seconds


class Proposals:
    """What the driver's process did until it was told to stop."""

    def __init__(self, trials: int, folder: Path, stop: Callable[[], None]) -> None:
        """`stop` is called when so many trials have ended; with 0 once the first one was handed out."""
        self._trials, self._folder, self._stop = trials, folder, stop
        self._asking = 0.0
        self._bare: BareOptuna | None = None
        self.bare: list[float] = []
        """Seconds of bare Optuna's proposals, one after each of the last ones here: what else runs meets both."""
        self.began = time.monotonic()
        self.seconds: list[float] = []
        """Of each proposal: asking the study for a trial and the sampler for each parameter."""
        self.resident: list[int] = []
        """Bytes of the process after each proposal."""
        self.finished = 0
        self.tracking = 0.0
        """Seconds spent in MLflow."""
        self.first: tuple[float, float] | None = None
        """When the first trial was handed out, in seconds since the start, and how many of these went to MLflow."""

    def asked(self, result: Any, seconds: float) -> None:
        """Hear of one part of a proposal."""
        self._asking += seconds

    def handed_out(self, result: Any, seconds: float) -> None:
        """Hear that the searcher was asked for a trial."""
        if not isinstance(result, dict):
            return  # no slot is free
        self.seconds.append(self._asking)
        self.resident.append(psutil.Process().memory_info().rss)
        if self._trials and len(self.seconds) > self._trials - LAST - BARE_WARM_UP:
            self._bare = self._bare or BareOptuna(self._folder)
            self.bare.append(self._bare.propose())
        self._asking = 0.0
        if self.first is None:
            self.first = (time.monotonic() - self.began, self.tracking)
            if not self._trials:
                self._stop()

    def ended(self, result: Any, seconds: float) -> None:
        """Hear that a trial ended."""
        self.finished += 1
        if self.finished == self._trials:
            self._stop()
        if self.finished % 100 == 0:
            print(f"{self.finished} trials after {time.monotonic() - self.began:.0f} s", file=sys.stderr, flush=True)

    def tracked(self, result: Any, seconds: float) -> None:
        """Hear of one call of the tracker."""
        self.tracking += seconds


def measure(storage: Path, trials: int) -> dict[str, Any]:
    """Run the study, bare Optuna beside it, and the resumed study, and return the figures.

    Raises
    ------
    SystemExit
        For fewer than `FEWEST` trials, and when a search does not end as it should.
    """
    if trials < FEWEST:
        raise SystemExit(f"--study-trials: {trials} are too few; accepted: {FEWEST} or more")
    use(replaying_loop)
    began = time.monotonic()
    arguments = ["search", str(SPACE), "--trials", str(NEVER_REACHED), "--storage", str(storage)]
    study = drive(arguments, storage, trials)
    seconds = time.monotonic() - began
    print(f"{study.finished} trials took {seconds:.0f} s", file=sys.stderr, flush=True)
    ours, beside = (1000 * statistics.median(each[-LAST:]) for each in (study.seconds, study.bare))
    resumed = drive(["search", "--resume", NAME, "--storage", str(storage)], storage, 0)
    assert resumed.first is not None, "the resumed search proposed nothing"
    # Before bare Optuna's copy of the study came into the process.
    resident = study.resident[: -len(study.bare)]
    return {
        "proposal_ms_at_1000": round(ours, 1),
        "proposal_ratio_at_1000": round(ours / beside, 3),
        "driver_mb_growth": round((resident[-1] - resident[WARM_TRIALS]) / 1e6, 1),
        "resume_seconds_1000": round(resumed.first[0], 2),
        "study": {
            "trials": study.finished,
            "proposal_ms_of_bare_optuna": round(beside, 1),
            "proposal_ms_by_trial": by_trial([1000 * each for each in study.seconds], 1),
            "driver_mb_by_trial": by_trial([size / 1e6 for size in resident], 0),
            "seconds_in_all": round(seconds, 1),
            "seconds_in_mlflow": round(study.tracking, 1),
            "resume_seconds_in_mlflow": round(resumed.first[1], 2),
            "curves": f"{len(Table.read().fresh)} recorded configurations",
        },
    }


def drive(arguments: list[str], storage: Path, trials: int) -> Proposals:
    """Run a command of `gazetune` that searches, in this process, until so many trials finished; then stop it by hand.

    With 0 trials it is stopped once the first one was handed out.

    Raises
    ------
    SystemExit
        When it does not end as one that was stopped.
    """
    folder = SearchFolder(storage / NAME)
    made = Proposals(trials, folder.path, lambda: folder.requests.request_stop(None))
    with ExitStack() as wrapped:
        wrapped.enter_context(_around(optuna.Study, "ask", made.asked))
        wrapped.enter_context(_around(searcher, "propose_values", made.asked))
        wrapped.enter_context(_around(StudySearcher, "suggest", made.handed_out))
        wrapped.enter_context(_around(StudySearcher, "on_trial_complete", made.ended))
        for name in TRACKED:
            wrapped.enter_context(_around(Tracker, name, made.tracked))
        code = gazetune([*arguments, "--json"])
    if code != STOPPED:
        raise SystemExit(f"gazetune {' '.join(arguments)} ended with {code} after {made.finished} trials")
    return made


@contextmanager
def _around(owner: object, name: str, note: Callable[[Any, float], None]) -> Iterator[None]:
    """Tell `note` what each call of a method returns and how many seconds it took."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        result = original(*arguments, **named)
        note(result, time.perf_counter() - began)
        return result

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, original)


def by_trial(values: Sequence[float], digits: int) -> dict[int, float]:
    """Return the median of the values around each of some trials."""
    marks = [at for at in MARKS if at <= len(values)]
    return {at: round(statistics.median(values[max(0, at - LAST) : at]), digits) for at in marks}
