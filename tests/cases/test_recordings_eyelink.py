"""Recordings of EyeLink as they are: eyes that change, screens that differ by a pixel, fixations that are lost."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cases.gazepoint_study import (
    BACK,
    FIRST,
    OTHER,
    SECOND,
    Run,
    by_word,
    write_boxes,
)


@pytest.fixture
def asc() -> Any:
    pytest.importorskip("pymovements", reason="pymovements is not installed (extra eyetracking)")
    from tests.unit.eyetracking.conftest import AscWriter

    return AscWriter


def scanpath(name: str, words: range) -> list[tuple[str | None, float, float, float]]:
    return [(name, 190.0 + 90 * word, 420.0, 0.2) for word in words]


def join_files(path: Path, *parts: Path, later: int = 0) -> Path:
    """Write the lines of several recordings to one file, each `later` ms after the one before."""
    lines = []
    for number, part in enumerate(parts):
        for line in part.read_text().splitlines():
            lines.append(_add_to_times(line, number * later))
        part.unlink()
    path.write_text("\n".join(lines) + "\n")
    return path


def _add_to_times(line: str, more: int) -> str:
    """Return a line of a recording `more` ms later."""
    times = re.match(r"(?:(?:MSG|START|END)\t|[SE]FIX [LR]   |)(\d+)(?:\t(\d+)(?=\t\d+\t))?", line)
    if times is None:
        return line
    for number in (2, 1) if line.startswith("EFIX") else (1,):
        start, end = times.span(number)
        line = f"{line[:start]}{int(times[number]) + more}{line[end:]}"
    return line


@pytest.mark.parametrize("eyes", [("L", "R"), ("R", "L"), ("LR", "L"), ("R", "LR"), ("LR", "R"), ("L", "LR")])
@pytest.mark.parametrize("detect", [False, True])
def test_all_blocks_of_a_recording_whose_eye_changes_are_used_and_told(
    study: Path, run: Run, asc: Any, eyes: tuple[str, str], detect: bool
) -> None:
    parts = [
        asc(eyes=eye, events=not detect)(study / f"part{n}.asc", scanpath("1.1_p1", words))
        for n, (eye, words) in enumerate(zip(eyes, (range(4), range(4, 8)), strict=True))
    ]
    join_files(study / "anna.asc", *parts, later=5000)
    flags = ("--detect", "ivt", "--viewing", "38x30@68") if detect else ()
    done = run(*flags)
    assert not done.error
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST), done.report
    changes = {eye.replace("LR", "R") for eye in eyes} == {"L", "R"}
    told = [note for note in done.report["notes"] if "the tracked eye changes" in note]
    assert len(told) == changes
    if not detect and "LR" in eyes:
        assert done.reasons() == {"of the left eye, where the right one has some too": 4}


def test_the_left_eye_counts_where_it_alone_is_tracked_and_in_trials_without_the_right_one(
    study: Path, run: Run, asc: Any
) -> None:
    path = asc(eyes="LR")(study / "anna.asc", scanpath("1.1_p1", range(8)))
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("SFIX R", "EFIX R"))]
    path.write_text("\n".join(lines) + "\n")
    done = run("--max-distance", "400", "--assign", "nearest")
    # The made-up left eye looks 300 pixels to the right.
    assert done.report["fixations_read"] == 8 and [each[0] for each in done.measures["anna"]][:3] == [0, 0, 0]
    asc(eyes="L")(study / "anna.asc", scanpath("1.1_p1", range(8)))
    assert [each[0] for each in run().measures["anna"]] == by_word(FIRST)


@pytest.mark.parametrize(("recorded", "given_size"), [((1281, 1025), "1280x1024"), ((1280, 1024), "1281x1024")])
def test_a_screen_that_differs_by_a_pixel_is_the_same(
    study: Path, run: Run, asc: Any, recorded: tuple[int, int], given_size: str
) -> None:
    path = asc(screen=recorded)(study / "anna.asc", scanpath("1.1_p1", range(8)))
    assert [each[0] for each in run("--screen", given_size).measures["anna"]] == by_word(FIRST)
    assert run("--screen", "1283x1024").error == (
        f"{path}: the screen has {recorded[0]}x{recorded[1]} pixels, but --screen says 1283x1024"
    )


def test_a_screen_whose_corner_is_not_zero_is_moved(study: Path, run: Run, asc: Any) -> None:
    moved = [(name, x - 640, y - 512, seconds) for name, x, y, seconds in scanpath("1.1_p1", range(8))]
    path = asc()(study / "anna.asc", moved)
    path.write_text(path.read_text().replace("0.00 0.00 1279.00 1023.00", "-640.00 -512.00 639.00 511.00"))
    # pymovements passes over fixations whose place is negative, but not over samples.
    said = "GAZE_COORDS begins at -640, -512; accepted: at 0, 0 in the upper left corner, or --detect"
    assert run().error == f"{path}: {said}"
    done = run("--detect", "ivt", "--viewing", "38x30@68")
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)


def test_fixations_that_pymovements_passes_over_are_counted(study: Path, run: Run, asc: Any) -> None:
    shown = [*scanpath("1.1_p1", range(8)), ("1.1_p1", -20.0, 420.0, 0.2), ("1.1_p1", 640.0, 1100.0, 0.2)]
    path = asc()(study / "anna.asc", shown)
    lines = path.read_text().splitlines()
    ends = [n for n, line in enumerate(lines) if line.startswith("EFIX")]
    lines[ends[0]] = lines[ends[0]].replace("190.0", ".").replace("420.0", ".")
    lines[ends[1]] = lines[ends[1]][:20]
    path.write_text("\n".join(lines) + "\n")
    done = run()
    assert done.report["fixations_read"] == 10
    assert done.reasons() == {"off the screen": 2, "without samples": 1, "on a line that is cut off or garbled": 1}


def test_a_fixation_below_a_page_lies_on_no_word_of_the_next_one(study: Path, run: Run, asc: Any) -> None:
    (study / "words" / "1.1_p2.csv").write_text(
        (study / "words" / "1.1_p2.csv").read_text().replace(";400;", ";0;").replace(";440", ";40")
    )
    below = [("1.1_p1", 190.0, 1010.0, 0.2), ("1.1_p1", 190.0, 1050.0, 0.2)]
    asc()(study / "anna.asc", [*scanpath("1.1_p1", range(8)), *below])
    done = run("--assign", "nearest")
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)
    assert done.reasons() == {"off the screen": 1, "on no word": 1}


def test_a_trial_that_an_eyelink_message_begins_again_is_asked_about(study: Path, run: Run, asc: Any) -> None:
    parts = [asc()(study / f"part{n}.asc", scanpath("1.1_p1", range(8))) for n in range(2)]
    path = join_files(study / "anna.asc", *parts, later=5000)
    assert run().error == (
        f"{path}: trial 1.1 was read twice by reader anna, before in the same file; accepted: --repeats first, "
        "--repeats apart (readers 'anna' and 'anna #2'), --repeats joined (one reading)"
    )
    assert sorted(run("--repeats", "apart").measures) == ["anna", "anna #2"]


def test_going_back_a_page_is_one_reading_of_eyelink_too(study: Path, run: Run, asc: Any) -> None:
    shown = [*scanpath("1.1_p1", range(8)), *scanpath("1.1_p2", range(6)), *scanpath("1.1_p1", range(2, 4))]
    asc()(study / "anna.asc", shown)
    done = run()
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST + SECOND + BACK)
    assert any("pages shown in the order 1 2 1" in note for note in done.report["notes"])


@pytest.mark.parametrize("name", ["anna.ASC", "anna.asc.gz", "ANNA.ASC.GZ", "an na/a.Asc"])
def test_eyelink_files_are_read_whatever_the_case_and_compressed(study: Path, run: Run, asc: Any, name: str) -> None:
    path = asc()(study / name, scanpath("1.1_p1", range(8)))
    content = path.read_text().replace("\n", "\r\n")
    path.write_bytes(gzip.compress(content.encode()) if name.lower().endswith("gz") else content.encode())
    done = run()
    reader = name.split("/")[0].split(".")[0]
    assert [each[0] for each in done.measures[reader]] == by_word(FIRST)


def test_a_fixation_written_twice_counts_once_and_overlaps_are_told(study: Path, run: Run, asc: Any) -> None:
    path = asc()(study / "anna.asc", scanpath("1.1_p1", range(8)))
    lines = path.read_text().splitlines()
    ends = [n for n, line in enumerate(lines) if line.startswith("EFIX")]
    longer = lines[ends[4]].replace("\t200\t", "\t230\t").split("\t")
    lines[ends[4]] = "\t".join([longer[0], str(int(longer[1]) + 30), *longer[2:]])
    lines.insert(ends[2] + 1, lines[ends[2]])
    path.write_text("\n".join(lines) + "\n")
    done = run()
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)
    assert done.reasons() == {"row for row another fixation": 1}
    assert any("1 fixations begin before the one before them ends" in note for note in done.report["notes"])


def test_several_asc_files_of_a_folder_are_one_reader_and_told(study: Path, run: Run, asc: Any) -> None:
    write_boxes(study, "1.2", OTHER.split())
    for n, name in enumerate(("1.1_p1", "1.2")):
        asc()(study / "anna" / f"session{n}.asc", scanpath(name, range(8)))
    assert any("its 2 files are taken as one reader, anna" in note for note in run().report["notes"])


def test_times_that_go_back_are_refused(study: Path, run: Run, asc: Any) -> None:
    parts = [asc()(study / f"part{n}.asc", scanpath("1.1_p1", range(8))) for n in range(2)]
    path = join_files(study / "anna.asc", *parts)
    assert run().error == (
        f"{path}: after the sample at 2771 ms comes one at 1004 ms; accepted: one recording a file, in the order of "
        "time"
    )


def test_a_cross_calibrates_a_trial_of_eyelink_too(study: Path, run: Run, asc: Any) -> None:
    shown = [("FIX_CROS", 640.0, 512.0, 0.3), *scanpath("1.1_p1", range(8))]
    asc()(study / "anna.asc", [(name, x + 45, y - 60, seconds) for name, x, y, seconds in shown])
    done = run("--assign", "cross")
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)
    assert done.reasons() == {"on the cross before a trial": 1}
