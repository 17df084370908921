"""The predictor `recorded`: measures of real readers, from a Parquet file, for exactly the texts that were read.

Columns: text_sha256 (hex, of the message's UTF-8 content), reader, word (its text or its index), start, end (character
offsets), nFix, FFD, GPT, TRT, fixProp. One row for a word and reader.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError, did_you_mean
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.registry import gaze_predictor
from gazetune.gaze.words import text_key, word_spans

_TYPES = {
    "text_sha256": pa.string(),
    "reader": pa.string(),
    "word": pa.int64(),
    "start": pa.int64(),
    "end": pa.int64(),
    **dict.fromkeys(MEASURES, pa.float64()),
}
_SPAN = ("text_sha256", "start", "end")
_LONGEST = np.iinfo(np.int32).max


class RecordedPredictor:
    """Recorded measures: the mean over the readers of a word, or one reader's.

    Readers are aligned by span: a word's mean is over the readers who have a row for it, so a word that a reader
    skipped must stand in the file with zeros.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a row has a bad span or a missing or negative measure, a
        reader has a span twice, spans of one text overlap, or no row is of `reader`.
    """

    def __init__(self, path: Path, reader: str | None = None) -> None:
        self._path = path
        content, table = _read_table(path)
        if reader is not None:
            readers = pc.unique(table["reader"]).to_pylist()
            if reader not in readers:
                raise InputError(f"gaze.reader: '{reader}' read nothing in {path}; {did_you_mean(reader, readers)}")
            table = table.filter(pc.equal(table["reader"], reader))
        self._reader = reader
        self._hash = hashlib.sha256(content).hexdigest()
        measures = [(name, "mean") for name in MEASURES]
        # Rows are grouped by the word, too. Where two readers have different words at one span, two groups with
        # the same span are left, and these are refused as an overlap.
        words = table.group_by([*_SPAN, "word"]).aggregate([("row", "min"), *measures])
        words = words.sort_by([(name, "ascending") for name in (*_SPAN, "row_min")])
        keys = words["text_sha256"].to_pylist()
        self._spans = np.stack([words["start"].to_numpy(), words["end"].to_numpy()], axis=1).astype(np.int32)
        self._values = np.stack([words[f"{name}_mean"].to_numpy() for name in MEASURES], axis=1).astype(np.float32)
        self._words = words["word"]
        self._numbers = words["row_min"].to_numpy()
        bounds = [0, *(row for row in range(1, len(keys)) if keys[row] != keys[row - 1]), len(keys)]
        self._rows = {keys[low]: slice(low, high) for low, high in itertools.pairwise(bounds) if high > low}
        for rows in self._rows.values():
            self._refuse_overlap(rows)

    @property
    def fingerprint(self) -> str:
        """Hash of the file and of the reader; the trailing number counts versions of the averaging."""
        whose = "mean" if self._reader is None else hashlib.sha256(self._reader.encode()).hexdigest()[:16]
        return f"recorded-{self._hash[:32]}-{whose}-1"

    def check_texts(self, texts: Sequence[str]) -> None:
        """Refuse texts without a recording before any is looked up.

        Raises
        ------
        InputError
            Naming how many texts have none, and the first one. Texts without a word need none.
        """
        missing = [text for text in texts if text.strip() and text_key(text).hex() not in self._rows]
        if missing:
            raise InputError(
                f"{self._path}: {len(missing)} of {len(texts)} texts have no recording, first "
                f"text_sha256 {text_key(missing[0]).hex()}, which begins {missing[0][:40]!r}"
            )

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the recorded measures of each text; its units are the recorded words.

        Raises
        ------
        InputError
            If a text has no recording, or its recorded spans or words do not fit it.
        """
        self.check_texts(texts)
        return [self._look_up_text(text) for text in texts]

    def _look_up_text(self, text: str) -> TextGaze:
        rows = self._rows.get(text_key(text).hex(), slice(0, 0))
        spans = self._spans[rows]
        for number, (start, end), word in zip(
            self._numbers[rows].tolist(), spans.tolist(), self._words[rows.start : rows.stop].to_pylist(), strict=True
        ):
            if end > len(text):
                raise InputError(
                    f"{self._path} row {number}: end: {end}; accepted: at most the text's {len(text)} characters"
                )
            if isinstance(word, str) and text[start:end] != word:
                found = text[start:end]
                raise InputError(
                    f"{self._path} row {number}: word: {word!r}, but characters {start} to {end} are {found!r}"
                )
        # The index of the word that a span starts in.
        words = np.searchsorted(word_spans(text)[:, 0], spans[:, 0], side="right") - 1
        return TextGaze(spans, self._values[rows], np.maximum(words, 0).astype(np.int32))

    def _refuse_overlap(self, rows: slice) -> None:
        spans = self._spans[rows]
        bad = np.flatnonzero(spans[1:, 0] < spans[:-1, 1])
        if len(bad):
            (start, _), (_, end) = spans[bad[0] + 1], spans[bad[0]]
            number = self._numbers[rows][bad[0] + 1]
            raise InputError(f"{self._path} row {number}: start: {start} lies in another word, which ends at {end}")


def _read_table(path: Path) -> tuple[bytes, pa.Table]:
    """Return the file's bytes and its checked rows, with a column `row` that counts them from 1."""
    try:
        content = path.read_bytes()
        table = pq.read_table(pa.BufferReader(content))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
    types = dict(_TYPES)
    for name in types:
        if name not in table.column_names:
            raise InputError(f"{path}: column '{name}' is missing; it has {', '.join(table.column_names)}")
    if not pa.types.is_integer(table.schema.field("word").type):
        types["word"] = pa.string()
    columns = {name: _read_column(path, table, name, kind) for name, kind in types.items()}
    columns["text_sha256"] = pc.utf8_lower(columns["text_sha256"])
    table = pa.table({**columns, "row": np.arange(1, len(table) + 1)})
    _refuse_bad_rows(path, table)
    return content, table


def _read_column(path: Path, table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        column = table[name].cast(kind)
    except pa.ArrowException as error:
        raise InputError(f"{path}: column '{name}': {str(error).splitlines()[0]}; accepted: {kind}") from None
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise InputError(f"{path} row {row}: {name}: is missing")
    return column


def _refuse_bad_rows(path: Path, table: pa.Table) -> None:
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    checks = [
        ("text_sha256", ~pc.match_substring_regex(table["text_sha256"], "^[0-9a-f]{64}$").to_numpy(), "64 hex digits"),
        ("start", start < 0, "0 or more"),
        ("end", (end <= start) | (end > _LONGEST), "more than start"),
    ]
    for name in MEASURES:
        values = table[name].to_numpy()
        checks.append((name, ~(np.isfinite(values) & (values >= 0)), "0 or more"))
    for name, bad, accepted in checks:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(f"{path} row {row + 1}: {name}: {table[name][row].as_py()}; accepted: {accepted}")
    once = table.group_by(["reader", *_SPAN]).aggregate([("row", "max"), ("row", "count")])
    twice = once.filter(pc.greater(once["row_count"], 1))
    if len(twice):
        row = pc.min(twice["row_max"]).as_py()
        raise InputError(
            f"{path} row {row}: start: the reader has this word twice; accepted: one row a word and reader"
        )


@gaze_predictor("recorded", reads_chats=False)
def create_recorded(config: Config) -> RecordedPredictor:
    """Build the predictor from `gaze.path` and `gaze.reader`."""
    if config.gaze.path is None:
        raise InputError("gaze.path: is not set; gaze.predictor 'recorded' needs a Parquet file of recorded measures")
    return RecordedPredictor(Path(config.gaze.path), config.gaze.reader)
