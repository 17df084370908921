"""On which device a worker computes, as its environment says; no device is asked. Real workers: tests/integration."""

from __future__ import annotations

import os

import pytest

from gazetune.devices import choose_worker_device, hide_gpus, may_use_gpus, without_gpus
from gazetune.errors import InputError

TWO = {"CUDA_VISIBLE_DEVICES": "4,6"}


@pytest.mark.parametrize(
    ("gpus", "environment", "device"),
    [
        (0, {}, "cpu"),
        (0, TWO, "cpu"),  # the GPUs of others
        (0, {"DS_ACCELERATOR": "cuda"}, "cpu"),
        (1, {}, "cuda:0"),
        (1, {**TWO, "LOCAL_RANK": "1"}, "cuda:1"),
        (1, {**TWO, "DS_ACCELERATOR": "cpu"}, "cuda:0"),  # the shape decides
        (0.5, {"CUDA_VISIBLE_DEVICES": "3", "LOCAL_RANK": "0"}, "cuda:0"),
        (None, {}, "cuda:0"),  # if torch sees one
        (None, {"DS_ACCELERATOR": "cpu"}, "cpu"),
        (None, {"CUDA_VISIBLE_DEVICES": ""}, "cpu"),
    ],
)
def test_the_shape_of_a_worker_decides_and_else_its_environment(
    gpus: float | None, environment: dict[str, str], device: str
) -> None:
    assert choose_worker_device(gpus, environment) == device


@pytest.mark.parametrize("environment", [{**TWO, "LOCAL_RANK": "2"}, {"CUDA_VISIBLE_DEVICES": ""}])
def test_a_worker_without_the_gpu_of_its_shape_is_refused_not_put_on_a_cpu_or_beside_another(
    environment: dict[str, str],
) -> None:
    with pytest.raises(InputError, match=r"resources.gpus_per_worker: worker \d of this machine has no GPU"):
        choose_worker_device(1, environment)


def test_a_driver_leaves_gpus_alone_while_it_drives_and_hidden_ones_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("DS_ACCELERATOR", "cuda")
    with without_gpus():
        with without_gpus():
            pass
        assert not may_use_gpus() and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert may_use_gpus()
    hide_gpus()
    assert not may_use_gpus() and os.environ["DS_ACCELERATOR"] == "cpu"
