"""YAML files as they are read: numbers, texts, the line of every key, and files that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gazetune.config.yaml_file import read_yaml, read_yaml_lines
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
