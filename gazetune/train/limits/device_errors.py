"""Errors of a GPU that training met: which are the hardware's, which may be, and which are the program's.

CUDA's own texts are the only mark that such errors have in common. Program faults stay errors of the run: a
device-side assert (an index that is out of range), a misaligned address, a kernel that was not built for the GPU.
"""

from __future__ import annotations

from typing import Literal

from gazetune.train.limits.out_of_memory import is_out_of_memory

DeviceFault = Literal["broken", "suspect"]
"""`broken`: the hardware or its driver failed, whatever ran on it. `suspect`: the fault of the hardware or of a kernel;
on another GPU it shows which."""

_MARKS = ("cuda error", "cuda failure", "cuda driver error", "cublas", "cudnn", "acceleratorerror")

_BROKEN = (
    "ecc error",
    "hardware stack error",
    "nvlink error",
    "busy or unavailable",
    "no cuda-capable device",
    "initialization error",
    "system not yet initialized",
    "unsupported display driver",
    "gpu is lost",
    "fallen off the bus",
)

_SUSPECT = (
    "illegal memory access",
    "illegal instruction",
    "invalid program counter",
    "unspecified launch failure",
    "launch timed out",
    "unknown error",
    "status_execution_failed",
    "status_internal_error",
)


def classify_device_error(error: BaseException) -> DeviceFault | None:
    """Return whose fault an error is where a GPU may have failed; None for any other error.

    Examples
    --------
    >>> classify_device_error(RuntimeError("CUDA error: uncorrectable ECC error encountered"))
    'broken'
    >>> classify_device_error(RuntimeError("CUDA error: device-side assert triggered")) is None
    True
    """
    text = f"{type(error).__name__}: {error}".lower()
    if is_out_of_memory(error) or not isinstance(error, RuntimeError) or not any(mark in text for mark in _MARKS):
        return None
    if any(message in text for message in _BROKEN):
        return "broken"
    return "suspect" if any(message in text for message in _SUSPECT) else None
