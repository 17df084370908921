from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.config import GazeConfig
from gazetune.errors import InputError
from gazetune.pictures.plot import plot_comparison, plot_scanpath, plot_texts

LEXICAL = GazeConfig()


def test_a_text_becomes_a_png_and_an_html_file(tmp_path: Path) -> None:
    for ending, start in ((".png", b"\x89PNG"), (".html", b"<!DOCTYPE html>")):
        out = tmp_path / f"text{ending}"
        assert plot_texts(LEXICAL, {"": "A few words."}, out) == [out]
        assert out.read_bytes().startswith(start)


def test_the_pages_of_a_long_text_are_numbered_files(tmp_path: Path) -> None:
    files = plot_texts(LEXICAL, {"": "word\n" * 50}, tmp_path / "long.png", "FFD")
    assert [file.name for file in files] == ["long.png", "long-2.png"]
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_the_unit_is_that_of_the_measure(tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    plot_texts(LEXICAL, {"": "word"}, out, "fixProp")
    assert "fixProp, % of readers" in out.read_text()


@pytest.mark.parametrize(
    ("gaze", "text", "out", "measure", "expected"),
    [
        (LEXICAL, "word", "a.pdf", "TRT", "ends in .png or .html"),
        (LEXICAL, "word", "none/a.png", "TRT", "there is no folder"),
        (LEXICAL, "word", "a.png", "TTR", "--measure: 'TTR' is no reading measure; did you mean 'TRT'?"),
        (LEXICAL, " ", "a.png", "TRT", "text ' ': has no words"),
        (GazeConfig(predictor="lexicl"), "word", "a.png", "TRT", "did you mean 'lexical'?"),
        (GazeConfig(predictor="bilstm"), "word", "a.png", "FFD", "'bilstm' does not predict FFD"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    gaze: GazeConfig, text: str, out: str, measure: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        plot_texts(gaze, {"": text}, tmp_path / out, measure)
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        plot_texts(LEXICAL, {"": "word"}, tmp_path / "a.html")
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]


def test_a_comparison_draws_one_measure_or_all(tmp_path: Path) -> None:
    data, out = tmp_path / "read.csv", tmp_path / "a.html"
    data.write_text("sentence_id,word,nFix,FFD,GPT,TRT,fixProp\n0,one,1,2,3,4,5\n0,two.,2,3,4,5,6\n")
    plot_comparison(LEXICAL, data, out)
    assert out.read_text().count("<svg") == 5
    plot_comparison(LEXICAL, data, out, "TRT")
    assert out.read_text().count("<svg") == 1
    with pytest.raises(InputError, match=r"columns 'sentence_id', 'word', .* are missing"):
        plot_comparison(LEXICAL, out, tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_a_scanpath_is_drawn_from_two_files(tmp_path: Path) -> None:
    fixations, boxes = tmp_path / "f.csv", tmp_path / "b.csv"
    fixations.write_text("x,y,duration\n15,15,0.2\n")
    boxes.write_text("text,x1,y1,x2,y2\none,0,10,40,20\n")
    assert plot_scanpath(fixations, boxes, tmp_path / "s.png") == [tmp_path / "s.png"]
    assert plot_scanpath(fixations, boxes, tmp_path / "s.html")[0].read_text().count("<circle") == 1
    with pytest.raises(InputError, match="columns 'x', 'y', 'duration' are missing"):
        plot_scanpath(boxes, boxes, tmp_path / "t.png")
