from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from gazetune.errors import InputError
from gazetune.gaze.fitting import evaluate_predictor, fit_lexical, read_sentences
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.lexical import LexicalPredictor
from gazetune.gaze.words import word_spans

HEADER = ["sentence_id", "word_id", "word", "nFix", "FFD", "GPT", "TRT", "fixProp"]
CMCL = Path(os.environ.get("GAZETUNE_SHARED", "../shared")) / "data" / "cmcl2021"


def write(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return path


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """Sentences in which the measures follow the length of the word."""
    generator = np.random.default_rng(0)
    rows = []
    for sentence in range(150):
        for place in range(8):
            length = int(generator.integers(1, 13))
            word = "".join(generator.choice(list("abcdefgh"), length)) + ("<EOS>" if place == 7 else "")
            rows.append([sentence, place, word, length * 2, length / 4, length / 2, length / 3, min(length * 10, 100)])
    return write(tmp_path / "made_up.csv", rows)


def test_end_mark_is_stripped_and_words_that_look_like_missing_values_stay(tmp_path: Path) -> None:
    rows = [[4, 0, "None", 1, 2, 3, 4, 5], [4, 1, "NA.<EOS>", 6, 7, 8, 9, 10], [9, 0, "null<EOS>", 1, 1, 1, 1, 1]]
    data = read_sentences(write(tmp_path / "rows.csv", rows))
    assert data.texts == ("None NA.", "null")
    assert data.values.tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 1, "<EOS>", 1, 1, 1, 1, 1], "rows.csv row 2: word: ''"),
        ([1, 1, "two words", 1, 1, 1, 1, 1], "rows.csv row 2: word: 'two words'"),
        ([1, 1, "word", 1, "x", 1, 1, 1], "rows.csv row 2: FFD: 'x' is no number"),
        ([1, 1, "word", 1, 1, 1, 101, 1], "rows.csv row 2: TRT: 101; accepted: 0 to 100"),
        ([1, 1, "word", 1, 1], "rows.csv row 2: GPT: 'None' is no number"),
    ],
)
def test_bad_rows_are_refused_by_number(tmp_path: Path, row: list[object], message: str) -> None:
    path = write(tmp_path / "rows.csv", [[1, 0, "fine", 1, 1, 1, 1, 1], row])
    with pytest.raises(InputError, match=message):
        read_sentences(path)


def test_files_that_are_not_in_the_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read"):
        read_sentences(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="has no rows"):
        read_sentences(write(tmp_path / "rows.csv", []))
    (tmp_path / "other.csv").write_text("sentence_id,word,nFix\n")
    with pytest.raises(InputError, match="columns missing: FFD, GPT, TRT, fixProp"):
        read_sentences(tmp_path / "other.csv")
    apart = [[1, 0, "a", 1, 1, 1, 1, 1], [2, 0, "b", 1, 1, 1, 1, 1], [1, 1, "c", 1, 1, 1, 1, 1]]
    with pytest.raises(InputError, match="row 3: sentence_id: 1 comes in two pieces"):
        read_sentences(write(tmp_path / "rows.csv", apart))


def test_fit_learns_and_is_reproducible_bit_for_bit(made_up: Path, tmp_path: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    for name in ("one", "two"):
        fit_lexical(made_up, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    fit_lexical(made_up, tmp_path / "other", seed=1)
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    found = evaluate_predictor(LexicalPredictor(tmp_path / "one"), made_up)
    assert found["words"] == 1200
    assert min(errors["spearman"] for errors in found["measures"].values()) > 0.95
    assert found["measures"]["fixProp"]["mae"] < 8


class HalfPredictor:
    """Two units a word, each with half of what is asked for, and one measure off by 3."""

    fingerprint = "half"

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        result = []
        for text in texts:
            spans = np.repeat(word_spans(text), 2, axis=0)
            lengths = (spans[:, 1] - spans[:, 0]).astype(np.float32)
            values = np.stack([lengths, lengths / 8 + 1.5, lengths / 4, lengths / 6, lengths * 5], axis=1)
            result.append(TextGaze(spans, values, np.arange(len(spans), dtype=np.int32) // 2))
        return result


def test_errors_are_over_words_and_units_of_a_word_are_summed(made_up: Path) -> None:
    found = evaluate_predictor(HalfPredictor(), made_up)
    assert {name: round(errors["mae"], 5) for name, errors in found["measures"].items()} == {
        "nFix": 0.0,
        "FFD": 3.0,
        "GPT": 0.0,
        "TRT": 0.0,
        "fixProp": 0.0,
    }
    assert found["mean_mae"] == pytest.approx(0.6)
    assert found["measures"]["FFD"]["spearman"] == pytest.approx(1.0)


def test_shipped_weights_keep_their_published_error() -> None:
    if not CMCL.is_dir():
        pytest.skip(f"needs the CMCL 2021 files in {CMCL}")
    found = evaluate_predictor(LexicalPredictor(), CMCL / "valid.csv")
    assert found["words"] == 4005
    assert found["mean_mae"] <= 3.90
