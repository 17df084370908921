"""The end of a process at a chosen rename or removal of a folder, for tests that go through all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_before(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end right before its n-th rename or removal of a folder, counted from 1."""
    left = [number]

    def stopping(real: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(Path, "rename", stopping(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", stopping(shutil.rmtree))
