"""Words of a screen to characters of a text, as tolerant as OCR needs and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.align_text import ShownTexts, align_words, find_common_units
from gazetune.eyetracking.recording import Recording


def recorded(*words: str | None, complete: bool = True) -> Recording:
    origins = tuple(f"words.csv row {number}" for number in range(1, len(words) + 1))
    return Recording(Path("words.csv"), "r", "1.1", words, origins, complete)


def pieces(text: str, *words: str | None, complete: bool = True) -> list[str]:
    return [text[start:end] for start, end in align_words(recorded(*words, complete=complete), text).tolist()]


def test_words_find_their_characters_whatever_the_white_space() -> None:
    assert pieces("  One\n\n two\tthree ", "One", "two", "three") == ["One", "two", "three"]


def test_a_word_in_two_boxes_and_two_words_in_one() -> None:
    assert pieces("self-made 36 °C.", "self-", "made", "36°C.") == ["self-", "made", "36 °C."]


def test_characters_that_ocr_confuses_are_equal() -> None:
    text = "The AI\u2019s \u201cl0\u201d \u2013 caf\u00e9"
    assert pieces(text, "The", "Al's", '"1O"', "-", "cafe\u0301") == text.split()


def test_the_first_difference_is_named_with_file_row_and_place() -> None:
    with pytest.raises(InputError) as caught:
        pieces("one two four five", "one", "two", "three", "five")
    assert str(caught.value) == (
        "words.csv row 3: word 2 is 'three', but the nearest text has 'four five' at character 8"
    )


def test_words_beyond_the_end_of_the_text_are_named() -> None:
    with pytest.raises(InputError, match=r"words.csv row 3: word 2 is 'three', but the nearest text has ended"):
        pieces("one two", "one", "two", "three")


def test_text_beyond_the_last_word_is_named() -> None:
    with pytest.raises(InputError, match=r"words.csv row 1: the recorded words end here, .* 'two' at character 4"):
        pieces("one two", "one")


def test_case_and_letters_are_no_matter_of_ocr() -> None:
    with pytest.raises(InputError, match="word 0 is 'One'"):
        pieces("one", "One")


def test_unnamed_words_take_the_words_at_their_places() -> None:
    assert pieces("one two three four", None, "two", None, complete=False) == ["one", "two", "three", "four"]
    with pytest.raises(
        InputError, match="row 2: word 1 is 'zwei', but the nearest text has 'two three' at character 4"
    ):
        pieces("one two three", None, "zwei", complete=False)


@pytest.mark.parametrize("complete", [True, False])
def test_a_recording_finds_its_text_among_several(complete: bool) -> None:
    texts = ["one two three", "one  two four", "five"]
    found = ShownTexts(texts).find_text(recorded("one", "two", "four", complete=complete))
    assert found == "one  two four"
    with pytest.raises(InputError, match=r"row 3: word 2 is 'for', but the nearest text has 'four' at character 9"):
        ShownTexts(texts[1:]).find_text(recorded("one", "two", "for", complete=complete))


def test_without_texts_there_is_nothing_to_find() -> None:
    with pytest.raises(InputError, match="no text to compare"):
        ShownTexts([]).find_text(recorded("one"))


def test_units_are_words_and_join_where_any_reader_has_a_box_over_several() -> None:
    text = "one two-three four five"
    first = align_words(recorded("one", "two-", "three", "four", "five"), text)
    units, unit_of_character = find_common_units(text, [first])
    assert [text[a:b] for a, b in units.tolist()] == ["one", "two-three", "four", "five"]
    assert unit_of_character[first[:, 0]].tolist() == [0, 1, 1, 2, 3]
    second = align_words(recorded("one", "two-three", "fourfive"), text)
    units, unit_of_character = find_common_units(text, [first, second])
    assert [text[a:b] for a, b in units.tolist()] == ["one", "two-three", "four five"]
    assert unit_of_character[first[:, 0]].tolist() == [0, 1, 1, 2, 2]
    assert np.array_equal(unit_of_character[second[:, 0]], [0, 1, 2])
