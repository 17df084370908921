"""Whether a process computes on a GPU and on which one, as decided from what it was given and from its environment.

Nothing here asks a device, and torch is not imported. Ray, torchrun and the user say by `CUDA_VISIBLE_DEVICES` which
GPUs a process sees. The variable counts until the process first asks CUDA anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gazetune.errors import InputError

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"

ACCELERATOR_VARIABLE = "DS_ACCELERATOR"
"""What DeepSpeed computes on, `cpu` or `cuda`. It reads it once, when it is imported."""

_NO_DEVICES = ("", "NoDevFiles", "-1")
"""Values of `CUDA_VISIBLE_DEVICES` with which a process sees no GPU."""

_uses_gpus = True
"""Whether this process may compute on a GPU at all, see `without_gpus`."""


def hide_gpus() -> None:
    """Let this process and those that it starts see no GPU, and DeepSpeed compute on the CPU."""
    os.environ.update({VISIBLE_VARIABLE: "", ACCELERATOR_VARIABLE: "cpu"})


@contextmanager
def without_gpus() -> Iterator[None]:
    """Keep this process off the GPUs for a while; those that it starts see them.

    What drives a search or starts workers does so. A process that has used a GPU once holds some hundred MiB of it to
    its end, and that GPU is a worker's.
    """
    global _uses_gpus
    before, _uses_gpus = _uses_gpus, False
    try:
        yield
    finally:
        _uses_gpus = before


def may_use_gpus() -> bool:
    """Tell whether this process may compute on a GPU, if there is one."""
    return _uses_gpus and count_visible_gpus(os.environ) != 0


def count_visible_gpus(environment: Mapping[str, str]) -> int | None:
    """Return how many GPUs the environment names; None where it names none and so hides none.

    Examples
    --------
    >>> count_visible_gpus({"CUDA_VISIBLE_DEVICES": "2,3"}), count_visible_gpus({"CUDA_VISIBLE_DEVICES": ""})
    (2, 0)
    """
    value = environment.get(VISIBLE_VARIABLE)
    if value is None:
        return None
    return 0 if value.strip() in _NO_DEVICES else len(value.split(","))


def choose_worker_device(gpus: float | None, environment: Mapping[str, str]) -> str:
    """Return the device of a worker, such as `cpu` or `cuda:1`.

    Workers of one run on one machine see the same GPUs; each takes the one of its place among them (`LOCAL_RANK`).

    Parameters
    ----------
    gpus
        `resources.gpus_per_worker` of the run. None where no run says so, as for a model that is only scored: then a
        GPU is taken where one may be there, unless `DS_ACCELERATOR` is `cpu`.
    environment
        Of the worker.

    Raises
    ------
    InputError
        For a worker that is to have a GPU where there are fewer than workers.
    """
    visible = count_visible_gpus(environment)
    if gpus is None and (environment.get(ACCELERATOR_VARIABLE) == "cpu" or visible == 0):
        return "cpu"
    if gpus == 0:
        return "cpu"
    place = int(environment.get("LOCAL_RANK", "0"))
    if visible is not None and place >= visible:
        raise InputError(
            f"resources.gpus_per_worker: worker {place + 1} of this machine has no GPU, as {VISIBLE_VARIABLE} names "
            f"{visible}; accepted: 0, or as many GPUs as resources.workers"
        )
    return f"cuda:{place}"


def count_device_files() -> int:
    """Return how many NVIDIA GPUs the system has files for, whatever the environment hides."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
