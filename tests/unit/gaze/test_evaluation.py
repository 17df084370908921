from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gazetune.gaze.evaluation import evaluate_predictor
from gazetune.gaze.measured_sentences import MeasuredSentences, read_measured_sentences
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.lexical import LexicalPredictor
from gazetune.gaze.words import word_spans

TEXTS = tuple("x" * length + " " + "x" * (length + 7) for length in (1, 3, 2, 5, 4))
LENGTHS = np.array([len(word) for text in TEXTS for word in text.split()], dtype=np.float64)
MADE_UP = MeasuredSentences(TEXTS, np.stack([2 * LENGTHS, LENGTHS / 4, LENGTHS / 2, LENGTHS / 3, 5 * LENGTHS], axis=1))


class HalfPredictor:
    """Two units a word, each with half of what is asked for, FFD off by 3 and fixProp the same everywhere."""

    fingerprint = "half"

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        result = []
        for text in texts:
            spans = np.repeat(word_spans(text), 2, axis=0)
            lengths = (spans[:, 1] - spans[:, 0]).astype(np.float32)
            values = np.stack([lengths, lengths / 8 + 1.5, lengths / 4, -lengths / 6 + 9, 0 * lengths], axis=1)
            result.append(TextGaze(spans, values, np.arange(len(spans), dtype=np.int32) // 2))
        return result


def test_errors_are_over_words_and_units_of_a_word_are_summed() -> None:
    found = evaluate_predictor(HalfPredictor(), MADE_UP)
    mae = {name: errors["mae"] for name, errors in found["measures"].items()}
    opposite = float(np.abs(18 - 2 * LENGTHS / 3).mean())
    expected = {"nFix": 0.0, "FFD": 3.0, "GPT": 0.0, "TRT": opposite, "fixProp": float(5 * LENGTHS.mean())}
    assert mae == pytest.approx(expected, abs=1e-5)
    assert found["mean_mae"] == pytest.approx(np.mean(list(expected.values())))
    assert found["words"] == 10


def test_predictions_end_where_the_scale_of_the_sentences_does() -> None:
    long = MeasuredSentences(("x" * 120, "x" * 40), np.full((2, 5), 90.0))
    found = evaluate_predictor(HalfPredictor(), long)["measures"]  # nFix 240 and 80, GPT 60 and 20
    assert found["nFix"]["mae"] == pytest.approx((10 + 10) / 2)
    assert found["GPT"]["mae"] == pytest.approx((30 + 70) / 2)


def test_rank_correlation_is_1_in_order_minus_1_in_reverse_and_none_for_a_constant() -> None:
    found = evaluate_predictor(HalfPredictor(), MADE_UP)["measures"]
    assert found["FFD"]["spearman"] == pytest.approx(1.0)
    assert found["TRT"]["spearman"] == pytest.approx(-1.0)
    assert found["fixProp"]["spearman"] is None


def test_shipped_weights_keep_their_published_error(shared: Path) -> None:
    found = evaluate_predictor(LexicalPredictor(), read_measured_sentences(shared / "data" / "cmcl2021" / "valid.csv"))
    assert found["words"] == 4005
    assert found["mean_mae"] <= 3.80
    for name, bound in (("nFix", 4.395), ("FFD", 0.717), ("GPT", 2.705), ("TRT", 1.711), ("fixProp", 11.926)):
        assert found["measures"][name]["mae"] < bound
