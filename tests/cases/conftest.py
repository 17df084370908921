"""A made-up study, and its import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.gazepoint_study import PAGES, Run, import_study, write_boxes


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for name, words in PAGES.items():
        write_boxes(tmp_path / "study", name, words)
    return tmp_path / "study"


@pytest.fixture
def run(study: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *flags, source=study: import_study(source, capsys, *flags)
