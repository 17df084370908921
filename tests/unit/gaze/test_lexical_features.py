from __future__ import annotations

import numpy as np
import pytest

from gazetune.gaze.common_words import RAREST, commonness_band
from gazetune.gaze.lexical_features import (
    CONTEXT,
    FEATURES,
    FORM_FEATURES,
    NEIGHBOUR_FEATURES,
    feature_rows,
    word_table,
)


def sentences(text: str) -> list[str]:
    table = word_table([text])
    found: dict[int, list[str]] = {}
    for word, sentence in zip(text.split(), table.sentence.tolist(), strict=True):
        found.setdefault(sentence, []).append(word)
    return [" ".join(words) for words in found.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there! Three? Four", ["One here.", "Two there!", "Three?", "Four"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("Dr. J. Smith of the U.S. Navy came.", ["Dr. J. Smith of the U.S. Navy came."]),
        ("Wait... what was that?", ["Wait... what was that?"]),
        ("A list\n- first item\n2. second item", ["A list", "- first item", "2. second item"]),
        ("Fruit • apples • pears", ["Fruit", "• apples", "• pears"]),
    ],
)
def test_sentences_end_at_marks_lines_and_bullets(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_sentences_of_two_texts_are_apart() -> None:
    table = word_table(["no mark at the end", "", "so here neither"])
    assert table.sentence.tolist() == [0] * 5 + [1] * 3
    assert table.offsets.tolist() == [0, 5, 5, 8]


def test_neighbours_stand_in_order_and_never_come_from_another_sentence() -> None:
    table = word_table(["alpha, bet gamma4. Delta"])
    rows = feature_rows(table, 0, 4)
    assert rows.shape == (4, FEATURES)
    near = rows[:, FORM_FEATURES : FORM_FEATURES + 2 * CONTEXT * NEIGHBOUR_FEATURES].reshape(4, 2 * CONTEXT, -1)
    forms = table.forms[table.form][:, :NEIGHBOUR_FEATURES]
    nothing = np.zeros(NEIGHBOUR_FEATURES)
    assert np.array_equal(near[1], [nothing, forms[0], forms[2], nothing])
    assert np.array_equal(near[2], [forms[0], forms[1], nothing, nothing])
    assert not near[3].any()


def test_a_block_of_rows_is_the_same_as_its_part_of_all_rows() -> None:
    table = word_table(["one two three. Four five", "six seven"])
    assert np.array_equal(feature_rows(table, 2, 6), feature_rows(table, 0, 7)[2:6])


def test_bands_go_from_common_to_rare() -> None:
    words = ("the", "could", "people", "committee", "terminology")
    assert [commonness_band(word) for word in words] == [0, 1, 2, 3, RAREST]
