"""What a run saves, and what happens when a save fails: it ends with one line that all workers know of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from gazetune.train.limits.run_failures import TrainingFailed
from gazetune.train.loop import Training


@pytest.mark.parametrize("part", ["best", "last"])
def test_a_run_that_cannot_save_fails_and_the_next_one_trains(
    part: str, start: Callable[..., Training], tmp_path: Path
) -> None:
    obstacle = tmp_path / "run" / f".{part}.partial"
    obstacle.parent.mkdir()
    obstacle.touch()  # where the save would write a folder
    with pytest.raises(TrainingFailed) as caught:
        start().run(lambda report: True)
    folder = tmp_path / "run" / part
    assert str(caught.value) == (f"{folder}: cannot be saved (File exists); what was saved there before is untouched")
    obstacle.unlink()
    assert start().run(lambda report: False) is not None
    assert (tmp_path / "run" / "best" / "README.md").is_file()


def test_a_run_with_an_adapter_saves_the_adapter_and_not_the_backbone(
    start: Callable[..., Training], tmp_path: Path
) -> None:
    whole, adapted = start("whole"), start("adapted", adapter={"kind": "lora", "r": 4})
    for run in (whole, adapted):
        run.run(lambda report: False)
    sizes = {
        (run, part): (tmp_path / run / part / file).stat().st_size
        for run in ("whole", "adapted")
        for part, file in (("best", "weights.safetensors"), ("last", "state.safetensors"))
    }
    assert sizes["adapted", "best"] < sizes["whole", "best"] / 10
    assert sizes["adapted", "last"] < sizes["whole", "last"] / 10
    saved = load_file(tmp_path / "adapted" / "best" / "weights.safetensors")
    of_backbone = [name for name in saved if name.startswith("backbone.")]
    assert of_backbone and all("lora_" in name for name in of_backbone)


def test_a_run_that_goes_on_keeps_its_best_and_its_last_state_alone(
    start: Callable[..., Training], tmp_path: Path
) -> None:
    seen = []

    def look(report: object) -> bool:
        seen.append(sorted(path.name for path in (tmp_path / "run").iterdir()))
        return len(seen) < 3

    start().run(look)
    assert seen == [["best", "last", "margins"]] * 3
