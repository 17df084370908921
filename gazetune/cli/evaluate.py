"""`gazetune evaluate`: models on a public benchmark or a file of pairs, or trials of a search on its test pairs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gazetune.cli.program.options import (
    Subparsers,
    add_json_option,
    add_storage_option,
    path_argument,
    path_or_name_argument,
)
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.evaluate.benchmarks.run_benchmark import BenchmarkResult
    from gazetune.models.evaluate_trials import EvaluatedTrial

_WARNING = (
    "The search compared its winner alone on these pairs. Whoever chooses among the others by what they score here has "
    "no test pairs left; they are marked as looked at."
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score models on a public benchmark or a file of pairs, or more trials of a search on its test pairs",
        allow_abbrev=False,
    )
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        type=path_or_name_argument,
        help="with --on: saved models by any name, or reward models of transformers (folder or hub id); without: the "
        "name of a finished search",
    )
    parser.add_argument(
        "--on",
        metavar="BENCHMARK",
        help="rewardbench, rewardbench2, rm-bench, judgebench, ppe, oasst1, helpsteer2, or a FILE of pairs",
    )
    parser.add_argument(
        "--data",
        type=path_or_name_argument,
        metavar="PATH",
        help="with --on: where the rows of the benchmark are, a file or folder (default: its data set on the hub)",
    )
    parser.add_argument(
        "--out", type=path_argument, metavar="DIR", help="with --on: write the table as LaTeX and CSV into this folder"
    )
    parser.add_argument(
        "--top", type=int, metavar="K", help="without --on: the trials of the ranks 1 to K (default: 5)"
    )
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Evaluate models on what `--on` names, else trials of a search."""
    if args.on is not None:
        if args.top is not None:
            raise InputError("--top: says which trials of a search are scored on its test pairs; not with --on")
        return _evaluate_on(args)
    for option, value in (("--data", args.data), ("--out", args.out)):
        if value is not None:
            raise InputError(f"{option}: goes with --on, which says what the models are evaluated on")
    if len(args.models) > 1:
        raise InputError(f"{args.models[1]}: one search at a time without --on; accepted: gazetune evaluate NAME")
    return _evaluate_trials(args)


def _evaluate_on(args: argparse.Namespace) -> Outcome:
    from gazetune.models.evaluate_model import evaluate_models, margins_path
    from gazetune.report.activity import ActivityLines

    twice = next((name for name in args.models if args.models.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"model {twice} is named twice; accepted: each model once")
    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise InputError(f"--out: '{args.out}' is no folder")
    with ActivityLines() as lines:
        results = evaluate_models(args.models, args.on, args.data, args.storage, lines.begin)
    files = [] if args.out is None else _write_tables(args, results)
    kept = [str(margins_path(args.storage, results[0].benchmark, each.model)) for each in results]
    documents = [{**each.to_json(), "margins": file} for each, file in zip(results, kept, strict=True)]

    def print_for_people() -> None:
        from gazetune.evaluate.comparison import compare_runs
        from gazetune.report.benchmark_table import print_benchmark
        from gazetune.report.comparison import print_comparison

        print_benchmark(results)
        if len(results) > 1:
            print_comparison(compare_runs({each.model: [each.margins] for each in results}, shared=True), args.on)
        for file in [*kept, *files]:
            print(file)

    return Outcome(documents if len(documents) > 1 else documents[0], print_for_people)


def _write_tables(args: argparse.Namespace, results: list[BenchmarkResult]) -> list[str]:
    from gazetune.files.atomic_write import write_atomically
    from gazetune.report.benchmark_table import benchmark_csv, benchmark_latex

    name = results[0].benchmark
    files = {f"{name}.tex": benchmark_latex(results), f"{name}.csv": benchmark_csv(results)}
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            write_atomically(args.out / file, content)
    except OSError as error:
        raise InputError(f"--out: '{args.out}' cannot be written ({error.strerror or error})") from None
    return [str(args.out / file) for file in files]


def _evaluate_trials(args: argparse.Namespace) -> Outcome:
    from dataclasses import asdict

    from gazetune.models.evaluate_trials import evaluate_best_trials
    from gazetune.report.activity import ActivityLines

    (name,), top = args.models, 5 if args.top is None else args.top
    if top < 1:
        raise InputError(f"--top: {top} is not accepted; accepted: 1 or more")
    with ActivityLines() as lines:
        lines.begin("scoring trials on the test pairs")
        found = evaluate_best_trials(name, args.storage, top, lines.print_line)
    document = {"name": name, "trials": [asdict(trial) for trial in found], "note": _WARNING}
    return Outcome(document, lambda: _print_trials(found))


def _print_trials(found: list[EvaluatedTrial]) -> None:
    from rich.console import Console
    from rich.text import Text

    from gazetune.report.table import make_text_table
    from gazetune.report.wording import format_interval, format_percent, format_points

    head = ["rank", "trial", "validation %", "test % (95 % interval)", "winner minus trial, points"]
    head += ["Holm's p", "looked at"]
    rows = []
    for trial in found:
        difference, ends = trial.difference, trial.difference_ci95
        points = "-" if difference is None or ends is None else format_points(difference, ends)
        p = "-" if trial.p_adjusted is None else f"{trial.p_adjusted:.3g}"
        accuracy = f"{format_percent(trial.accuracy)} ({format_interval(trial.ci95)})"
        seen = "yes" if trial.looked_at else "by the search"
        rows.append([str(trial.rank), trial.id, format_percent(trial.val_accuracy), accuracy, points, p, seen])
    console = Console(soft_wrap=True)
    console.print(make_text_table(f"{found[0].n} test pairs", [head, *rows]))
    console.print(Text(_WARNING))
