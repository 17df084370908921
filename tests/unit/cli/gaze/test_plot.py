from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main


def run(*arguments: str) -> int:
    return main(["gaze", "plot", *arguments])


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Question {row}?", "chosen": f"Good {row}.", "rejected": f"Bad {row}."} for row in (1, 2, 3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_pair_is_found_by_its_row(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pair.html"
    assert run("--pair", f"{pairs}:2", "--out", str(out)) == 0
    assert capfd.readouterr().out == f"{out}\n"
    text = out.read_text()
    for word in ("Question 2?", "chosen: 2 words", "rejected: 2 words", ">Good<", ">Bad<", ">2.<"):
        assert word in text


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("{}:4", "has no row 4; the last one is 3"),
        ("{}:0", "accepted: FILE:ROW, with rows counted from 1"),
        ("{}", "accepted: FILE:ROW"),
        ("{}x:1", "there is no file"),
    ],
)
def test_a_wrong_place_is_one_line(
    place: str, expected: str, pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pair = place.format(pairs).replace(".jsonlx", "x.jsonl")
    assert run("--pair", pair, "--out", str(tmp_path / "a.png")) == 2
    out, error = capfd.readouterr()
    assert out == "" and expected in error and error.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_a_text_is_drawn_by_the_predictor_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.html"
    assert run("--text", "Some words.", "--measure", "nFix", "--predictor", "planted", "--out", str(out)) == 0
    assert "nFix (number of fixations), predicted by planted" in out.read_text()


def test_a_scanpath_takes_no_predictor(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for option in ("--measure", "--predictor", "--path"):
        assert run("--scanpath", "f.csv", "b.csv", option, "x", "--out", str(tmp_path / "a.png")) == 2
        assert f"--scanpath: cannot stand beside {option}" in capfd.readouterr().err


def test_exactly_one_picture_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--out", "a.png"], ["--text", "a", "--pair", "b:1", "--out", "a.png"]):
        with pytest.raises(SystemExit):
            run(*arguments)
    assert "not allowed with" in capsys.readouterr().err
