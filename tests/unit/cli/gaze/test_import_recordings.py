"""`gazetune gaze import`: its flags, its report and its errors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from gazetune.cli.main import build_parser, main
from gazetune.errors import InputError
from gazetune.gaze.predictors.recorded import RecordedPredictor

TEXT = "one two three"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "Count.", "chosen": TEXT, "rejected": "no"}) + "\n")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "fixations_assigned_1.1.csv").write_text(
        ";ID;x;y;duration;word;word_number\n"
        + "".join(
            f"{n};{n};10;10;0.1;{word};{place}.0\n"
            for n, (place, word) in enumerate([(0, "one"), (1, "two"), (0, "one"), (2, "three"), (2, "three")])
        )
    )
    return folder


def parse(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(["gaze", "import", *arguments])


def run(*arguments: str) -> int:
    return main(["gaze", "import", *arguments])


def test_the_report_is_one_json_document_and_the_file_is_read_by_recorded(
    source: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gaze.parquet"
    assert run(str(source), "--data", str(pairs), "--out", str(out), "--units", "ms", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["texts"], report["rows"], report["fixations"], report["units"]) == (1, 3, 5, "ms")
    (gaze,) = RecordedPredictor(out).predict([TEXT])
    assert gaze.values[:, 0].tolist() == [2, 1, 2]


def test_without_json_each_drop_is_a_line(
    source: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "fixations_assigned_2.1.csv").write_text(";ID;x;y;duration;word;word_number\n0;0;10;10;0.1;no;0.0\n")
    out = str(tmp_path / "g.parquet")
    assert run(str(source), "--data", str(pairs), "--out", out, "--screen", "800x600") == 0
    printed = capsys.readouterr().out
    assert "3 rows, 1 texts, 1 readers, 1 recordings, 5 fixations" in printed
    assert "dropped 1 recording: " in printed and "1 fixations on the screen, fewer than 5" in printed


@pytest.mark.parametrize("size", ["800", "0x600", "800 x 600", "-1x5"])
def test_a_wrong_size_of_the_screen_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("in", "--data", "pairs.jsonl", "--out", "o.parquet", f"--screen={size}")
    assert caught.value.code == 2
    assert "accepted: WIDTHxHEIGHT" in capsys.readouterr().err


def test_recordings_of_other_texts_are_refused_in_one_line(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"prompt": "Count.", "chosen": "one two four", "rejected": "no"}) + "\n")
    with pytest.raises(InputError) as caught:
        args = parse(str(source), "--data", str(other), "--out", str(tmp_path / "gaze.parquet"))
        args.run(args)
    assert "fixations_assigned_1.1.csv row 5: word 2 is 'three', but the nearest text has 'four'" in str(caught.value)
    assert not (tmp_path / "gaze.parquet").exists()


def test_an_eyelink_file_is_imported_by_the_flags_that_it_needs(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pymovements", reason="pymovements is not installed (extra eyetracking)")
    (tmp_path / "boxes").mkdir()
    boxes = [f"{word};{x};90;{x + 60};120\n" for word, x in zip(TEXT.split(), (50, 250, 450), strict=True)]
    (tmp_path / "boxes" / "page.csv").write_text("text;x1;y1;x2;y2\n" + "".join(boxes))
    lines = ["MSG\t1 RECCFG CR 500 2 1 R", "MSG\t1 GAZE_COORDS 0.00 0.00 799.00 599.00", "MSG\t2 SHOW page.png"]
    lines.append("SAMPLES\tGAZE\tRIGHT\tRATE\t 500.00\tTRACKING\tCR\tFILTER\t2")
    gaze_x = [x + 30 for x in (50, 250, 50, 450) for _ in range(100)]
    lines += [f"{4 + 2 * n}\t  {x}.0\t  100.0\t 900.0\t..." for n, x in enumerate(gaze_x)]
    (tmp_path / "eva.asc").write_text("\n".join(lines) + "\n")
    out = tmp_path / "gaze.parquet"
    arguments = (
        str(tmp_path / "eva.asc"),
        "--data",
        str(pairs),
        "--out",
        str(out),
        "--words",
        str(tmp_path / "boxes"),
        "--trial-message",
        r"SHOW (?P<trial>\S+)",
        "--detect",
        "ivt",
        "--threshold",
        "30",
        "--min-duration",
        "150",
        "--viewing",
        "40x30@60",
        "--min-fixations",
        "4",
        "--units",
        "ms",
        "--json",
    )
    assert run(*arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["fixations"], report["readers"]) == (4, 1)
    assert "(velocity_threshold=30, minimum_duration=150), screen 40x30 cm at 60 cm" in report["notes"][0]
    (gaze,) = RecordedPredictor(out, "eva").predict([TEXT])
    assert gaze.values[:, 0].tolist() == [2, 1, 1]
    assert gaze.values[:, 1] == pytest.approx([200, 200, 200], abs=8)  # two samples at each edge


def test_the_columns_of_a_data_set_are_named_by_key(pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("pymovements", reason="pymovements is not installed (extra eyetracking)")
    measures = tmp_path / "set" / "precomputed_reading_measures"
    measures.mkdir(parents=True)
    rows = [
        f"r{reader},a,b,{word},{n},{100 * n},{100 * n},{100 * n}"
        for reader in (1, 2)
        for n, word in enumerate(TEXT.split())
    ]
    (measures / "ia_Paragraph.csv").write_text("who,book,page,token,n,first,past,total\n" + "\n".join(rows) + "\n")
    arguments = (
        str(tmp_path / "set"),
        "--data",
        str(pairs),
        "--out",
        str(tmp_path / "g.parquet"),
        "--dataset",
        "OneStop",
        "--content",
        "measures",
        "--units",
        "ms",
        "--min-fixations",
        "1",
        "--columns",
        "reader=who,trial=book+page,word=token,nFix=n,FFD=first,GPT=past,TRT=total",
    )
    assert run(*arguments) == 0
    (gaze,) = RecordedPredictor(tmp_path / "g.parquet", "r2").predict([TEXT])
    assert gaze.values[2].tolist() == [2, 200, 200, 200, 100]


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--viewing", "40x30", "accepted: WIDTHxHEIGHT@DISTANCE in cm"),
        ("--columns", "trial", "accepted: KEY=NAME,KEY=NAME"),
        ("--detect", "ihmm", "invalid choice: 'ihmm'"),
    ],
)
def test_wrong_flags_of_pymovements_are_refused(
    flag: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("in", "--data", "pairs.jsonl", "--out", "o.parquet", flag, value)
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err
