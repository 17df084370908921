"""DeepSpeed's communication op: found when built, told when it cannot be, never a reason to fail."""

from __future__ import annotations

import os
import sysconfig
import time
from pathlib import Path

import pytest
from torch.utils.cpp_extension import _get_build_directory

from gazetune.train.ops import OP_NAME, add_ninja_to_path, build_ops, op_library, ops_report, prepare_ops


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    return tmp_path


def test_the_library_is_looked_for_where_torch_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCH_EXTENSIONS_DIR", raising=False)
    assert op_library().parent == Path(_get_build_directory(OP_NAME, verbose=False))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "other"))
    assert op_library().parent == Path(_get_build_directory(OP_NAME, verbose=False))


def test_a_machine_without_a_compiler_builds_nothing_and_says_so(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    report = build_ops()
    assert (report.state, report.detail) == ("missing", "no-such-compiler not found; gloo is used instead")
    assert list(empty_cache.iterdir()) == []


def test_without_the_op_deepspeed_is_told_to_use_gloo(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deepspeed

    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setitem(deepspeed.ops.__compatible_ops__, OP_NAME, True)
    prepare_ops()
    assert deepspeed.ops.__compatible_ops__[OP_NAME] is False


def test_on_an_accelerator_the_op_is_not_needed(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cuda")
    assert ops_report().state == "unneeded"


def test_a_lock_left_by_a_killed_build_is_removed_and_a_fresh_one_stays(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = op_library()
    library.parent.mkdir(parents=True)
    library.write_bytes(b"")
    lock = library.parent / "lock"
    for age, stays in ((0, True), (3600, False)):
        lock.touch()
        os.utime(lock, (time.time() - age, time.time() - age))
        prepare_ops()
        assert lock.exists() is stays


def test_ninja_of_this_environment_is_on_path_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    add_ninja_to_path()
    add_ninja_to_path()
    assert os.environ["PATH"] == f"/usr/bin{os.pathsep}{sysconfig.get_path('scripts')}"
