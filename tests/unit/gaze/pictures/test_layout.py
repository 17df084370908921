from __future__ import annotations

from gazetune.gaze.pictures.layout import printable, wrap


def lines_of(text: str, width: float) -> list[list[str]]:
    """Lay a text out in a font whose characters are all 1 wide; a space between words takes 1.5."""
    lines = wrap(text, width, lambda part: float(len(part)))
    for line in lines:
        right = 0.0
        for piece in line:
            assert piece.left >= right and piece.left + piece.width <= width
            right = piece.left + piece.width
    return [[piece.text for piece in line] for line in lines]


def test_words_go_on_in_the_next_line() -> None:
    assert lines_of("one two three four", 10) == [["one", "two"], ["three"], ["four"]]


def test_line_breaks_stay_and_blank_lines_become_one() -> None:
    assert lines_of("a\nb\r\nc\n\n\n\nd", 10) == [["a"], ["b"], ["c"], [], ["d"]]
    assert lines_of("\n\n a\n\n", 10) == [["a"]]


def test_indentation_stays() -> None:
    lines = wrap("if x:\n    y\n\tz", 60, lambda part: float(len(part)))
    assert [line[0].left for line in lines] == [0.0, 6.0, 6.0]


def test_a_word_wider_than_the_column_is_divided_and_nothing_is_lost() -> None:
    lines = lines_of("ab " + "x" * 23 + " cd", 10)
    assert "".join("".join(line) for line in lines) == "ab" + "x" * 23 + "cd"
    pieces = wrap("x" * 23, 10, lambda part: float(len(part)))
    assert {piece.word for line in pieces for piece in line} == {0} and len(pieces) == 3


def test_a_mark_is_not_divided_from_its_letter() -> None:
    parts = [part for line in lines_of("e\u0301" * 7, 4) for part in line]
    assert all(not part.startswith("\u0301") for part in parts) and len(parts) > 1


def test_what_no_page_can_hold_is_replaced() -> None:
    assert printable("a\x00b\ud800c\x1b") == "a\ufffdb\ufffdc\ufffd"
    assert printable("a\tb\r\nc") == "a\tb\r\nc"
