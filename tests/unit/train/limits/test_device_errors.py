"""Whose fault an error of a GPU is, by the texts of CUDA, NCCL and their libraries."""

from __future__ import annotations

import pytest
import torch

from gazetune.train.limits.device_errors import classify_device_error


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("CUDA error: uncorrectable ECC error encountered", "broken"),
        ("CUDA error: hardware stack error", "broken"),
        ("CUDA error: uncorrectable NVLink error detected during the execution", "broken"),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable\nCUDA kernel errors might be", "broken"),
        ("CUDA error: an illegal memory access was encountered", "suspect"),
        ("CUDA error: unspecified launch failure", "suspect"),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`", "suspect"),
        ("CUDA error: device-side assert triggered", None),
        ("CUDA error: misaligned address", None),
        ("CUDA error: no kernel image is available for execution on the device", None),
        ("CUDA error: out of memory", None),
        ("an illegal memory access, as somebody's data source says", None),
        ("Expected all tensors to be on the same device, but got cpu and cuda:0", None),
    ],
)
def test_hardware_is_told_from_the_program(text: str, fault: str | None) -> None:
    assert classify_device_error(RuntimeError(text)) == fault


def test_torchs_own_class_is_one_of_them() -> None:
    error = torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered")
    assert classify_device_error(error) == "broken"


def test_an_error_of_another_kind_is_no_device_error_whatever_it_says() -> None:
    assert classify_device_error(ValueError("CUDA error: uncorrectable ECC error encountered")) is None
