"""A real calibration of a small run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch.distributed as dist

from gazetune.config import Config
from gazetune.errors import RunError
from gazetune.train.limits.memory_estimate import estimate_memory
from gazetune.train.speed_calibration import EVALUATED_AFTER, measure_speed

BASE = {
    "data": {"source": "planted", "pairs": 60, "max_chars": 3000},
    "gaze": {"predictor": "planted"},
    "adapter": {"kind": "lora"},
    "train": {"batch_size": 4, "early_stop": {"patience": 1, "min_delta": 1.0}},
}


def test_a_calibration_measures_a_run_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    config = Config.model_validate(BASE)
    made, planned = measure_speed(config), estimate_memory(config)
    assert made.steps == EVALUATED_AFTER[-1], "the early stop of the run did not end it"
    assert 0 < made.seconds_per_example < 10 and 0 < made.seconds_per_evaluated_pair < 10
    assert 0 <= made.seconds_per_save < 60
    assert 100e6 < made.peak_memory < 50e9
    # The weights, and a tokenizer, margins and notes beside them.
    assert planned.saved_model < made.saved_model < planned.saved_model + 10e6
    assert planned.checkpoint < made.checkpoint < planned.checkpoint + 1e6
    assert not list(tmp_path.iterdir())
    assert not dist.is_initialized(), "this process joins no group"


@pytest.mark.long("training")
def test_what_is_wrong_with_the_run_is_told() -> None:
    with pytest.raises(RunError, match=r"(loss|gradient) is nan"):
        measure_speed(Config.model_validate(BASE | {"optim": {"learning_rate": 1e30}}))
