"""Recordings as trackers, people and operating systems leave them: read as meant, refused with a question, or told."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazetune.errors import InputError
from gazetune.eyetracking.formats.oasst_etc_ids import parse_ids
from tests.cases.gazepoint_study import (
    COLUMNS,
    OTHER,
    PAGES,
    SCREEN,
    TEXT,
    Fixation,
    Imported,
    import_study,
    rows_of,
    write_boxes,
    write_export,
)

Run = Callable[..., Imported]
FIRST = [("1.1_p1", word, 0.2) for word in range(8)]
SECOND = [("1.1_p2", word, 0.3) for word in range(6)]
BACK = [("1.1_p1", 2, 0.5), ("1.1_p1", 3, 0.4)]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for name, words in PAGES.items():
        write_boxes(tmp_path / "study", name, words)
    return tmp_path / "study"


@pytest.fixture
def run(study: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *flags, source=study: import_study(source, capsys, *flags)


def by_word(fixations: list[Fixation]) -> list[int]:
    """Return how often each word of the text was fixated."""
    counts = [0] * len(TEXT.split())
    for screen, word, _ in fixations:
        if screen in PAGES and word >= 0:
            counts[word + 8 * (screen == "1.1_p2")] += 1
    return counts


@pytest.mark.parametrize("name", ["User 0_fixations.csv", "User 0_all_gaze.csv"])
@pytest.mark.parametrize("anew", [True, False])
def test_a_page_that_is_visited_again_keeps_the_fixations_of_both_visits(
    study: Path, run: Run, name: str, anew: bool
) -> None:
    fixations = FIRST + SECOND + BACK
    write_export(study / "anna" / name, rows_of(fixations, anew, samples=1 if "fix" in name else 4))
    done = run()
    (values,) = done.measures.values()
    assert [each[0] for each in values] == by_word(fixations)
    # In the order of time the glance back is a regression from the last word of page 2.
    assert values[13] == pytest.approx([1, 300, 300 + 500 + 400, 300])
    assert values[2] == pytest.approx([2, 200, 200, 700])
    assert done.report["fixations_read"] == len(fixations)
    assert any("pages shown in the order 1 2 1 are one reading" in note for note in done.report["notes"])


def test_two_peoples_exports_in_one_folder_are_asked_about(study: Path, run: Run) -> None:
    for user in (25, 26):
        write_export(study / "result" / f"User {user}_fixations.csv", rows_of(FIRST + SECOND[: user - 22]))
    paths = [study / "result" / f"User {user}_fixations.csv" for user in (25, 26)]
    assert run().error == (
        f"{paths[1]}: trial 1.1 was read twice by reader result, before in {paths[0]}; accepted: --repeats first, "
        "--repeats apart (readers 'result' and 'result #2'), --repeats joined (one reading), --reader-from file (each "
        "file is a reader)"
    )
    assert sorted(run("--reader-from", "file").measures) == ["result/User 25", "result/User 26"]
    assert sorted(run("--repeats", "apart").measures) == ["result", "result #2"]
    first = run("--repeats", "first")
    assert first.report["readers"] == 1 and first.reasons("recording") == {"reader result read this text before": 1}
    joined = run("--repeats", "joined").measures["result"]
    assert [each[0] for each in joined] == by_word(FIRST + FIRST + SECOND[:3] + SECOND[:4])


def test_sessions_of_one_reader_in_one_folder_are_one_reader_and_told(study: Path, run: Run) -> None:
    write_boxes(study, "1.2", OTHER.split())
    write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    write_export(study / "anna" / "User 1_fixations.csv", rows_of([("1.2", word, 0.2) for word in range(8)]))
    done = run()
    assert (done.report["readers"], done.report["texts"]) == (1, 2)
    assert (
        f"{study / 'anna'}: its 2 files are taken as one reader, anna (--reader-from file: each is a reader)"
        in (done.report["notes"])
    )


@pytest.mark.parametrize(
    "shown",
    [
        FIRST + SECOND + FIRST + SECOND,  # all pages from the first on
        [*FIRST, ("1.2", 1, 0.2), *FIRST],  # another trial between
        [*FIRST, ("FIX_CROS", -1, 0.2), *FIRST],  # the cross between
    ],
)
def test_a_trial_that_is_shown_again_is_asked_about(study: Path, run: Run, shown: list[Fixation]) -> None:
    write_boxes(study, "1.2", OTHER.split())
    path = write_export(study / "anna" / "User 0_fixations.csv", rows_of(shown))
    assert run().error == (
        f"{path}: trial 1.1 was read twice by reader anna, before in the same file; accepted: --repeats first, "
        "--repeats apart (readers 'anna' and 'anna #2'), --repeats joined (one reading)"
    )
    half = [each for each in shown if each[0].startswith("1.1")]
    half = half[: len(half) // 2]
    apart = run("--repeats", "apart")
    assert [[each[0] for each in values] for values in apart.measures.values()] == [by_word(half)] * 2
    assert [each[0] for each in run("--repeats", "first").measures["anna"]] == by_word(half)
    joined = run("--repeats", "joined")
    assert [each[0] for each in joined.measures["anna"]] == by_word(half + half)
    assert joined.report["recordings_joined"] == 1


def test_a_page_that_begins_anew_at_once_was_shown_again(study: Path, run: Run) -> None:
    again = rows_of(FIRST) + rows_of(FIRST[:3])
    write_export(study / "anna" / "User 0_fixations.csv", again)
    assert "trial 1.1 was read twice by reader anna, before in the same file" in run().error
    assert [each[0] for each in run("--repeats", "joined").measures["anna"]][:4] == [2, 2, 2, 1]


@pytest.mark.parametrize(
    "names",
    [
        ("anna/User 0_Fixations.CSV", "1.1_P1.PNG"),
        ("Anna Maria/USER 0_FIXATIONS.CSV", r"C:\study\1.1_p1.png"),
        ("anna/User 0_all_Gaze.Csv", "screens/1.1_p1.JPG"),
    ],
)
def test_the_case_of_names_and_reader_names_with_spaces_do_not_matter(
    study: Path, run: Run, names: tuple[str, str]
) -> None:
    (study / "words" / "1.1_p2.csv").rename(study / "words" / "1.1_p2.CSV")
    rows = [row.replace("1.1_p1", names[1]) for row in rows_of(FIRST + SECOND)]
    write_export(study / names[0], rows)
    assert [each[0] for each in run().measures[names[0].split("/")[0]]] == by_word(FIRST + SECOND)


def test_hidden_files_are_left_out_and_files_that_no_format_reads_are_told(study: Path, run: Run) -> None:
    write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    for name in ("._User 0_fixations.csv", ".ipynb_checkpoints/User 0_fixations-checkpoint.csv", ".DS_Store"):
        (study / "anna" / name).parent.mkdir(exist_ok=True)
        (study / "anna" / name).write_bytes(b"\x00\x05\x16\x07\x80")
    (study / "words" / "._1.1_p1.csv").write_bytes(b"\x00\x05")
    (study / "ben").mkdir()
    (study / "ben" / "ben.edf").write_bytes(b"SR_RESEARCH")
    (study / "ben" / "questionnaire.csv").write_text("age\n31\n")
    done = run()
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)
    assert done.reasons("file") == {"no format of recordings reads it": 2, "its name begins with a dot": 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "is empty; accepted: CSV with a header"),
        (lambda text: text.splitlines()[0], " row 1: is missing; the file has a header alone"),
        (lambda text: text.encode("utf-16"), "is not UTF-8"),
        (lambda text: text.replace("0.20000", '"0,20000"'), "FPOGD: '0,20000'; accepted: a number"),
        (lambda text: text.replace("0.20000,", "200.0,"), "FPOGD: '200.0'; accepted: seconds, at most 60"),
        (lambda text: text.replace("0.20000,", "200000,"), "FPOGD: '200000'; accepted: seconds, at most 60"),
        (lambda text: text.replace(",1,1,0,", ",-1,1,0,"), "FPOGID: '-1'; accepted: a number >= 0"),
        (lambda text: text.replace(",1,1,0,", ",,1,0,"), "FPOGID: ''; accepted: a number >= 0"),
        (lambda text: text.replace(",1,1,0,", ",1,2,0,"), "FPOGV: '2'; accepted: 1 or 0"),
        (lambda text: text.replace("FPOGS", "FPOGT"), "column 'FPOGS' is missing"),
    ],
)
def test_an_export_that_cannot_be_read_as_meant_is_refused_by_name(
    study: Path, run: Run, change: Callable[[str], str | bytes], said: str
) -> None:
    path = write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    content = change(path.read_text())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = run().error
    assert error.startswith(str(path)) and said in error


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.lower().replace("time(", "Time("),
        lambda text: text.replace(",1,0,\n", ",1.0,0,\n").replace(",FPOGV", " , FPOGV "),
        lambda text: "\n".join(",".join(reversed(line.split(","))) for line in text.splitlines()),
        lambda text: text.replace(",", ";"),
        lambda text: text + "7,1.1_p1,9,1,,,,,,0,0,\n",  # a blink at the end
    ],
)
def test_byte_order_marks_line_ends_and_columns_in_other_order_or_case_are_read(
    study: Path, run: Run, change: Callable[[str], str]
) -> None:
    path = write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    path.write_bytes(change(path.read_text()).encode())
    done = run()
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)
    assert done.measures["anna"][0] == pytest.approx([1, 200, 200, 200])


def test_rows_written_twice_blinks_and_fixations_off_words_are_counted(study: Path, run: Run) -> None:
    rows = rows_of([*FIRST, ("1.1_p1", -1, 0.2), ("menu", 0, 0.2), ("FIX_CROSS", -1, 0.2)])
    rows = [rows[0], *rows, rows[1].replace(",2,1,0,", ",,0,0,"), rows[1].replace("0.21875", "1.21875")]
    write_export(study / "anna" / "User 0_fixations.csv", rows)
    done = run()
    assert done.report["fixations_read"] == len(rows)
    assert done.report["fixations"] == len(FIRST)
    assert done.reasons() == {
        "row for row another fixation": 1,
        "on no word": 1,
        "on a screen without word boxes": 1,
        "on the cross before a trial": 1,
        "marked as not valid (FPOGV)": 1,
        "off the screen": 1,
    }


def test_a_dropped_recording_is_counted_with_its_fixations(study: Path, run: Run) -> None:
    write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    write_export(study / "ben" / "User 0_fixations.csv", rows_of([*FIRST[:3], ("1.1_p1", -1, 0.2)]))
    done = run("--min-fixations", "5")
    (dropped,) = [each for each in done.report["dropped"] if each["what"] == "recording"]
    assert (dropped["fixations"], dropped["reason"]) == (3, "4 fixations on the screen, fewer than 5")
    assert (done.report["fixations_read"], done.report["recordings_read"]) == (12, 2)


def test_a_fixation_over_a_change_of_the_screen_counts_once_where_it_began(study: Path, run: Run) -> None:
    rows = rows_of([*FIRST, *SECOND], anew=False, samples=4)
    last = [row for row in rows if ",1.1_p1," in row][-1].split(",")
    start = float(last[6])
    goes_on = [*last[:3], f"{start + 0.25:.5f}", *last[4:7], "0.25000", *last[8:]]
    first_of_second = next(n for n, row in enumerate(rows) if ",1.1_p2," in row)
    rows.insert(first_of_second, ",".join(goes_on).replace("1.1_p1", "1.1_p2"))
    write_export(study / "anna" / "User 0_all_gaze.csv", rows)
    assert [each[0] for each in run().measures["anna"]] == by_word(FIRST + SECOND)


def test_the_fixation_on_a_cross_calibrates_the_trial_after_it(study: Path, run: Run) -> None:
    shift = (45.0, -60.0)
    cross = "7,FIX_CROS,1,0.3,{:.5f},{:.5f},0.00000,0.30000,1,1,0,".format(
        *(0.5 + each / size for each, size in zip(shift, SCREEN, strict=True))
    )
    rows = [cross, *rows_of([*FIRST, *SECOND], shift=shift)]
    write_export(study / "anna" / "User 0_fixations.csv", rows)
    done = run("--assign", "cross")
    assert done.measures["anna"][3] == pytest.approx([1, 200, 200, 200])
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST + SECOND)
    assert done.report["cross"] == {"taken_out": 1}
    assert done.reasons() == {"on the cross before a trial": 1}
    assert [each[0] for each in run("--assign", "corrected").measures["anna"]] != by_word(FIRST + SECOND)
    other = [row.replace("FIX_CROS", "plus.png") for row in rows]
    write_export(study / "anna" / "User 0_fixations.csv", other)
    assert run("--assign", "cross").error == (
        f"{study}: assign: cross; accepted: recordings with a fixation on the screen 'FIX_CROS' before a trial "
        "(--cross names another)"
    )
    assert run("--assign", "cross", "--cross", "plus").report["cross"] == {"taken_out": 1}


def test_a_cross_calibrates_a_trial_of_eyelink_too(study: Path, run: Run, asc: Any) -> None:
    shown = [("FIX_CROS", 640.0, 512.0, 0.3), *scanpath("1.1_p1", range(8))]
    asc()(study / "anna.asc", [(name, x + 45, y - 60, seconds) for name, x, y, seconds in shown])
    done = run("--assign", "cross")
    assert [each[0] for each in done.measures["anna"]] == by_word(FIRST)
    assert done.reasons() == {"on the cross before a trial": 1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fixations=st.lists(
        st.tuples(st.sampled_from(["1.1_p1", "1.1_p2", "menu", "FIX_CROS"]), st.integers(-1, 5), st.just(0.1)),
        min_size=1,
        max_size=25,
    ),
    anew=st.booleans(),
    samples=st.sampled_from([1, 3]),
)
def test_every_fixation_of_any_order_of_screens_is_used_or_counted(
    study: Path, run: Run, fixations: list[Fixation], anew: bool, samples: int
) -> None:
    for old in (study / "anna").glob("*"):
        old.unlink()
    name = "User 0_fixations.csv" if samples == 1 else "User 0_all_gaze.csv"
    write_export(study / "anna" / name, rows_of(fixations, anew, samples=samples))
    used = by_word(fixations)
    done = run("--repeats", "joined", "--min-assigned", "0", "--assign", "nearest")
    if not any(screen in PAGES for screen, _, _ in fixations):
        assert "no recording can be used" in done.error or "has no recordings" in done.error
        return
    assert done.report["fixations_read"] == len(fixations)
    assert done.report["fixations"] == sum(used)
    assert [each[0] for each in done.measures["anna"]] == used


ODD_CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "nan", "inf", "-1", "0,5", "1e999", "[18.0]", '"', "\x00", "1.1_p1.png", "\u0663", "x" * 300]
    ),
    st.text(max_size=6),
    st.floats().map(str),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 8), column=st.integers(0, 11), cell=ODD_CELLS, samples=st.sampled_from([1, 3]))
def test_an_export_with_an_odd_cell_is_read_or_refused_in_one_line_that_names_it(
    study: Path, run: Run, row: int, column: int, cell: str, samples: int
) -> None:
    for old in (study / "anna").glob("*"):
        old.unlink()
    lines = [COLUMNS, *rows_of(FIRST, samples=samples)]
    cells = lines[row].split(",")
    cells[column] = cell
    lines[row] = ",".join(cells)
    name = "User 0_fixations.csv" if samples == 1 else "User 0_all_gaze.csv"
    path = write_export(study / "anna" / name, lines[1:], lines[0])
    done = run("--repeats", "joined")
    assert done.code == 0 or str(path) in done.error or "no recording" in done.error


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 6), column=st.integers(0, 4), cell=ODD_CELLS)
def test_word_boxes_with_an_odd_cell_are_read_or_refused_in_one_line_that_names_them(
    study: Path, run: Run, row: int, column: int, cell: str
) -> None:
    write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    write_boxes(study, "1.1_p1", PAGES["1.1_p1"])
    path = study / "words" / "1.1_p1.csv"
    lines = path.read_text().splitlines()
    cells = lines[row].split(";")
    cells[column] = cell
    lines[row] = ";".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    done = run()
    assert done.code == 0 or str(path) in done.error


@given(
    ids=st.lists(st.integers(0, 10**6), max_size=6),
    style=st.sampled_from(["{}", "{}.0", "{}.", "np.float64({}.0)", "np.int64({})", "float32({}.0)"]),
    around=st.sampled_from(["[{}]", "({})", "array([{}])", "{}", " [ {} ] "]),
    between=st.sampled_from([", ", ",", " ", "; ", "  "]),
)
def test_ids_are_read_whichever_way_they_were_printed(ids: list[int], style: str, around: str, between: str) -> None:
    assert parse_ids(around.format(between.join(style.format(each) for each in ids))) == ids


@given(text=st.text(alphabet="0123456789.-+[]()naflotp, e;", max_size=12))
def test_a_cell_that_lists_no_ids_is_none_and_never_other_numbers(text: str) -> None:
    found = parse_ids(text)
    assert found is None or "-" not in text
    if found:
        assert all(str(each) in text for each in found if each < 10 or str(each) in text)


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


def test_a_folder_without_recordings_names_a_file_that_it_has(study: Path, run: Run) -> None:
    rows = [row.replace(",", "\t") for row in rows_of(FIRST)]
    path = write_export(study / "anna" / "User 0_fixations.csv", rows, COLUMNS.replace(",", "\t"))
    assert run().error.startswith(f"{study}: has no recordings (1 files of no known format, as {path}); accepted: ")


def test_times_that_go_back_are_refused(study: Path, run: Run, asc: Any) -> None:
    parts = [asc()(study / f"part{n}.asc", scanpath("1.1_p1", range(8))) for n in range(2)]
    path = join_files(study / "anna.asc", *parts)
    assert run().error == (
        f"{path}: after the sample at 2771 ms comes one at 1004 ms; accepted: one recording a file, in the order of "
        "time"
    )


@pytest.mark.parametrize(
    "case", ["E01_page_visited_twice", "E13_upper_case_name", "F01_screen_one_off", "F03_eye_changes"]
)
def test_the_shared_cases_are_read_whole(
    shared: Path, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gazetune.cli.main import main

    folder = shared / "cases" / case
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    flags = ["--screen", "1280x1024"] if case.startswith("F01") else []
    out = tmp_path / "gaze.parquet"
    arguments = [str(folder / "study"), "--data", str(folder / "pairs.jsonl"), "--out", str(out), "--json", *flags]
    assert main(["gaze", "import", *arguments]) == 0
    expected = {"E01": 23, "E13": 20, "F01": 11, "F03": 11}[case[:3]]
    assert f'"fixations": {expected},' in capsys.readouterr().out


def test_the_shared_case_of_two_readers_is_refused(shared: Path, tmp_path: Path) -> None:
    folder = shared / "cases" / "E12_two_readers_one_folder"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    from gazetune.eyetracking.import_recordings import import_recordings

    text = (folder / "pairs.jsonl").read_text()
    chosen = text.split('"chosen": "')[1].split('"')[0]
    with pytest.raises(InputError, match=r"trial 1\.1 was read twice by reader anna, before in .*--reader-from file"):
        import_recordings(folder / "study", [chosen], tmp_path / "gaze.parquet")
