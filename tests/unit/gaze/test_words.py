from __future__ import annotations

import hashlib
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gazetune.gaze.words import text_key, word_spans


def test_words_are_runs_of_non_white_space() -> None:
    assert word_spans(" one,\ttwo\n\u3000three!").tolist() == [[1, 5], [6, 9], [11, 17]]


def test_text_without_words_has_no_spans() -> None:
    for text in ("", " \n\t"):
        assert word_spans(text).shape == (0, 2)
    assert word_spans("").dtype == np.int32


@given(st.text())
def test_words_are_those_of_str_split(text: str) -> None:
    assert [text[start:end] for start, end in word_spans(text).tolist()] == text.split()


def test_every_character_that_splits_words_for_str_split_does_so_here() -> None:
    text = "".join(f"a{chr(code)}" for code in range(sys.maxunicode + 1) if chr(code).isspace())
    assert len(word_spans(text)) == len(text.split())


def test_key_is_sha256_of_utf8_and_takes_lone_surrogates() -> None:
    assert text_key("naïve") == hashlib.sha256("naïve".encode()).digest()
    assert text_key("\ud800") != text_key("\ud801")
