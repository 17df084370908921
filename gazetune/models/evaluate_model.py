"""Any reward model on a public benchmark or on a file of preference pairs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gazetune.errors import InputError
from gazetune.evaluate.benchmarks.own_pairs import PAIR_SOURCES, PairAccuracy, read_own_pairs
from gazetune.evaluate.benchmarks.read_items import BenchmarkRows, read_benchmark
from gazetune.evaluate.benchmarks.registry import ScoringRule, benchmark_names, find_benchmark
from gazetune.evaluate.benchmarks.run_benchmark import BenchmarkResult, RowProgress, ScoreChats, run_benchmark
from gazetune.evaluate.margins import write_margins
from gazetune.files.paths import path_exists
from gazetune.models.resolve import resolve_saved_model
from gazetune.reward.saved.saved_files import is_classifier

BENCHMARKS = "benchmarks"
"""Folder below the storage that the margins of every evaluation are kept in."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def evaluate_model(
    model: str | Path,
    on: str,
    data: str | Path | None = None,
    storage: str | Path = "gazetune_runs",
) -> BenchmarkResult:
    """Return what a reward model reaches on a public benchmark, or on a file of preference pairs.

    The margins of all pairs are kept as `STORAGE/benchmarks/BENCHMARK/MODEL.parquet`, which `gazetune compare` takes.

    Parameters
    ----------
    model
        A saved model by any of its names, or a sequence-classification model of transformers with one label: a folder,
        or an id on the hub.
    on
        A benchmark (`rewardbench`, `rewardbench2`, `rm-bench`, `judgebench`, `ppe`), a published data set of pairs
        (`oasst1`, `helpsteer2`: their validation split), or a file of pairs, all of whose rows are scored.
    data
        Where the benchmark's rows are: a file or a folder; None for its data set on the hub.
    storage
        The folder of all results.

    Raises
    ------
    InputError
        When the model or the rows are not there or are others than was said.

    Examples
    --------
    >>> from gazetune import evaluate_model
    >>> result = evaluate_model("gazetune_runs/mine/best", on="pairs.jsonl")
    >>> 0.0 <= result.score.accuracy <= 1.0, result.n
    (True, 3)
    """
    (result,) = evaluate_models([str(model)], on, None if data is None else str(data), Path(storage))
    return result


def evaluate_models(
    models: Sequence[str],
    on: str,
    data: str | None,
    storage: Path,
    begin: Callable[[str, Callable[[], str]], object] = lambda activity, describe: None,
) -> list[BenchmarkResult]:
    """Return what several models reach on the same rows; see `evaluate_model`.

    Parameters
    ----------
    begin
        Told what begins, with what says how far it is.

    Raises
    ------
    InputError
        As `evaluate_model`; nothing is scored where one of the models is not there.
    """
    name, rule, rows = read_evaluation(on, data)
    scorers = {model: find_scorer(model, storage) for model in models}
    results = []
    for model, load in scorers.items():
        progress = RowProgress(len(rows.items))
        begin(f"scoring {progress.rows} rows with {model}", progress.describe)
        result = run_benchmark(name, rule, rows, model, load(), progress)
        file = margins_path(storage, name, model)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_margins(file, result.margins)
        results.append(result)
    return results


def read_evaluation(on: str, data: str | None) -> tuple[str, ScoringRule, BenchmarkRows]:
    """Return the name, the rule and the rows of what a model is to be evaluated on.

    Raises
    ------
    InputError
        When there is nothing of this name, or its rows cannot be read.
    """
    if on in benchmark_names():
        benchmark = find_benchmark(on)
        return on, benchmark.rule, read_benchmark(benchmark, data)
    if on in PAIR_SOURCES or path_exists(on):
        return Path(on).name, PairAccuracy(), read_own_pairs(on, data)
    return on, find_benchmark(on).rule, BenchmarkRows()  # raises, with the names that there are


def find_scorer(model: str, storage: Path) -> Callable[[], ScoreChats]:
    """Return what loads a model and gives what scores conversations with it.

    Raises
    ------
    InputError
        When there is no such model.
    """
    if is_classifier(Path(model)):
        return lambda: _load_classifier(model)
    try:
        folder = resolve_saved_model(model, storage)
    except InputError:
        if not _HUB_ID.fullmatch(model) or path_exists(model):
            raise
        return lambda: _load_classifier(model)
    return lambda: _load_saved_model(folder)


def _load_saved_model(folder: Path) -> ScoreChats:
    from gazetune.reward.saved.reward_scorer import RewardScorer

    scorer = RewardScorer(folder)
    return lambda chats: scorer.score(chats).tolist()


def _load_classifier(model: str) -> ScoreChats:
    from gazetune.reward.saved.classifier_scorer import ClassifierScorer

    scorer = ClassifierScorer(model)
    return lambda chats: scorer.score(chats).tolist()


def margins_path(storage: Path, benchmark: str, model: str) -> Path:
    """Return where the margins of a model on a benchmark are kept; a name that no file can have gets its digest, too.

    Examples
    --------
    >>> margins_path(Path("runs"), "ppe", "demo").name, margins_path(Path("runs"), "ppe", "demo:2").name
    ('demo.parquet', 'demo_2-ad2e09ba.parquet')
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", model).strip("_")
    if name != model:  # `a/b` and `a:b` are two models
        name = f"{name}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    return storage / BENCHMARKS / benchmark / f"{name}.parquet"
