"""Finding the file of a search space."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.cli.search import shipped_spaces, space_file
from gazetune.errors import InputError


def test_the_demo_and_the_pairs_space_are_shipped_and_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(shipped_spaces()) >= {"demo", "pairs"}
    assert space_file("demo").read_text().startswith(("name:", "#"))


def test_a_file_of_the_user_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("name: mine")
    assert space_file("demo") == Path("demo")


def test_an_unknown_space_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'demmo': neither a file nor a shipped space; did you mean 'demo'"):
        space_file("demmo")
