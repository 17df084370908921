"""What `gazetune train` refuses before it starts: a name that is there already, GPUs that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gazetune.config import Config
from gazetune.config.config_file import write_config
from gazetune.errors import InputError
from gazetune.train.run import train_model


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"optim": {"learning_rate": 0.01}}, "learning_rate: 5.0e-05 -> learning_rate: 0.01"),
        # How work is divided may change, the rest of the same section may not.
        (
            {"resources": {"workers": 2}, "deepspeed": {"stage": 3, "override": {"gradient_clipping": 0.5}}},
            "override: {} -> override:",
        ),
    ],
)
def test_a_config_that_trains_otherwise_is_another_run(changes: dict[str, Any], shown: str, tmp_path: Path) -> None:
    write_config(Config(), tmp_path / "mine" / "config.yaml")
    with pytest.raises(InputError) as caught:
        train_model(Config.model_validate(changes), "mine", tmp_path)
    assert str(caught.value).startswith(f"--name: 'mine' in {tmp_path} has another config ({shown}")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"], "nothing was started"


def test_more_workers_with_a_gpu_than_torch_sees_gpus_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = Config.model_validate({"resources": {"workers": 2, "gpus_per_worker": 1}})
    with pytest.raises(InputError, match=r"^resources.workers: 2 worker\(s\) .* torch sees 0 .*gpus_per_worker 0$"):
        train_model(config, "mine", tmp_path)
    assert list(tmp_path.iterdir()) == []
