"""The DeepSpeed op that a CPU run needs: built once at set-up, so that no worker has to compile it.

    python -m gazetune.train.ops

Between processes on CPUs DeepSpeed reduces through `shm_comm`, a C++ extension that it compiles on first use (tens of
seconds). Without a compiler it would refuse to start; `prepare_ops` then lets it fall back to gloo, which is slower for
large models but gives the same sums.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

OP_NAME = "deepspeed_shm_comm"


@dataclass(frozen=True, slots=True)
class OpsReport:
    """Whether the CPU communication op is there, and why not."""

    state: str
    """`built`, `unneeded` (DeepSpeed runs on an accelerator here) or `missing`."""
    detail: str
    """The library's path, or the reason in one line."""


def add_ninja_to_path() -> None:
    """Put the folder of this Python's programs on PATH: torch finds `ninja` there even when no venv is activated."""
    folder = sysconfig.get_path("scripts")
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in entries:
        os.environ["PATH"] = os.pathsep.join([*entries, folder])


def op_library() -> Path:
    """Return where torch's extension builder puts the op's library on this machine (built or not)."""
    root = os.environ.get("TORCH_EXTENSIONS_DIR")
    if root is not None:
        return Path(root) / OP_NAME / f"{OP_NAME}.so"
    import torch
    from torch.utils.cpp_extension import get_default_build_root

    device = f"cu{torch.version.cuda.replace('.', '')}" if torch.version.cuda else "cpu"
    python = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
    return Path(get_default_build_root()) / f"{python}_{device}" / OP_NAME / f"{OP_NAME}.so"


def ops_report() -> OpsReport:
    """Return whether the op is needed and built, without building anything."""
    import torch

    accelerator = os.environ.get("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    if accelerator != "cpu":
        return OpsReport("unneeded", f"DeepSpeed runs on {accelerator}")
    if sys.platform != "linux":
        return OpsReport("unneeded", "the op exists for Linux alone, gloo is used")
    library = op_library()
    if library.is_file():
        return OpsReport("built", str(library))
    compiler = os.environ.get("CXX", "g++")
    lacking = [name for name in (compiler, "ninja") if shutil.which(name) is None]
    if lacking:
        return OpsReport("missing", f"{' and '.join(lacking)} not found; gloo is used instead")
    return OpsReport("missing", "not built yet; the first worker compiles it")


def build_ops() -> OpsReport:
    """Compile the op when it is needed and missing, and return what is there then. Never raises for a failed build."""
    add_ninja_to_path()
    report = ops_report()
    if report.state != "missing" or "not found" in report.detail:
        return report
    _remove_stale_lock()
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        importlib.import_module("deepspeed.ops.op_builder.cpu").ShareMemCommBuilder().load(verbose=False)
    except (RuntimeError, ImportError, OSError) as error:  # a compiler's complaint runs over many lines
        return OpsReport("missing", f"the build failed, gloo is used instead: {str(error).strip().splitlines()[0]}")
    return ops_report()


def prepare_ops() -> None:
    """Make this process ready for `deepspeed.init_distributed`; to be called before it in every worker.

    Puts `ninja` on PATH (torch asks for it even when there is nothing to build), removes a lock that a killed build
    left behind (torch would wait for it for ever), and, where the op can neither be found nor built, takes it from
    DeepSpeed's list of compatible ops, so that gloo is used.
    """
    add_ninja_to_path()
    if ops_report().state == "unneeded":
        return
    _remove_stale_lock()
    if build_ops().state == "missing":
        ops = importlib.import_module("deepspeed.ops")
        ops.__compatible_ops__[OP_NAME] = False


def _remove_stale_lock() -> None:
    """Remove the builder's lock when its holder must be dead: a check takes under a second, a build a few minutes."""
    library = op_library()
    lock = library.parent / "lock"
    patience = 30 if library.is_file() else 600
    try:
        age = time.time() - lock.stat().st_mtime
        if age > patience:
            lock.unlink()
            logger.warning("removed %s, left behind by a build that was killed %d s ago", lock, age)
    except FileNotFoundError:
        return  # no lock, or its holder just released it


def main() -> None:
    """Build the op and say what is there; a machine without a compiler still works, so this never fails."""
    logging.basicConfig(level=logging.WARNING)
    report = build_ops()
    print(f"DeepSpeed op {OP_NAME}: {report.state} ({report.detail})", file=sys.stderr)


if __name__ == "__main__":
    main()
