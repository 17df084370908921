from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.config import MEASURES
from gazetune.gaze.evaluation import evaluate_predictor
from gazetune.gaze.measured_sentences import read_measured_sentences
from gazetune.gaze.predictors.lexical import LexicalPredictor
from gazetune.pictures.colours import LIGHT
from gazetune.pictures.comparison import Comparison, compare_words

SENTENCE = ["The", "quick", "brown", "fox", "jumps", "over", "one", "extraordinarily", "lazy", "<dog>"]


def comparison(human: list[float], predicted: list[float], measures: tuple[str, ...] = ("TRT",)) -> Comparison:
    spread = np.zeros(len(MEASURES)) + 1
    words = tuple(SENTENCE[: len(human)] if len(human) <= len(SENTENCE) else [*SENTENCE, "end"])
    return Comparison(measures, words, np.outer(human, spread), np.outer(predicted, spread), "some", "words <1>.csv")


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    file = tmp_path / "read.csv"
    rows = [
        f"0,{place},{word},{3 * place},{place % 3},{place % 4},{place % 5},{10 * place}"
        for place, word in enumerate(SENTENCE)
    ]
    file.write_text("\n".join(["sentence_id,word_id,word,nFix,FFD,GPT,TRT,fixProp", *rows]) + "\n")
    return file


def test_the_errors_are_those_of_the_evaluation(sentences: Path) -> None:
    predictor = LexicalPredictor()
    picture = compare_words(predictor, "lexical", sentences)
    errors = evaluate_predictor(predictor, read_measured_sentences(sentences))
    for name in MEASURES:
        assert picture.errors_of(name) == errors["measures"][name]
    assert picture.title == f"lexical against human readers, 10 words of read.csv, mean MAE {errors['mean_mae']:.2f}"


def test_the_heading_has_error_and_rank_correlation() -> None:
    assert comparison([1, 2, 3, 4], [2, 3, 4, 1]).panel_title("TRT") == "TRT: MAE 1.50, Spearman -0.20"
    assert comparison([1, 1], [2, 3]).panel_title("TRT") == "TRT: MAE 1.50, Spearman undefined"


def test_points_stand_at_their_values(pixels: Any) -> None:
    # The last word sets the scale; ten words at (1, 3) of 4, left of the middle and above it.
    image = pixels(comparison([1.0] * 10 + [4.0], [3.0] * 10 + [0.0]).to_png()[0])
    assert image.shape == (650, 580, 3)
    blue = image[..., 2].astype(int) - image[..., 0] > 60
    rows, columns = np.nonzero(blue[:, :300])
    assert columns.mean() == pytest.approx(110 + 390 * 0.25 / 1.02, abs=4)
    assert rows.mean() == pytest.approx(150 + 390 * (1 - 0.75 / 1.02), abs=4)


def test_all_measures_stand_in_two_rows_of_three(pixels: Any) -> None:
    assert pixels(comparison([1.0, 2.0], [2.0, 3.0], MEASURES).to_png()[0]).shape == (1190, 1660, 3)


def test_the_html_has_a_dot_for_each_spot_and_the_errors_in_a_table(document: Any) -> None:
    text = comparison([1.0, 1.0, 4.0], [3.0, 3.0, 0.0]).to_html()
    found = document(text)
    dots = re.findall(r'<g class="(\w+)"[^>]*><path d="(.*?)"><title>(.*?)</title></path></g>', text, flags=re.DOTALL)
    # 240 units of 4 * 1.02, the origin at (40, 250); two words on one spot are darker than one.
    assert dots == [
        ("v40", "M275 250h0", "brown: human 4.00, predicted 0.00"),
        ("v60", "M99 74h0", "The: human 1.00, predicted 3.00\nquick: human 1.00, predicted 3.00"),
    ]
    assert found.cells == ["TRT", "2.667", "-1.000"]
    assert "words &lt;1&gt;.csv" in text


def test_a_spot_of_many_words_names_the_first_five() -> None:
    (title,) = re.findall(r"<path[^>]*><title>([^<]*)</title>", comparison([1.0] * 8, [1.0] * 8).to_html())
    assert title.splitlines()[4:] == ["jumps: human 1.00, predicted 1.00", "and 3 more"]


def test_the_axes_state_the_units_of_what_stands_on_them(sentences: Path) -> None:
    picture = compare_words(LexicalPredictor(), "lexical", sentences)
    assert picture.axis_labels("nFix") == ("human (100 = 7.25 fixations)", "predicted (100 = 7.25 fixations)")
    text = picture.to_html()
    assert text.count(">human (1 = 48.5 ms)</text>") == text.count(">predicted (1 = 48.5 ms)</text>") == 3
    # The published BiLSTM gives levels.
    assert compare_words(LexicalPredictor(), "bilstm", sentences).axis_labels("TRT")[1] == "predicted (level 0 to 11)"
    assert "&lt;dog&gt;: human" in text


def test_a_predictor_that_is_all_zero_against_zero_can_be_drawn(pixels: Any, document: Any) -> None:
    picture = comparison([0.0, 0.0], [0.0, 0.0])
    assert (pixels(picture.to_png()[0]) != 255).any()
    assert "undefined" in document(picture.to_html()).cells


def test_dots_use_colours_of_the_scale() -> None:
    assert all(f".v{shade} " in comparison([1.0], [1.0]).to_html() for shade in range(len(LIGHT)))
