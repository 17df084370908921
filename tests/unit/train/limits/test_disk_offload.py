"""What is refused about a disk to offload to, and training with one where DeepSpeed's op can be built."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.train.checks import check_config
from gazetune.train.limits.disk_offload import can_build_async_io, check_disk_offload, check_free_space
from gazetune.train.limits.memory_estimate import estimate_memory
from gazetune.train.loop import Training

StartTraining = Callable[..., Training]


def config_of(path: str | None) -> Config:
    return Config.model_validate({"deepspeed": {"stage": 3, "offload": "nvme", "nvme_path": path}})


def test_a_folder_is_needed_by_its_absolute_path(tmp_path: Path) -> None:
    for path, said in [
        (None, "deepspeed.nvme_path: deepspeed.offload nvme needs it"),
        (str(tmp_path / "nowhere"), "is no folder; accepted: an existing one, by its absolute path"),
        (".", "is no folder; accepted: an existing one, by its absolute path"),
    ]:
        with pytest.raises(InputError, match=said):
            check_config(config_of(path))


def test_a_full_disk_is_refused_in_one_line(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_free_space(tmp_path, free // 2)
    with pytest.raises(InputError, match=r"GiB free, and the workers of a trial need about .*deepspeed.offload=cpu"):
        check_free_space(tmp_path, 2 * free)


def test_without_offload_to_a_disk_nothing_is_asked() -> None:
    check_disk_offload(Config.model_validate({"deepspeed": {"nvme_path": "/nowhere"}}))


def test_a_machine_without_the_library_is_told_its_name(tmp_path: Path) -> None:
    if can_build_async_io():
        check_disk_offload(config_of(str(tmp_path)))
        assert all(
            each.disk == 0 for each in estimate_memory(config_of(str(tmp_path))).worker_memory if each.offload != "nvme"
        )
    else:
        with pytest.raises(InputError, match="Debian: libaio-dev"):
            check_disk_offload(config_of(str(tmp_path)))


@pytest.mark.long("training")  # the op is compiled on first use
def test_a_run_with_its_states_on_disk_has_the_losses_of_one_without(start: StartTraining, tmp_path: Path) -> None:
    if not can_build_async_io():
        pytest.skip("DeepSpeed's aio op cannot be built here (no libaio headers)")
    here = start("here", deepspeed={"stage": 3}).run(lambda made: made.step < 4)
    there = start("there", deepspeed={"stage": 3, "offload": "nvme", "nvme_path": str(tmp_path)})
    report = there.run(lambda made: made.step < 4)
    assert here is not None and report is not None
    assert report.train_losses == pytest.approx(here.train_losses, abs=1e-5)
    assert any(path.is_file() for path in tmp_path.rglob("*.swp"))
