"""Files as eyetrackpy's class writes them with pandas and NumPy, in the folders that it makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gazetune.cli.main import main
from tests.cases.gazepoint_study import check_sums

TEXT = "Alpha beta gamma;x"
PROMPT = "Say Alpha."


def word_frame(ids: list[list[Any]]) -> pd.DataFrame:
    """Return the words of a screen with a box of white space, as optical character recognition finds it."""
    words = pd.DataFrame({"number": range(4), "text": ["Alpha", " ", "beta", "gamma;x"]})
    words[["x1", "y1", "x2", "y2"]] = [
        [100, 100, 180, 120],
        [0, 0, 1280, 1024],
        [200, 100, 280, 120],
        [300, 100, 380, 120],
    ]
    words["line"] = 1
    words["fixations"] = ids
    words["fix_distance"] = [[np.float64(1.5)] * len(each) for each in ids]
    words["fix_number"] = [len(each) for each in ids]
    words["first_fix_duration"] = [0.2 if each else 0.0 for each in ids]
    words["fix_duration"] = [0.2 * len(each) for each in ids]
    words["go_past_time"] = [0.2 if each else np.nan for each in ids]
    return words


def fixation_frame(ids: list[int], numbers: list[float], index: list[int] | None = None) -> pd.DataFrame:
    """Return fixations with the word of each; the first one lies on the cross."""
    texts = ["Alpha", " ", "beta", "gamma;x"]
    return pd.DataFrame(
        {
            "ID": ids,
            "x": 140.0,
            "y": 110.0,
            "duration": 0.2,
            "pupil_r": 20.0,
            "pupil_l": 20.0,
            "word": [np.nan if np.isnan(each) else texts[int(each)] for each in numbers],
            "word_number": numbers,
            "distance": [np.nan if np.isnan(each) else 0.0 for each in numbers],
        },
        index=index or range(50, 50 + len(ids)),
    )


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = tmp_path / "users" / "participant_1_2" / "session_1"
    (folder / "vertices").mkdir(parents=True)
    return folder


def save(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, sep=";")
    return path


def run(session: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, Any, dict[str, list[Any]]]:
    """Import the session, and return the exit code, the report or error, and the columns of what was written."""
    pairs, out = session / "pairs.jsonl", session / "gaze.parquet"
    out.unlink(missing_ok=True)
    pairs.write_text(json.dumps({"prompt": PROMPT, "chosen": TEXT, "rejected": "no"}) + "\n")
    arguments = ["--data", str(pairs), "--out", str(out), "--min-fixations", "1", "--units", "ms", "--json", *flags]
    capsys.readouterr()
    code = main(["gaze", "import", str(session.parents[1]), *arguments])
    printed = capsys.readouterr()
    if code:
        assert code == 2 and not out.exists()
        return code, printed.err.strip().removeprefix("gazetune: error: "), {}
    check_sums(json.loads(printed.out))
    return code, json.loads(printed.out), pq.read_table(out).to_pydict()


@pytest.mark.parametrize(
    "ids",
    [
        [[11, 14], [17], [12], []],
        [[11.0, 14.0], [17.0], [12.0], []],
        [[np.float64(11), np.float64(14)], [np.float64(17)], [np.float64(12)], []],
        [[np.int64(11), np.int64(14)], [np.int64(17)], [np.int64(12)], []],
        [np.array([11, 14]), np.array([17]), np.array([12]), np.array([])],
        ["[11.0, 14.0]", "17.0", "12", np.nan],
    ],
)
def test_words_alone_are_read_however_their_ids_are_printed(
    session: Path, ids: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    frame = word_frame([[11, 14], [17], [12], []])
    frame["fixations"] = ids
    save(frame, session / "vertices" / "word_cor_image_fixations_7.1.csv")
    code, report, table = run(session, capsys)
    assert code == 0
    assert (table["word"], table["nFix"], set(table["reader"])) == (TEXT.split(), [2, 1, 0], {"participant_1_2"})
    assert table["TRT"] == pytest.approx([400, 200, 0])
    # Alpha at 11, beta at 12, Alpha again at 14, the box of white space at 17.
    assert table["GPT"] == pytest.approx([200, 400, 0])
    assert [(each["reason"], each["count"]) for each in report["dropped"]] == [("on no word", 1)]


@pytest.mark.parametrize("kind", [int, float])
def test_words_and_fixations_of_a_session_with_a_discarded_prompt(
    session: Path, kind: type, capsys: pytest.CaptureFixture[str]
) -> None:
    nan = float("nan")
    for trial in ("7.1", "7"):
        save(word_frame([[11, 14], [17], [12], []]), session / "vertices" / f"word_cor_image_fixations_{trial}.csv")
        frame = fixation_frame([10, 11, 12, 14, 17], [nan, 0, 2, 0, 1])
        save(frame.astype({"ID": kind}), session / "vertices" / f"fixations_assigned_{trial}.csv")
    # A column of 7.1 and 7 is one of floating-point numbers.
    info = pd.DataFrame([{"trial": 7.1, "discarted": False}, {"trial": 7, "discarted": True}])
    save(info, session / "info.csv")
    code, report, table = run(session, capsys)
    assert (code, table["nFix"]) == (0, [2, 1, 0])
    assert (report["recordings_read"], report["fixations_read"]) == (2, 10)
    assert [(each["what"], each["count"], each["fixations"]) for each in report["dropped"]] == [
        ("recording", 1, 5),
        ("fixations", 2, 0),
    ]


def test_ids_that_begin_anew_at_each_screen_need_the_fixations_and_then_keep_their_order(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = save(word_frame([[1, 2], [], [2, 1], [3]]), session / "vertices" / "word_cor_image_fixations_7.1.csv")
    code, error, _ = run(session, capsys)
    assert error == (
        f"{words} row 3: fixations: 1 stands at word 0 too; accepted: each id once, or fixations_assigned_*.csv of the "
        "trial beside it"
    )
    # Alpha, beta, gamma on the first visit, beta and Alpha on the second.
    frame = fixation_frame([1, 2, 3, 1, 2], [0, 2, 3, 2, 0])
    path = save(frame, session / "vertices" / "fixations_assigned_7.1.csv")
    code, report, table = run(session, capsys)
    assert (code, table["nFix"]) == (0, [2, 2, 1])
    assert table["GPT"] == pytest.approx([200, 200, 600])
    assert any("ids begin anew 1 times; the rows are taken in their order" in note for note in report["notes"])
    # Sorted by word, the rows are in no order of time, and their numbers say so.
    save(frame.sort_values("word_number"), path)
    _, error, _ = run(session, capsys)
    assert error.startswith(f"{path} row ") and error.endswith("accepted: more than the row before has (time order)")


def test_counts_that_differ_between_the_two_files_are_told(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(word_frame([[11, 14], [], [12], []]), session / "vertices" / "word_cor_image_fixations_7.1.csv")
    save(fixation_frame([11, 12], [0, 2]), session / "vertices" / "fixations_assigned_7.1.csv")
    _, report, table = run(session, capsys)
    assert table["nFix"] == [1, 1, 0]
    assert any("counts other fixations than fixations_assigned_7.1.csv on 1 words" in each for each in report["notes"])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("[-11, 14]", "fixations: '[-11, 14]'; accepted: a list of ids, as [18, 19]"),
        ("[11.5, 14]", "fixations: '[11.5, 14]'; accepted: a list of ids, as [18, 19]"),
        ("[11,0]", "fixations: 0"),
        ("[11, 14, 15]", "fix_number: '2'; accepted: 3, the number of ids in fixations"),
        ("eleven", "fixations: 'eleven'; accepted: a list of ids, as [18, 19]"),
    ],
)
def test_ids_that_are_none_are_refused(session: Path, cell: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    frame = word_frame([[11, 14], [0], [12], []])
    frame.loc[0, "fixations"] = cell
    path = save(frame.astype({"fixations": str}), session / "vertices" / "word_cor_image_fixations_7.1.csv")
    _, error, _ = run(session, capsys)
    assert error.startswith(str(path)) and said in error


def test_averages_on_boxes_of_white_space_are_told(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = word_frame([[11, 14], [17], [12], []]).drop(columns=["x1", "y1", "x2", "y2", "fixations"])
    save(frame, session / "vertices" / "word_cor_image_fixations_7.1.csv")
    _, report, table = run(session, capsys)
    assert table["nFix"] == [2, 1, 0]
    assert any("the averages of 1 boxes of white space alone are left out" in note for note in report["notes"])
