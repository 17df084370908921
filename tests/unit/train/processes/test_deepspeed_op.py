"""DeepSpeed's communication op: found when built, told when it cannot be, never a reason to fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from filelock import Timeout
from torch.utils.cpp_extension import _get_build_directory

from gazetune.train.processes.deepspeed_op import (
    OP_NAME,
    add_ninja_to_path,
    build_op,
    find_op_library,
    open_op_lock,
    prepare_op,
    read_op_state,
)
from tests.commands import BOUND


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    return tmp_path


def test_every_environment_has_a_folder_of_its_own_and_torch_builds_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCH_EXTENSIONS_DIR", raising=False)
    library = find_op_library()
    assert library.is_relative_to(tmp_path / "torch_extensions")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(library.parents[1]))  # as processes do that start others
    assert find_op_library() == library and library.parent == Path(_get_build_directory(OP_NAME, verbose=False))
    monkeypatch.setattr(sys, "prefix", "/another")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(library.parents[2]))
    assert find_op_library().parents[2] == library.parents[2] and find_op_library() != library


def test_a_machine_without_a_compiler_builds_nothing_and_says_so(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    report = build_op()
    assert (report.state, report.detail) == ("missing", "no-such-compiler not found; gloo is used instead")
    assert list(empty_cache.iterdir()) == []


def test_without_the_op_deepspeed_is_told_to_use_gloo(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deepspeed

    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setitem(deepspeed.ops.__compatible_ops__, OP_NAME, True)
    prepare_op()
    assert deepspeed.ops.__compatible_ops__[OP_NAME] is False


def test_on_an_accelerator_the_op_is_not_needed(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cuda")
    assert read_op_state().state == "unneeded"


HOLDER = """
import os, sys
from gazetune.train.processes.deepspeed_op import find_op_library, open_op_lock
lock = open_op_lock()
lock.acquire()
(find_op_library().parent / "lock").touch()
print("locked", flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""


def test_a_process_that_dies_while_it_loads_the_op_keeps_no_other_waiting() -> None:
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no compiler")
    assert build_op().state == "built"
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
        lock = find_op_library().parent / "lock"
        assert lock.exists()
        with pytest.raises(Timeout):
            open_op_lock().acquire(blocking=False)
        # `build_op` has loaded the op here: only another process looks at the locks.
        command = [sys.executable, "-m", "gazetune.train.processes.deepspeed_op"]
        waiting = subprocess.Popen(command, stderr=subprocess.PIPE)
        holder.communicate()
        assert holder.returncode == -9
    _, said = waiting.communicate(timeout=BOUND)
    assert waiting.returncode == 0 and b": built (" in said
    assert not lock.exists()


def test_ninja_of_this_environment_is_on_path_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    add_ninja_to_path()
    add_ninja_to_path()
    assert os.environ["PATH"] == f"/usr/bin{os.pathsep}{sysconfig.get_path('scripts')}"
