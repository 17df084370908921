"""`import gazetune` is quick, and offers what Python code is meant to use, each name with an example."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

import gazetune

NAMES = [name for name in gazetune.__all__ if not name.startswith("__")]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import gazetune, sys; print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'torch', 'ray', 'transformers', 'numpy', 'optuna', 'mlflow', 'pydantic'}), 'RewardScorer' in dir(gazetune))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "[] True"


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_with_an_example_that_uses_it(name: str) -> None:
    found = getattr(gazetune, name)
    assert found.__name__ == name
    assert f"    >>> from gazetune import {name}\n" in found.__doc__
    assert name in dir(gazetune)


def test_no_public_name_hides_a_room() -> None:
    rooms = {folder.name for folder in Path(gazetune.__file__).parent.iterdir() if (folder / "__init__.py").is_file()}
    assert "search" in rooms
    assert not rooms & set(NAMES)
    assert isinstance(importlib.import_module("gazetune.search"), types.ModuleType)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gazetune' has no attribute 'search_all'"):
        _ = gazetune.search_all
    with pytest.raises(ImportError):
        from gazetune import search_all  # noqa: F401
