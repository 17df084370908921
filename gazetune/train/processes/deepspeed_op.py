"""The DeepSpeed op that a CPU run needs: built once at set-up, so that no worker has to compile it.

    python -m gazetune.train.processes.deepspeed_op

Between processes on CPUs DeepSpeed reduces through `shm_comm`, a C++ extension that it compiles on first use (tens of
seconds). Without a compiler it would refuse to start; `prepare_op` then lets it fall back to gloo, which is slower for
large models but gives the same sums.

Each Python environment has a folder of its own for what is compiled: torch's own folder is shared by all of them, and
would hold what was compiled for another one, to be compiled again whenever the other one has run.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

OP_NAME = "deepspeed_shm_comm"

_EXTENSIONS_VARIABLE = "TORCH_EXTENSIONS_DIR"
"""Where torch puts what it compiles; set here, so that it is this environment's folder."""

_PREFIX = "gazetune-"


@dataclass(frozen=True, slots=True)
class OpState:
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


def find_op_library() -> Path:
    """Return where the op's library lies for this Python environment (built or not).

    Below `TORCH_EXTENSIONS_DIR` where that is set, else below torch's folder for extensions.
    """
    import torch
    from torch.utils.cpp_extension import get_default_build_root

    root = Path(os.environ.get(_EXTENSIONS_VARIABLE) or get_default_build_root())
    if not root.name.startswith(_PREFIX):  # else this process has it from one that came here already
        environment = f"{sys.prefix} {sys.version} {torch.__version__} {torch.version.cuda}"
        root /= _PREFIX + sha256(environment.encode()).hexdigest()[:12]
    return root / OP_NAME / f"{OP_NAME}.so"


def open_op_lock() -> FileLock:
    """Return the lock under which the op is built and loaded; the system frees it when its holder dies."""
    folder = find_op_library().parent
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "gazetune.lock")


def read_op_state() -> OpState:
    """Return whether the op is needed and built, without building anything."""
    import torch

    accelerator = os.environ.get("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    if accelerator != "cpu":
        return OpState("unneeded", f"DeepSpeed runs on {accelerator}")
    if sys.platform != "linux":
        return OpState("unneeded", "the op exists for Linux alone, gloo is used")
    library = find_op_library()
    if library.is_file():
        return OpState("built", str(library))
    compiler = os.environ.get("CXX", "g++")
    lacking = [name for name in (compiler, "ninja") if shutil.which(name) is None]
    if lacking:
        return OpState("missing", f"{' and '.join(lacking)} not found; gloo is used instead")
    return OpState("missing", "not built yet; the first worker compiles it")


def build_op() -> OpState:
    """Load the op when it is needed, compiling it when it is missing, and return what is there then.

    Never raises for a failed build.
    """
    add_ninja_to_path()
    report = read_op_state()
    if report.state == "unneeded" or "not found" in report.detail:
        return report
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    folder = find_op_library().parent
    os.environ[_EXTENSIONS_VARIABLE] = str(folder.parent)
    try:
        with open_op_lock():
            # Torch's own lock. Whoever took it has died, or it would hold ours; torch would wait for it for ever.
            (folder / "lock").unlink(missing_ok=True)
            # DeepSpeed keeps what it has loaded: it will not ask for torch's lock again.
            importlib.import_module("deepspeed.ops.op_builder.cpu").ShareMemCommBuilder().load(verbose=False)
    except (RuntimeError, ImportError, OSError) as error:  # a compiler's complaint runs over many lines
        return OpState("missing", f"the build failed, gloo is used instead: {str(error).strip().splitlines()[0]}")
    return read_op_state()


def prepare_op() -> None:
    """Make this process ready for `deepspeed.init_distributed`; to be called before it in every worker.

    Puts `ninja` on PATH (torch asks for it even when there is nothing to build), loads the op, and, where it can
    neither be found nor built, takes it from DeepSpeed's list of compatible ops, so that gloo is used.
    """
    if build_op().state == "missing":
        ops = importlib.import_module("deepspeed.ops")
        ops.__compatible_ops__[OP_NAME] = False


def main() -> None:
    """Build the op and say what is there; a machine without a compiler still works, so this never fails."""
    logging.basicConfig(level=logging.WARNING)
    report = build_op()
    print(f"DeepSpeed op {OP_NAME}: {report.state} ({report.detail})", file=sys.stderr)


if __name__ == "__main__":
    main()
