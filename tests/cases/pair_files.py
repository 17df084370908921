"""Files of preference pairs for the tests of this folder, and what is read of them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import Splits, load_splits

Rows = Sequence[Mapping[str, Any]]

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".arrow")


def make_rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return rows with prompts of their own."""
    return [
        {"prompt": f"Question {row}?", "chosen": f"Good {row}.", "rejected": f"Bad {row}."}
        for row in range(start, start + count)
    ]


def write_rows(path: Path, rows: Rows) -> Path:
    """Write rows in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".arrow":
        table = pa.Table.from_pylist(list(rows))
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text(lines)
    return path


def read_all(source: Path, **config: Any) -> tuple[list[PreferencePair], Splits]:
    """Return all pairs of a source in no order, and the splits they stand in."""
    splits = load_splits(DataConfig(source=str(source), **config))
    return [*splits.train, *splits.validation, *splits.test], splits


def refusal(source: Path, **config: Any) -> str:
    """Return the line with which a source is refused."""
    with pytest.raises(InputError) as caught:
        load_splits(DataConfig(source=str(source), **config))
    assert "\n" not in str(caught.value)
    return str(caught.value)
