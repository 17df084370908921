"""Each check finds what is wrong with a machine."""

from __future__ import annotations

import socket
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

from gazetune.doctor import (
    check_attention,
    check_package,
    check_python,
    check_shared_memory,
    check_storage,
    check_tracking,
    declared_ranges,
    run_checks,
)


def test_a_package_outside_its_range_or_missing_fails() -> None:
    assert check_package(Requirement("pydantic>=2")).level == "OK"
    wrong = check_package(Requirement("pydantic<2"))
    assert (wrong.level, wrong.detail) == ("FAIL", f"{version('pydantic')}, needed <2")
    absent = check_package(Requirement("no-such-package-here>=1"))
    assert (absent.level, absent.detail) == ("FAIL", "not installed, needed >=1")


def test_python_outside_its_range_fails() -> None:
    assert check_python(">=3.11").level == "OK"
    assert check_python("<3.11").level == "FAIL"


def test_the_ranges_are_those_of_the_project_without_extras() -> None:
    requirements, python = declared_ranges()
    names = {each.name for each in requirements}
    assert {"torch", "ray", "deepspeed", "optuna", "mlflow"} <= names
    assert not names & {"bitsandbytes", "pytest", "trl"}
    assert "3.11" in python
    assert "2.13.0" in next(each for each in requirements if each.name == "torch").specifier
    assert "2.14.0" not in next(each for each in requirements if each.name == "torch").specifier


def test_the_attention_that_a_machine_gets_is_told_for_its_gpus() -> None:
    assert check_attention({}).level == "OK" and "CPU" in check_attention({}).detail
    assert check_attention({"H200": (9, 0)}).detail == "varlen_attn: texts without padding, in bf16"
    mixed = check_attention({"H200": (9, 0), "T4": (7, 5)})
    assert mixed.level == "WARN"
    assert mixed.detail == "T4: varlen_attn needs compute capability 8.0, this GPU has 7.5"


def test_a_storage_below_a_file_fails_and_a_new_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check_storage(tmp_path / "file" / "runs").level == "FAIL"
    assert check_storage(tmp_path / "new" / "runs").level != "FAIL"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_tracking_server_that_is_down_fails_and_its_password_is_hidden(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    check = check_tracking(tmp_path, f"http://me:secret@127.0.0.1:{port}")
    assert check.level == "FAIL"
    assert "secret" not in check.detail


def test_the_default_tracking_needs_no_server(tmp_path: Path) -> None:
    assert check_tracking(tmp_path, None).level == "OK"
    (tmp_path / "mlflow.db").write_text("no database")
    assert check_tracking(tmp_path, None).level == "FAIL"


def test_missing_shared_memory_is_a_warning(tmp_path: Path) -> None:
    assert check_shared_memory(tmp_path / "absent").level == "WARN"


def test_every_check_that_is_not_ok_has_a_hint(tmp_path: Path) -> None:
    assert all(check.hint for check in run_checks(tmp_path / "absent", "nonsense") if check.level != "OK")
