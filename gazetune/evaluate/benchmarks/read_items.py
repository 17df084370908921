"""The rows of a benchmark from a file, a folder or the hub, and those that cannot be read, counted by their reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gazetune.errors import InputError
from gazetune.evaluate.benchmarks.registry import Benchmark, BenchmarkItem, recognise_benchmark
from gazetune.files.folder_files import list_files
from gazetune.files.paths import path_exists
from gazetune.preferences.source_splits import read_hub_rows
from gazetune.preferences.sources.rows import SUFFIXES, Row, RowError, read_rows

SUFFIX_OF_LISTS = ".json"
"""A file that is one JSON list of rows, as RM-Bench has them."""


@dataclass
class BenchmarkRows:
    """What was read of a benchmark."""

    items: list[BenchmarkItem] = field(default_factory=list)
    left_out: int = 0
    """Rows that the published rule leaves out."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> rows that cannot be read or scored."""
    first_skipped: str = ""
    """The whole line about the first of these."""

    def skip(self, error: InputError) -> None:
        """Count a row that cannot be used."""
        self.skipped[getattr(error, "reason", str(error))] += 1
        self.first_skipped = self.first_skipped or str(error)


def read_benchmark(benchmark: Benchmark, data: str | None) -> BenchmarkRows:
    """Return the rows of a benchmark.

    Parameters
    ----------
    data
        A file, a folder of files, or another id on the hub; None for the benchmark's own id.

    Raises
    ------
    InputError
        When there is no such file, it holds another benchmark's rows, or none of its rows can be read.
    """
    place = data or benchmark.hub
    found = BenchmarkRows()
    for number, row in enumerate(_read_all(benchmark, place, found)):
        if number == 0:
            _check_columns(benchmark, row)
        try:
            item = benchmark.rule.read_row(row)
        except RowError as error:
            found.skip(error)
            continue
        if item is None:
            found.left_out += 1
        else:
            found.items.append(item)
    if not found.items:
        first = f"; the first: {found.first_skipped}" if found.first_skipped else ""
        raise InputError(f"{place}: has no rows of {benchmark.name} that can be scored{first}")
    return found


def _read_all(benchmark: Benchmark, place: str, found: BenchmarkRows) -> Iterator[Row]:
    if not path_exists(place):
        splits = read_hub_rows(place, [benchmark.hub])
        if benchmark.split not in splits:
            raise InputError(f"{place}: has no split '{benchmark.split}'; it has {', '.join(splits)}")
        yield from splits[benchmark.split]
        return
    for file in _files_of(Path(place)):
        yield from _read_list(file) if file.suffix.lower() == SUFFIX_OF_LISTS else read_rows(file, found.skip)


def _files_of(place: Path) -> Iterable[Path]:
    if not place.is_dir():
        return [place]

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    accepted = (*SUFFIXES, SUFFIX_OF_LISTS)
    files = sorted(file for file in list_files(place, refuse) if file.name.lower().endswith(accepted))
    if not files:
        raise InputError(f"--data: folder '{place}' has no data files; accepted: {', '.join(accepted)}")
    return files


def _read_list(file: Path) -> Iterator[Row]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: is no list of objects; accepted: a JSON list of rows, or JSON lines in FILE.jsonl")
    for number, row in enumerate(rows, start=1):
        yield Row(f"{file}:{number}", row)


def _check_columns(benchmark: Benchmark, row: Row) -> None:
    """Refuse rows of another benchmark, or without a column that this one needs."""
    missing = [name for name in benchmark.columns if name not in row.values]
    if not missing:
        return
    meant = recognise_benchmark(row.values)
    hint = f"; these are the columns of --on {meant}" if meant is not None else ""
    raise InputError(
        f"{row.origin}: has no {', '.join(missing)}, and {benchmark.name} has {', '.join(benchmark.columns)}{hint}"
    )
