"""A run whose save fails: it ends with one line, as a failure that all workers know of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gazetune.train.loop import Training, TrialFailed


@pytest.mark.parametrize("part", ["best", "last"])
def test_a_run_that_cannot_save_fails_and_the_next_one_trains(
    part: str, start: Callable[..., Training], tmp_path: Path
) -> None:
    obstacle = tmp_path / "run" / f".{part}.partial"
    obstacle.parent.mkdir()
    obstacle.touch()  # where the save would write a folder
    with pytest.raises(TrialFailed) as caught:
        start().run(lambda report: True)
    folder = tmp_path / "run" / part
    assert str(caught.value) == (f"{folder}: cannot be saved (File exists); what was saved there before is untouched")
    obstacle.unlink()
    assert start().run(lambda report: False) is not None
    assert (tmp_path / "run" / "best" / "README.md").is_file()
