"""YAML files as they are read: numbers, texts, the line of every key, and files that cannot be read."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest

from gazetune.config.yaml_file import parse_yaml_value, read_yaml, read_yaml_lines
from gazetune.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("number", ["1e-4", "1.0e-4", "1E-4", "1.e-4", ".1e-3", "+1e-4", "0.0001"])
def test_every_spelling_of_a_float_is_a_float(tmp_path: Path, number: str) -> None:
    value = read_yaml(write(tmp_path, f"x: {number}"))["x"]
    assert isinstance(value, float)
    assert value == pytest.approx(1e-4)


def test_words_that_only_look_like_numbers_stay_text(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, 'a: e5\nb: 1e\nc: "1e-4"\nd: 0,1,0,1,0')) == {
        "a": "e5",
        "b": "1e",
        "c": "1e-4",
        "d": "0,1,0,1,0",
    }


def test_lines_of_nested_and_dotted_keys_are_known(tmp_path: Path) -> None:
    _, lines = read_yaml_lines(write(tmp_path, "# note\nbase:\n  data: {seed: 1}\nspace:\n  optim.learning_rate: 1\n"))
    assert lines == {"base": 2, "base.data": 3, "base.data.seed": 3, "space": 4, "space.optim.learning_rate": 5}


def test_a_missing_folder_or_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("absent.yaml", "no such file"), ("", "cannot be read"), ("binary", "not UTF-8")):
        with pytest.raises(InputError, match=f"{re.escape(str(tmp_path / name))}: {reason}"):
            read_yaml(tmp_path / name)


@pytest.mark.parametrize("text", ["1:30", "1:30.5", "010", "-010", "00", "0o17"])
def test_numbers_in_sixties_and_eights_are_texts(text: str) -> None:
    assert parse_yaml_value(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-7", -7), ("1_000", 1000), ("0x10", 16), ("0b11", 3), ("0.5", 0.5), (".5", 0.5), ("-.inf", -math.inf)],
)
def test_other_numbers_are_read_as_before(text: str, value: float) -> None:
    assert parse_yaml_value(text) == value and type(parse_yaml_value(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x [*x]", "{path}:1: an anchor holds itself; write the values out"),
        ("a: 1\nb: &x {c: *x}", "{path}:2: an anchor holds itself; write the values out"),
        (
            "\n".join(["a: &a [1, 1]", *(f"{n}a: &{n} [*{b}, *{b}, *{b}, *{b}]" for b, n in pairwise("abcdefghijk"))]),
            "{path}:9: anchors make more than 100000 values of this",
        ),
        ("a: 2024-13-45", "{path}: a value cannot be read: month must be in 1..12"),
        ("a: " + "9" * 5000, "{path}: a value cannot be read: Exceeds the limit (4300 digits)"),
        ("a: " + "[" * 5000, "{path}: a value cannot be read: maximum recursion depth exceeded"),
    ],
)
def test_values_that_cannot_be_are_refused_in_one_line(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text + "\n")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(line.format(path=path)) and "\n" not in str(caught.value)
    with pytest.raises(InputError):
        parse_yaml_value(text)


def test_an_anchor_that_is_used_twice_is_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &x {b: [1, 2]}\nc: *x\nd: {<<: *x, e: 3}\n")
    assert read_yaml(path) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": {"b": [1, 2], "e": 3}}
