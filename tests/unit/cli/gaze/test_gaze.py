"""`gazetune gaze` from the command line to its exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.gaze.predictors.lexical import LexicalPredictor

HEADER = "sentence_id,word,nFix,FFD,GPT,TRT,fixProp\n"
MEASURES = ["nFix", "FFD", "GPT", "TRT", "fixProp"]


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / "measured.csv"
    rows = [f"{row // 4},{'ab' * (1 + row % 4)},{row},1,2,3,{5 + row}" for row in range(16)]
    path.write_text(HEADER + "\n".join(rows))
    return path


def test_predict_prints_words_spans_and_measures_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["gaze", "predict", "--text", "A réal\n[bold]one[/bold].", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert list(document) == ["predictor", "words"]
    assert document["predictor"] == LexicalPredictor().fingerprint
    assert [(word["word"], word["start"], word["end"]) for word in document["words"]] == [
        ("A", 0, 1),
        ("réal", 2, 6),
        ("[bold]one[/bold].", 7, 24),
    ]
    (expected,) = LexicalPredictor().predict(["A réal\n[bold]one[/bold]."])
    found = [[word[name] for name in MEASURES] for word in document["words"]]
    assert found == pytest.approx(expected.values, abs=1e-4)


def test_predict_prints_a_table_of_another_predictor(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["gaze", "predict", "--text", "a [bold]word[/bold]", "--predictor", "planted"]) == 0
    header, *rows = capfd.readouterr().out.splitlines()
    assert header.split() == ["word", "start", "end", *MEASURES]
    assert [row.split()[:3] for row in rows] == [["a", "0", "1"], ["[bold]word[/bold]", "2", "19"]]


def test_predict_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("zwei Wörter\n".encode())))
    assert main(["gaze", "predict", "--text", "-", "--json"]) == 0
    assert [word["word"] for word in json.loads(capfd.readouterr().out)["words"]] == ["zwei", "Wörter"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert main(["gaze", "predict", "--text", "-"]) == 2
    assert "--text: is not UTF-8" in capfd.readouterr().err


def test_evaluate_prints_the_errors(measured: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = ["gaze", "evaluate", "--predictor", "lexical", "--data", str(measured)]
    assert main([*line, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert list(document) == ["measures", "mean_mae", "words"] and document["words"] == 16
    assert list(document["measures"]) == MEASURES
    assert document["measures"]["FFD"]["spearman"] is None  # all alike in the file
    assert document["measures"]["nFix"].keys() == {"mae", "spearman"}
    assert main(line) == 0
    rows = [row.split() for row in capfd.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["measure", *MEASURES, "mean", "16"]
    assert rows[-2] == ["mean", f"{document['mean_mae']:.3f}"]


def test_fit_tells_its_progress_on_stderr_and_makes_a_gaze_path(
    measured: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fitted"
    data = ["--data", str(measured), "--valid", str(measured)]
    command = [sys.executable, "-m", "gazetune.cli.main", "gaze", "fit", *data, "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "fitting network 1 of" in done.stderr
    fitted = json.loads(done.stdout)
    line = ["gaze", "evaluate", "--predictor", "lexical", "--path", str(out), "--data", str(measured), "--json"]
    assert main(line) == 0
    assert json.loads(capfd.readouterr().out) == fitted


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["predict", "--text", " \n "], "has no words"),
        (["predict", "--text", "a\udcff"], "--text: is not UTF-8"),
        (["predict", "--text", "a", "--predictor", "lexcal"], "'lexcal' is no gaze predictor; did you mean 'lexical'?"),
        (["predict", "--text", "a", "--path", "/no/where"], "/no/where: no readable weights"),
        (["predict", "--text", "a", "--predictor", "recorded", "--path", "/no/where"], "/no/where: cannot be read"),
        (["evaluate", "--predictor", "lexical", "--data", "/no/where"], "/no/where: cannot be read as CSV"),
        (["fit", "--data", "a", "--valid", "b", "--out", "c", "--kind", "x"], "kind 'x': cannot be fitted"),
    ],
)
def test_bad_input_is_one_line_and_exit_two(line: list[str], expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["gaze", *line]) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1
    assert error.startswith("gazetune: error: ") and expected in error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("sentence_id,word,nFix,FFD,TRT,fixProp\n", "column 'GPT' is missing"),
        (f"{HEADER}0,None,1,1,1,1,1\n0,,1,1,1,1,1\n", "row 2: word: is empty"),
        (f"{HEADER}0,a,1,-1,1,1,1\n", "row 1: FFD: -1; accepted: 0 to 100"),
    ],
)
def test_a_bad_csv_is_named_with_its_row(
    content: str, expected: str, tmp_path: Path, measured: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(content)
    for line in (
        ["evaluate", "--predictor", "lexical", "--data", str(bad)],
        ["fit", "--data", str(bad), "--valid", str(measured), "--out", str(tmp_path / "out")],
        ["fit", "--data", str(measured), "--valid", str(bad), "--out", str(tmp_path / "out")],
    ):
        assert main(["gaze", *line]) == 2
        error = capfd.readouterr().err
        assert error.startswith(f"gazetune: error: {bad}") and expected in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "measured.csv"]
