from __future__ import annotations

import numpy as np
import pytest

from gazetune.gaze.common_words import RAREST, commonness_band
from gazetune.gaze.lexical_features import (
    BUCKETS,
    FORM_FEATURES,
    PLACE_FEATURES,
    describe_word,
    neighbour_forms,
    word_places,
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
    table = word_table(["alpha, bet gamma4. Delta bet"])
    assert table.forms.shape == (4, FORM_FEATURES)
    assert table.form.tolist() == [0, 1, 2, 3, 1]
    nothing = 4
    assert neighbour_forms(table, 0, 5).tolist() == [
        [nothing, nothing, 0, 1, 2],
        [nothing, 0, 1, 2, nothing],
        [0, 1, 2, nothing, nothing],
        [nothing, nothing, 3, 1, nothing],
        [nothing, 3, 1, nothing, nothing],
    ]


def test_the_place_of_a_word_is_counted_within_its_sentence() -> None:
    places = word_places(word_table(["One two. Three four five"]), 0, 5)
    assert places.shape == (5, PLACE_FEATURES)
    assert (places[:, 0] * 20).tolist() == [0, 1, 0, 1, 2]
    assert (places[:, 1] * 20).tolist() == [1, 0, 2, 1, 0]
    assert (places[:, 5].tolist(), places[:, 6].tolist()) == ([1, 0, 1, 0, 0], [0, 1, 0, 0, 1])


def test_a_block_of_rows_is_the_same_as_its_part_of_all_rows() -> None:
    table = word_table(["one two three. Four five", "six seven"])
    for rows in (neighbour_forms, word_places):
        assert np.array_equal(rows(table, 2, 6), rows(table, 0, 7)[2:6])


def test_letter_groups_are_of_the_bare_word_whatever_stands_around_it() -> None:
    _, plain = describe_word("reading")
    assert describe_word("(Reading),")[1] == plain
    assert plain == tuple(sorted(set(plain))) and 0 <= min(plain) <= max(plain) < BUCKETS
    # Seven letters, two marks: 9 single ones, 8 pairs and 7 triples; "readings" keeps the 21 without the end mark.
    assert len(plain) <= 24
    assert len(set(plain) & set(describe_word("readings")[1])) >= 18 > len(set(plain) & set(describe_word("blocks")[1]))


@pytest.mark.parametrize("word", ["!?", "日本語", "🙂", "\ud800", "x" * 100_000])
def test_every_word_has_letter_groups_and_a_form(word: str) -> None:
    form, pieces = describe_word(word)
    assert len(form) == FORM_FEATURES and np.isfinite(form).all()
    assert 1 <= len(pieces) <= 3 * 42


def test_the_letter_groups_of_all_distinct_words_stand_one_after_another() -> None:
    table = word_table(["to be or", "not to be"])
    words = ["to", "be", "or", "not"]
    for place, word in enumerate(words):
        low, high = table.piece_offsets[place : place + 2]
        assert tuple(table.pieces[low:high]) == describe_word(word)[1]
    assert len(table.piece_offsets) == 5 and table.piece_offsets[-1] == len(table.pieces)


def test_bands_go_from_common_to_rare() -> None:
    words = ("the", "could", "people", "committee", "terminology")
    assert [commonness_band(word) for word in words] == [0, 1, 2, 3, RAREST]
