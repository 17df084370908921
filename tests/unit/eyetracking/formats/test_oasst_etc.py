"""Files in the format of OASST-ETC: made up here, and the real samples counted another way."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.formats.oasst_etc import find_discarded, find_trials, read_trial
from gazetune.eyetracking.import_recordings import import_recordings
from gazetune.eyetracking.import_settings import ImportSettings

SCREEN = (1280, 1024)
WORDS = """;number;text;x1;y1;x2;y2;fixations;fix_duration;first_fix_duration;fix_number;line
0;0;Alpha;100;100;180;120;[11, 14];0.5;0.2;2;1
1;1;beta;200;100;280;120;[12];0.1;0.1;1;1
2;2;gamma;300;100;380;120;[13, 15, 16];0.7;0.3;3;1
"""
ASSIGNED = """;ID;x;y;duration;pupil_r;pupil_l;word;word_number;distance
0;11;140;110;0.2;20;20;Alpha;0.0;0.0
1;12;240;110;0.1;20;20;beta;1.0;0.0
2;13;900;900;0.4;20;20;;;
3;14;340;110;0.3;20;20;gamma;2.0;0.0
"""


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = {"words": "word_cor_image_fixations_7.2.csv", "assigned": "fixations_assigned_7.2.csv", "info": "info.csv"}
    for name, text in files.items():
        (folder / names[name]).write_text(text)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        for files in find_trials(sorted(folder.rglob("*.csv"))):
            read_trial(files, SCREEN)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_word_file_alone_gives_the_scanpath_in_the_order_of_the_ids(tmp_path: Path) -> None:
    (files,) = find_trials(sorted(write(tmp_path / "p", words=WORDS).glob("*")))
    recording = read_trial(files, SCREEN)
    assert (recording.trial, recording.reader, recording.words) == ("7.2", "p", ("Alpha", "beta", "gamma"))
    assert recording.fixations is not None and recording.assigned is not None
    assert recording.assigned.tolist() == [0, 1, 2, 0, 2, 2]
    assert recording.fixations.duration == pytest.approx([0.2, 0.1, 0.3, 0.3, 0.2, 0.2])
    assert recording.estimated


def test_the_fixations_beside_a_word_file_go_before_its_sums(tmp_path: Path) -> None:
    folder = write(tmp_path / "participant_3_1" / "session_1" / "vertices", words=WORDS, assigned=ASSIGNED)
    (files,) = find_trials(sorted(folder.glob("*")))
    recording = read_trial(files, SCREEN)
    assert recording.reader == "participant_3_1" and not recording.estimated
    assert recording.assigned is not None and recording.assigned.tolist() == [0, 1, -1, 2]
    assert recording.boxes is not None and recording.boxes.line.tolist() == [0, 0, 0]


def test_the_assigned_fixations_alone_know_the_fixated_words(tmp_path: Path) -> None:
    (files,) = find_trials(sorted(write(tmp_path, assigned=ASSIGNED.replace("1.0;0.0", "4.0;0.0")).glob("*")))
    recording = read_trial(files, SCREEN)
    assert recording.words == ("Alpha", None, "gamma", None, "beta") and not recording.complete


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (WORDS.replace(";0.5;0.2;2;", ";0.5;-0.2;2;"), "row 1: first_fix_duration: '-0.2'; accepted: a number >= 0"),
        (WORDS.replace("0.1;0.1;1", "nan;0.1;1"), "row 2: fix_duration: 'nan'; accepted: a number >= 0"),
        (WORDS.replace("380;120", "1380;120"), "row 3: x1,y1,x2,y2: 300,100,1380,120 leaves the screen"),
        (WORDS.replace("100;100;180", "-1;100;180"), "row 1: x1,y1,x2,y2: -1,100,180,120 leaves the screen"),
        (WORDS.replace("200;100;280", "280;100;200"), "row 2: x1,y1,x2,y2: 280,100,200,120; accepted: x1 < x2"),
        (WORDS.replace("fix_number", "fixes"), "row 1: column 'fix_number' is missing; it has number, text"),
        (WORDS.replace(";beta;", ";;"), "row 2: text: is empty; accepted: a word"),
        (WORDS.replace("1;1;beta", "1;3;beta"), "row 2: number: '3'; accepted: 1"),
        (WORDS.replace("[12]", "[14]"), "row 2: fixations: 14 stands at word 0 too"),
        (WORDS.replace("[12]", "[12, 17]"), "row 2: fix_number: '1'; accepted: 2"),
        (WORDS.replace("0.5;0.2", "0.1;0.2"), "row 1: fix_duration: '0.1'; accepted: at least"),
        (WORDS.splitlines()[0] + "\n", "row 1: is missing; the file has a header alone"),
        (WORDS + "3;3;del", "row 4: has fewer values than the header has columns"),
    ],
)
def test_a_bad_word_file_is_one_line_with_its_row(words: str, expected: str, tmp_path: Path) -> None:
    message = refused(write(tmp_path, words=words))
    assert message.startswith("word_cor_image_fixations_7.2.csv ") and expected in message


@pytest.mark.parametrize(
    ("assigned", "expected"),
    [
        (ASSIGNED.replace("110;0.1", "110;-0.1"), "row 2: duration: '-0.1'; accepted: a number >= 0"),
        (ASSIGNED.replace(";word_number", ";number"), "row 1: column 'word_number' is missing"),
        (ASSIGNED.replace("2;13;", "2;12;"), "row 3: ID: '12'; accepted: more than the row before has"),
        (ASSIGNED.replace("beta;1.0", "beta;1.5"), "row 2: word_number: '1.5'; accepted: a whole number"),
        (ASSIGNED.replace("beta;1.0", "beta;0.0"), "row 2: word: 'beta'; accepted: 'Alpha', as before"),
    ],
)
def test_a_bad_file_of_fixations_is_one_line_with_its_row(assigned: str, expected: str, tmp_path: Path) -> None:
    message = refused(write(tmp_path, assigned=assigned))
    assert message.startswith("fixations_assigned_7.2.csv ") and expected in message


def test_words_and_fixations_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    message = refused(write(tmp_path, words=WORDS, assigned=ASSIGNED.replace("beta", "delta")))
    assert message.startswith("fixations_assigned_7.2.csv row 2: word_number: 1 is 'delta', not so in ")


def test_trials_that_the_experimenters_discarded_are_told(tmp_path: Path) -> None:
    session = write(tmp_path / "session_1", info=";trial;discarted\n0;7.1;False\n1;7.2;True\n")
    path = write(session / "vertices", words=WORDS) / "word_cor_image_fixations_7.2.csv"
    assert find_discarded(path, "7.2") == f"{session / 'info.csv'} row 2"
    assert find_discarded(path, "7.1") is None


# The real samples, counted from their raw rows by another way than the package's.


def raw(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";"))


def imported(path: Path, text: str, tmp_path: Path) -> dict[str, list[float]]:
    """Return the columns of what the file becomes, in fixations, ms and percent."""
    out = tmp_path / "out.parquet"
    import_recordings(path, ["another text", text], out, ImportSettings(units="ms"))
    table = pq.read_table(out)
    assert [
        text[a:b] for a, b in zip(*table.select(["start", "end"]).to_pydict().values(), strict=True)
    ] == text.split()
    return table.to_pydict()


def count(path: list[tuple[int, float]], words: int) -> dict[str, list[float]]:
    """Count the measures of a scanpath of (word, seconds), fixation by fixation."""
    columns: dict[str, list[float]] = defaultdict(lambda: [0.0] * words)
    running: dict[int, bool] = {}
    for word, seconds in path:
        if not columns["nFix"][word]:
            columns["FFD"][word], running[word], columns["fixProp"][word] = seconds * 1000, True, 100.0
        columns["nFix"][word] += 1
        columns["TRT"][word] += seconds * 1000
        for earlier in running:
            running[earlier] = running[earlier] and word <= earlier
            columns["GPT"][earlier] += seconds * 1000 if running[earlier] else 0.0
    return columns


def test_the_sample_of_averages_becomes_its_own_columns(shared: Path, tmp_path: Path) -> None:
    for name in ("1.1", "1.2"):
        path = shared / "data" / "oasst_etc_sample" / "set_averages" / f"word_cor_image_fixations_{name}.csv"
        rows = raw(path)
        columns = imported(path, " ".join(row["text"] for row in rows), tmp_path)
        assert columns["nFix"] == pytest.approx([float(row["fix_number"]) for row in rows])
        assert columns["FFD"] == pytest.approx([1000 * float(row["first_fix_duration"]) for row in rows])
        assert columns["TRT"] == pytest.approx([1000 * float(row["fix_duration"]) for row in rows])
        assert columns["GPT"] == columns["fixProp"] == [0.0] * len(rows)


def test_the_sample_of_a_reader_has_the_measures_of_a_count(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "oasst_etc_sample" / "raw_format" / "word_cor_image_fixations_1.2.participant.csv"
    rows = raw(path)
    columns = imported(path, "\n".join(row["text"] for row in rows), tmp_path)
    assert columns["nFix"] == pytest.approx([float(row["fix_number"]) for row in rows])
    assert columns["FFD"] == pytest.approx([1000 * float(row["first_fix_duration"]) for row in rows])
    assert columns["TRT"] == pytest.approx([1000 * float(row["fix_duration"]) for row in rows])
    assert columns["fixProp"] == [100.0 if float(row["fix_number"]) else 0.0 for row in rows]
    when: dict[int, tuple[int, float]] = {}
    for word, row in enumerate(rows):
        ids = [int(each) for each in row["fixations"].strip("[]").split(",") if each]
        rest = float(row["fix_duration"]) - float(row["first_fix_duration"])
        for number in ids:
            when[number] = word, float(row["first_fix_duration"]) if number == min(ids) else rest / (len(ids) - 1)
    assert columns["GPT"] == pytest.approx(count([when[number] for number in sorted(when)], len(rows))["GPT"])


def test_the_sample_of_fixations_has_the_measures_of_a_count(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "oasst_etc_sample" / "raw_format" / "fixations_assigned_541.2.csv"
    scanpath = [(int(float(row["word_number"])), float(row["duration"])) for row in raw(path) if row["word_number"]]
    named = {int(float(row["word_number"])): row["word"] for row in raw(path) if row["word_number"]}
    text = " ".join(named.get(place, "filler") for place in range(max(named) + 3))
    columns = imported(path, text, tmp_path)
    for name, values in count(scanpath, len(text.split())).items():
        assert columns[name] == pytest.approx(values), name
    assert np.sum(columns["nFix"]) == len(scanpath)
