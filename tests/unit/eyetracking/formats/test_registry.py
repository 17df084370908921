"""A format of recordings joins by one decorated function; which formats are read, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.assign_words import TrialLimits
from gazetune.eyetracking.formats.registry import (
    RECORDING_FORMATS,
    LoadedRecordings,
    RecordingSource,
    recording_format,
)
from gazetune.eyetracking.import_recordings import import_recordings
from gazetune.eyetracking.import_settings import ImportSettings
from gazetune.eyetracking.read_recordings import read_recordings
from gazetune.eyetracking.recording import Fixations, Recording

SETTINGS = ImportSettings(limits=TrialLimits(min_fixations=1), units="ms")


@pytest.fixture(autouse=True)
def _keep_formats() -> Iterator[None]:
    """Take away what a test registers."""
    before = dict(RECORDING_FORMATS)
    yield
    RECORDING_FORMATS.clear()
    RECORDING_FORMATS.update(before)


def word_list(source: RecordingSource, pattern: str, seconds: float) -> LoadedRecordings:
    """Read files whose lines are words, each fixated once."""
    loaded = LoadedRecordings()
    for path in source.find_files(pattern):
        words = tuple(path.read_text().split())
        nowhere = np.full(len(words), np.nan)
        order = np.arange(len(words))
        fixations = Fixations(nowhere, nowhere, np.full(len(words), seconds), order.astype(float))
        origins = tuple(f"{path} row {number}" for number in range(1, len(words) + 1))
        loaded.recordings.append(
            Recording(path, path.stem, "1", words, origins, True, fixations=fixations, assigned=order)
        )
    return loaded


def test_a_new_format_is_read_and_imported_like_the_others(tmp_path: Path) -> None:
    @recording_format("word_list", files="*.words")
    def read_word_list(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.words", 0.2)

    (tmp_path / "in" / "more").mkdir(parents=True)
    (tmp_path / "in" / "more" / "eva.words").write_text("one two three")
    report = import_recordings(tmp_path / "in", ["one two  three", "four"], tmp_path / "out.parquet", SETTINGS)
    assert (report.texts, report.readers, report.fixations) == (1, 1, 3)
    assert pq.read_table(tmp_path / "out.parquet")["TRT"].to_pylist() == [200, 200, 200]


def test_a_file_is_read_by_the_formats_that_its_name_fits(tmp_path: Path) -> None:
    @recording_format("word_list", files="*.words of tests")
    def read_word_list(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.words", 0.2)

    for name in ("eva.words", "eva.txt"):
        (tmp_path / name).write_text("one two three")
    assert len(read_recordings(tmp_path / "eva.words", SETTINGS).recordings) == 1
    with pytest.raises(InputError, match=r"eva.txt: has no recordings; accepted: .*; \*\.words of tests"):
        read_recordings(tmp_path / "eva.txt", SETTINGS)


def test_the_format_of_lower_precedence_counts_where_a_reader_stands_in_two(tmp_path: Path) -> None:
    @recording_format("slow", files="*.slow", precedence=2)
    def read_slow(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.slow", 0.9)

    @recording_format("quick", files="*.quick", precedence=1)
    def read_quick(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.quick", 0.1)

    (tmp_path / "in").mkdir()
    for name in ("eva.slow", "eva.quick"):
        (tmp_path / "in" / name).write_text("one two three")
    report = import_recordings(tmp_path / "in", ["one two three"], tmp_path / "out.parquet", SETTINGS)
    assert [(Path(each.source).name, each.reason) for each in report.dropped] == [
        ("eva.slow", "reader eva read this text before")
    ]
    assert pq.read_table(tmp_path / "out.parquet")["TRT"].to_pylist() == [100, 100, 100]


def test_a_source_of_a_named_format_is_read_by_no_other(tmp_path: Path) -> None:
    @recording_format("word_list", files="*.words")
    def read_word_list(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.words", 0.2)

    @recording_format(
        "named", files="a folder with named", precedence=200, claims=lambda source: source.path.name == "x"
    )
    def read_named(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.named", 0.3)

    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "eva.words").write_text("one two three")
        (tmp_path / folder / "ben.named").write_text("one two three")
    readers = [[each.reader for each in read_recordings(tmp_path / name, SETTINGS).recordings] for name in ("x", "y")]
    assert readers == [["ben"], ["eva", "ben"]]


def test_a_name_that_stands_in_several_places_is_one_reader_and_told(tmp_path: Path) -> None:
    @recording_format("word_list", files="*.words")
    def read_word_list(source: RecordingSource) -> LoadedRecordings:
        return word_list(source, "*.words", 0.2)

    for folder, words in (("a", "one two"), ("b", "three four")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "eva.words").write_text(words)
    (tmp_path / "b" / "ida.words").write_text("one two")
    report = import_recordings(tmp_path, ["one two", "three four"], tmp_path / "out.parquet", SETTINGS)
    assert report.readers == 2
    assert report.notes == [
        f"{tmp_path}/a/eva.words and {tmp_path}/b/eva.words: are taken as one reader's, eva; if they are not, give "
        "them other names"
    ]
