"""Whether a disk can carry what `deepspeed.offload: nvme` puts on it, asked before a worker starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.files.writable import require_writable

GIB = 2**30


def check_disk_offload(config: Config) -> None:
    """Raise `InputError` when `deepspeed.offload: nvme` cannot work on this machine; other offloads are not checked.

    The folder must be there and writable. The library that DeepSpeed's asynchronous I/O is built with must be
    installed. The disk must have room for what the workers of one trial put on it, all of them running here.
    """
    if config.deepspeed.offload != "nvme":
        return
    folder = _require_folder(config.deepspeed.nvme_path)
    if not can_build_async_io():
        raise InputError(
            "deepspeed.offload: nvme needs DeepSpeed's aio op, and this machine lacks libaio's headers "
            "(Debian: libaio-dev) to build it; accepted here: none, cpu"
        )
    # It builds an empty model, so it imports torch; what does not use a disk is checked without.
    from gazetune.train.limits.memory_estimate import estimate_memory

    (planned,) = (each for each in estimate_memory(config).worker_memory if each.offload == "nvme")
    check_free_space(folder, planned.disk * config.resources.workers)


def can_build_async_io() -> bool:
    """Tell whether DeepSpeed can build its aio op here. Compiles a few lines, which takes about a second."""
    from deepspeed.ops.op_builder import AsyncIOBuilder

    return bool(AsyncIOBuilder().is_compatible(verbose=False))


def check_free_space(folder: Path, needed: int) -> None:
    """Raise `InputError` when the disk of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"deepspeed.nvme_path: {folder} has {free / GIB:.1f} GiB free, and the workers of a trial need about "
            f"{needed / GIB:.1f} GiB; free some space, choose another disk, or set deepspeed.offload=cpu"
        )


def _require_folder(path: str | None) -> Path:
    if path is None:
        raise InputError(
            "deepspeed.nvme_path: deepspeed.offload nvme needs it; accepted: a folder, by its absolute path"
        )
    folder = Path(path)
    if not folder.is_absolute() or not folder.is_dir():
        raise InputError(f"deepspeed.nvme_path: {path} is no folder; accepted: an existing one, by its absolute path")
    try:
        require_writable(folder)
    except OSError as error:
        raise InputError(f"deepspeed.nvme_path: {path} cannot be written ({error.strerror})") from error
    return folder
