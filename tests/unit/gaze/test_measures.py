from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.gaze.measures import TextGaze, predict_words


def unit_gaze(words: Sequence[int], values: Sequence[float]) -> TextGaze:
    """Return units of one letter each; measure k of a unit is its value times k + 1."""
    spans = np.stack([np.arange(len(words)), np.arange(1, len(words) + 1)], axis=1).astype(np.int32)
    table = np.outer(values, np.arange(1, 6)).astype(np.float32)
    return TextGaze(spans, table, np.array(words, dtype=np.int32))


class Letters:
    """One unit a character that is not white space, each worth 1, 2, 3, 4, 5."""

    fingerprint = "letters"

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        words = [[number for number, word in enumerate(text.split()) for _ in word] for text in texts]
        return [unit_gaze(each, [1.0] * len(each)) for each in words]


def test_units_of_a_word_are_summed_whatever_their_unit_and_a_word_without_units_is_zero() -> None:
    found = unit_gaze([0, 0, 2], [1.0, 2.5, 30.0]).word_values(4)
    assert found.tolist() == [[3.5, 7, 10.5, 14, 17.5], [0] * 5, [30, 60, 90, 120, 150], [0] * 5]


def test_each_word_comes_with_its_span_and_measures() -> None:
    found = predict_words(Letters(), "  an\n🙂 None")
    assert [(each["word"], each["start"], each["end"]) for each in found] == [
        ("an", 2, 4),
        ("🙂", 5, 6),
        ("None", 7, 11),
    ]
    assert [each["nFix"] for each in found] == [2, 1, 4]
    assert list(found[0]) == ["word", "start", "end", "nFix", "FFD", "GPT", "TRT", "fixProp"]
    assert [found[2][name] for name in ("FFD", "GPT", "TRT", "fixProp")] == [8, 12, 16, 20]


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="has no words"):
        predict_words(Letters(), text)
