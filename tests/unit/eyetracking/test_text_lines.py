from __future__ import annotations

from itertools import pairwise

from gazetune.eyetracking.text_lines import break_lines, replace_unprintable


def lines_of(text: str, width: float) -> list[list[str]]:
    """Lay a text out in a font whose characters are all 1 wide; a space between words takes 1.5."""
    lines = break_lines(text, width, lambda part: float(len(part)))
    for line in lines:
        right = 0.0
        for word in line:
            assert word.left >= right and word.left + word.width <= width
            right = word.left + word.width
    return [[word.text for word in line] for line in lines]


def test_words_go_on_in_the_next_line() -> None:
    assert lines_of("one two three four", 10) == [["one", "two"], ["three"], ["four"]]


def test_line_breaks_stay_and_blank_lines_become_one() -> None:
    assert lines_of("a\nb\r\nc\n\n\n\nd", 10) == [["a"], ["b"], ["c"], [], ["d"]]
    assert lines_of("\n\n a\n\n", 10) == [["a"]]


def test_indentation_stays() -> None:
    lines = break_lines("if x:\n    y\n\tz", 60, lambda part: float(len(part)))
    assert [line[0].left for line in lines] == [0.0, 6.0, 6.0]


def test_a_word_wider_than_the_column_is_divided_and_nothing_is_lost() -> None:
    lines = lines_of("ab " + "x" * 23 + " cd", 10)
    assert "".join("".join(line) for line in lines) == "ab" + "x" * 23 + "cd"
    words = break_lines("x" * 23, 10, lambda part: float(len(part)))
    assert {word.index for line in words for word in line} == {0} and len(words) == 3


def test_a_mark_is_not_divided_from_its_letter() -> None:
    parts = [part for line in lines_of("e\u0301" * 7, 4) for part in line]
    assert all(not part.startswith("\u0301") for part in parts) and len(parts) > 1


def test_what_no_page_can_hold_is_replaced() -> None:
    assert replace_unprintable("a\x00b\ud800c\x1b") == "a\ufffdb\ufffdc\ufffd"
    assert replace_unprintable("a\tb\r\nc") == "a\tb\r\nc"


def placed(text: str, width: float) -> list[list[str]]:
    """Return the words of each line from left to right, in a font whose characters are all 1 wide."""
    lines = break_lines(text, width, lambda part: float(len(part)))
    for line in lines:
        assert [word.index for word in line] == sorted(word.index for word in line)  # listed in reading order
        by_place = sorted(line, key=lambda word: word.left)
        assert all(one.left + one.width < other.left for one, other in pairwise(by_place))
        assert all(word.left >= 0 and word.left + word.width <= width for word in line)
    return [[word.text for word in sorted(line, key=lambda word: word.left)] for line in lines]


def test_a_right_to_left_paragraph_begins_at_the_right() -> None:
    assert placed("אא בבב גג", 20) == [["גג", "בבב", "אא"]]
    (line,) = break_lines("אא בבב", 20, lambda part: float(len(part)))
    assert [(word.left, word.width) for word in line] == [(18, 2), (13.5, 3)]
    (line,) = break_lines("  אא", 20, lambda part: float(len(part)))
    assert line[0].left == 20 - 2 - 3  # indented from the right


def test_words_of_the_other_direction_keep_their_own_order() -> None:
    assert placed("one אא בב two", 30) == [["one", "בב", "אא", "two"]]
    assert placed("אא one two בב", 30) == [["בב", "one", "two", "אא"]]
    assert placed("אא - 12 one", 30) == [["one", "12", "-", "אא"]]


def test_each_paragraph_and_all_of_its_lines_have_its_direction() -> None:
    assert placed("אאאא בבבב גגגג\n\none two", 10) == [["בבבב", "אאאא"], ["גגגג"], [], ["one", "two"]]
    lines = break_lines("אאאא בבבב גגגג\nab", 10, lambda part: float(len(part)))
    assert [line[0].left for line in lines] == [6.0, 6.0, 0.0]


def test_joined_emoji_are_not_divided() -> None:
    family = "👩\u200d👩\u200d👧"
    parts = [part for line in placed(family * 6, 8) for part in line]
    assert "".join(parts) == family * 6 and len(parts) > 1
    assert all(not part.startswith("\u200d") and not part.endswith("\u200d") for part in parts)
