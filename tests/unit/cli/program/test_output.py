"""stdout carries results alone."""

from __future__ import annotations

import os

import pytest

from gazetune.cli.program.output import stdout_for_results


def test_whatever_is_printed_inside_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with stdout_for_results():
        print("from Python")
        os.write(1, b"from below Python\n")
        os.system("echo from a child")
    print("after")
    out, error = capfd.readouterr()
    assert out == "before\nafter\n"
    assert sorted(error.splitlines()) == ["from Python", "from a child", "from below Python"]


def test_stdout_is_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), stdout_for_results():
        raise ZeroDivisionError
    os.write(1, b"here\n")
    assert capfd.readouterr().out == "here\n"
