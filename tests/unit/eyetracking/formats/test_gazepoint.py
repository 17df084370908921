"""Gazepoint exports, made up in the columns of the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.formats.gazepoint import drop_repeated, is_export, read_export
from gazetune.eyetracking.recording import Recording
from gazetune.eyetracking.stimulus_pages import read_stimulus_pages

BOXES = "text,x1,y1,x2,y2\nOne,100,100,180,120\ntwo,200,100,280,120\nthree,100,200,180,220\n"
HEADER = "MEDIA_ID,MEDIA_NAME,CNT,TIME(2031/02/03 04:05:06.789),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV,USER,\n"


def row(media: str, x: float, y: float, start: float, duration: float, number: int, valid: int = 1) -> str:
    return f"0,{media},5,{start + duration},{x},{y},{start},{duration},{number},{valid},,\n"


FIXATIONS = HEADER + "".join(
    (
        row("7.2.png", 0.1, 0.11, 1.0, 0.20, 3),
        row("7.2.png", 0.2, 0.12, 1.3, 0.25, 4),
        row("7.2.png", 0.3, 0.12, 1.6, 0.40, 5, valid=0),
        row("other.png", 0.3, 0.12, 2.1, 0.30, 6),
        row("7.2.png", 0.1, 0.21, 2.5, 0.15, 7),
    )
)
# The place and duration of a fixation grow with its samples, and a last sample may come when it is over already.
ALL_GAZE = HEADER + "".join(
    (
        row("7.2.png", 0.3, 0.30, 1.0, 0.02, 3),
        row("7.2.png", 0.1, 0.11, 1.0, 0.20, 3),
        row("7.2.png", 0.9, 0.90, 1.0, 0.21, 3, valid=0),
        row("7.2.png", 0.2, 0.12, 1.3, 0.25, 4),
        row("7.2.png", 0.3, 0.12, 1.6, 0.40, 5, valid=0),
        row("other.png", 0.3, 0.12, 2.1, 0.10, 6),
        row("other.png", 0.3, 0.12, 2.1, 0.30, 6),
        row("7.2.png", 0.1, 0.21, 2.5, 0.15, 7),
    )
)


def read(source: Path, name: str, text: str) -> tuple[list[Recording], dict[str, int]]:
    (source / "words").mkdir(parents=True, exist_ok=True)
    (source / "words" / "7.2.csv").write_text(BOXES)
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert is_export(path)
    return read_export(path, source, read_stimulus_pages(source / "words"), (1000, 1000))


@pytest.mark.parametrize(("name", "text"), [("r1/User 0_fixations.csv", FIXATIONS), ("r1/x_all_gaze.csv", ALL_GAZE)])
def test_both_exports_give_the_same_fixations_in_pixels_and_seconds(name: str, text: str, tmp_path: Path) -> None:
    (recording,), dropped = read(tmp_path, name, text)
    assert (recording.reader, recording.trial, recording.words) == ("r1", "7.2", ("One", "two", "three"))
    assert recording.fixations is not None and recording.boxes is not None
    assert recording.fixations.x == pytest.approx([100, 200, 100])
    assert recording.fixations.y == pytest.approx([110, 120, 210])
    assert recording.fixations.duration == pytest.approx([0.2, 0.25, 0.15])
    assert recording.fixations.start == pytest.approx([1.0, 1.3, 2.5])
    assert recording.boxes.line.tolist() == [0, 0, 1]
    assert dropped == {"marked as not valid (FPOGV)": 1, "on a screen without word boxes": 1}


def test_a_file_in_the_source_itself_names_its_reader_and_the_user_column_may_name_the_trial(tmp_path: Path) -> None:
    text = FIXATIONS.replace("7.2.png", "NewMedia0").replace(",1,,\n", ",1,7.2,\n")
    (recording,), _ = read(tmp_path, "Ann_fixations.csv", text)
    assert (recording.reader, recording.trial) == ("Ann", "7.2")
    assert recording.fixations is not None and len(recording.fixations) == 4


def test_the_pages_of_a_trial_become_one_recording_in_which_they_cannot_be_confused(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "9.1_p1.csv").write_text(BOXES)
    (tmp_path / "words" / "9.1_p2.csv").write_text("text,x1,y1,x2,y2\nfour,100,100,180,120\n")
    text = FIXATIONS.replace("7.2.png", "9.1_p1.png").replace("other.png", "9.1_p2.png")
    (recording,), dropped = read(tmp_path, "r1/a_fixations.csv", text + row("9.1_p2.png", 0.5, 1.2, 3.0, 0.1, 8))
    assert (recording.trial, recording.words, recording.page_count) == ("9.1", ("One", "two", "three", "four"), 2)
    assert recording.boxes is not None and recording.fixations is not None
    assert recording.boxes.line.tolist() == [0, 0, 1, 2]
    assert recording.boxes.corners[3].tolist() == [100, 1100, 180, 1120]
    assert recording.fixations.y == pytest.approx([110, 120, 1120, 210])
    assert recording.origins[3] == f"{tmp_path / 'words' / '9.1_p2.csv'} row 1"
    assert dropped == {"marked as not valid (FPOGV)": 1, "off the screen": 1}


def test_a_missing_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "9.1_p2.csv").write_text(BOXES)
    with pytest.raises(InputError, match=r"9.1_p2.csv: the page before it, 9.1_p1.csv, is missing"):
        read_stimulus_pages(tmp_path)


def test_all_gaze_is_left_out_where_the_fixations_are_there() -> None:
    paths = [Path("a/1_all_gaze.csv"), Path("a/1_fixations.csv"), Path("a/2_all_gaze.csv")]
    assert drop_repeated(paths) == ([paths[1], paths[2]], [paths[0]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FIXATIONS.replace("TIME(2031/02/03 04:05:06.789)", "T"), "row 1: column 'TIME(...)' is missing"),
        (FIXATIONS.replace("FPOGD", "D"), "row 1: column 'FPOGD' is missing"),
        (FIXATIONS.replace(",0.25,4,", ",-0.25,4,"), "row 2: FPOGD: '-0.25'; accepted: a number >= 0"),
        (FIXATIONS.replace(",0.1,0.21,", ",0.1,?,"), "row 5: FPOGY: '?'; accepted: a number"),
        (FIXATIONS.replace(",3,1,", ",3.5,1,"), "row 1: FPOGID: '3.5'; accepted: a whole number"),
        (FIXATIONS.replace(",3,1,", ",1e300,1,"), "row 1: FPOGID: '1e300'; accepted: a whole number, 0 to 10000000"),
    ],
)
def test_a_bad_export_is_one_line_with_its_row(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "r/bad_fixations.csv", text)
    assert str(caught.value).startswith(f"{tmp_path / 'r' / 'bad_fixations.csv'} {expected}")


def test_a_box_off_the_screen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"7.2.csv row 2: x1,y1,x2,y2: 200,100,2800,120 leaves the screen"):
        (tmp_path / "words").mkdir()
        (tmp_path / "words" / "7.2.csv").write_text(BOXES.replace("280,", "2800,"))
        (tmp_path / "a_fixations.csv").write_text(FIXATIONS)
        read_export(tmp_path / "a_fixations.csv", tmp_path, read_stimulus_pages(tmp_path / "words"), (1000, 1000))
