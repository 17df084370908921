"""Recordings as trackers, people and operating systems leave them: read as meant, refused with a question, or told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazetune.errors import InputError
from gazetune.eyetracking.formats.oasst_etc_ids import parse_ids
from tests.cases.gazepoint_study import (
    BACK,
    COLUMNS,
    FIRST,
    OTHER,
    PAGES,
    SCREEN,
    SECOND,
    Fixation,
    Run,
    by_word,
    rows_of,
    write_boxes,
    write_export,
)


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


def test_many_files_that_no_format_reads_are_one_line_with_their_count(study: Path, run: Run) -> None:
    write_export(study / "anna" / "User 0_fixations.csv", rows_of(FIRST))
    (study / "attention").mkdir()
    for layer in range(30):
        (study / "attention" / f"layer_{layer}.csv").write_text("0\n")
    (part,) = [each for each in run().report["dropped"] if each["what"] == "file"]
    assert (part["count"], part["source"]) == (30, f"{study / 'attention' / 'layer_0.csv'} and others")


def test_a_folder_without_recordings_names_a_file_that_it_has(study: Path, run: Run) -> None:
    rows = [row.replace(",", "\t") for row in rows_of(FIRST)]
    path = write_export(study / "anna" / "User 0_fixations.csv", rows, COLUMNS.replace(",", "\t"))
    assert run().error.startswith(f"{study}: has no recordings (1 files of no known format, as {path}); accepted: ")


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
