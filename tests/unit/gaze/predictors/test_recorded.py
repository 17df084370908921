from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.predictors.recorded import RecordedPredictor
from gazetune.gaze.predictors.registry import create_predictor

TEXT = "Birds sing."
Rows = list[dict[str, Any]]


def row(reader: str, word: str, start: int, ffd: float, text: str = TEXT) -> dict[str, Any]:
    key = hashlib.sha256(text.encode()).hexdigest()
    measures = {"nFix": 10.0, "FFD": ffd, "GPT": 6.0, "TRT": 5.0, "fixProp": 100.0}
    return {"text_sha256": key, "reader": reader, "word": word, "start": start, "end": start + len(word), **measures}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Rows], Path]:
    def writing(rows: Rows) -> Path:
        path = tmp_path / "recorded.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path

    return writing


@pytest.fixture
def rows() -> Rows:
    return [
        row("ann", "sing.", 6, 4.0),
        row("ann", "Birds", 0, 2.0),
        row("bob", "Birds", 0, 3.0),
        row("bob", "Other", 0, 1.0, text="Other text"),
    ]


def test_measures_are_the_mean_over_the_readers_of_each_span(write: Callable[[Rows], Path], rows: Rows) -> None:
    gaze = RecordedPredictor(write(rows)).predict([TEXT])[0]
    assert gaze.spans.tolist() == [[0, 5], [6, 11]]
    assert gaze.values[:, 1].tolist() == [2.5, 4.0]
    assert gaze.values[0].tolist() == [10.0, 2.5, 6.0, 5.0, 100.0]
    assert gaze.words.tolist() == [0, 1]


def test_one_reader_can_be_picked(write: Callable[[Rows], Path], rows: Rows) -> None:
    config = {"gaze": {"predictor": "recorded", "path": str(write(rows)), "reader": "bob"}}
    gaze = create_predictor(Config.model_validate(config)).predict([TEXT])[0]
    assert gaze.values[:, 1].tolist() == [3.0]


def test_word_index_counts_the_words_of_the_text(write: Callable[[Rows], Path], rows: Rows) -> None:
    assert RecordedPredictor(write(rows[:1])).predict([TEXT])[0].words.tolist() == [1]


def test_word_column_may_be_the_index(write: Callable[[Rows], Path], rows: Rows) -> None:
    path = write([{**each, "word": int(each["start"] > 0)} for each in rows])
    assert RecordedPredictor(path).predict([TEXT])[0].spans.tolist() == [[0, 5], [6, 11]]


def test_text_without_words_needs_no_recording(write: Callable[[Rows], Path], rows: Rows) -> None:
    assert [len(gaze.values) for gaze in RecordedPredictor(write(rows)).predict(["", " \n", TEXT])] == [0, 0, 2]


def test_texts_without_recording_are_counted_and_the_first_is_named(write: Callable[[Rows], Path], rows: Rows) -> None:
    key = hashlib.sha256(b"unread text").hexdigest()
    with pytest.raises(InputError, match=f"2 of 3 texts have no recording.*{key}.*'unread text'"):
        RecordedPredictor(write(rows)).predict([TEXT, "unread text", "another"])


def test_fingerprint_changes_with_file_and_reader(write: Callable[[Rows], Path], rows: Rows) -> None:
    path = write(rows)
    prints = {RecordedPredictor(path, reader).fingerprint for reader in (None, "ann", "bob")}
    rows[0]["FFD"] = 4.5
    assert len(prints | {RecordedPredictor(write(rows)).fingerprint}) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"FFD": -1.0}, "recorded.parquet row 2: FFD: -1.0; accepted: 0 or more"),
        ({"TRT": float("nan")}, "recorded.parquet row 2: TRT: nan"),
        ({"GPT": None}, "recorded.parquet row 2: GPT: is missing"),
        ({"start": -1}, "recorded.parquet row 2: start: -1"),
        ({"end": 0}, "recorded.parquet row 2: end: 0; accepted: more than start"),
        ({"text_sha256": "abc"}, "recorded.parquet row 2: text_sha256: abc; accepted: 64 hex digits"),
        ({"end": 7}, "recorded.parquet row 1: start: 6 lies in another word, which ends at 7"),
        ({"word": "Fish?"}, "recorded.parquet row 2: word: 'Fish\\?', but characters 0 to 5 are 'Birds'"),
        ({"start": 12, "end": 20}, "recorded.parquet row 2: end: 20; accepted: at most the text's 11 characters"),
        ({"reader": "bob"}, "recorded.parquet row 3: start: the reader has this word twice"),
    ],
)
def test_bad_rows_are_refused_with_file_row_and_column(
    write: Callable[[Rows], Path], rows: Rows, change: dict[str, Any], message: str
) -> None:
    rows[1].update(change)
    if len(change) == 2 or change.keys() & {"word", "end"}:
        del rows[2]  # the other reader's row of this word would be a fault of its own
    with pytest.raises(InputError, match=message):
        RecordedPredictor(write(rows)).predict([TEXT])


def test_readers_who_disagree_about_a_word_are_refused(write: Callable[[Rows], Path], rows: Rows) -> None:
    rows[2]["word"] = "Fishy"
    with pytest.raises(InputError, match="row 3: start: 0 lies in another word"):
        RecordedPredictor(write(rows))


def test_missing_column_unknown_reader_and_unreadable_file_are_refused(
    write: Callable[[Rows], Path], rows: Rows, tmp_path: Path
) -> None:
    path = write(rows)
    with pytest.raises(InputError, match=r"gaze\.reader: 'anne'.*did you mean 'ann'\?"):
        RecordedPredictor(path, "anne")
    with pytest.raises(InputError, match="column 'TRT' is missing"):
        RecordedPredictor(write([{key: value for key, value in each.items() if key != "TRT"} for each in rows]))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"recorded\.parquet: cannot be read as Parquet"):
        RecordedPredictor(path)
    with pytest.raises(InputError, match=r"gaze\.path"):
        create_predictor(Config.model_validate({"gaze": {"predictor": "recorded"}}))
