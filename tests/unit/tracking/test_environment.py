from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gazetune.tracking.environment import RunEnvironment, read_environment, write_environment

MADE = RunEnvironment("0.2.0+g12", {"python": "3.11.2", "torch": "2.13.0"}, "Some CPU", 2, 1, "3f", "91")


def test_what_is_written_is_read_and_an_older_run_has_none(tmp_path: Path) -> None:
    assert read_environment(tmp_path) is None
    write_environment(tmp_path / "run", MADE)
    assert read_environment(tmp_path / "run") == MADE


def test_a_package_that_is_gone_or_new_is_a_difference() -> None:
    other = replace(MADE, packages={"python": "3.11.2", "peft": "0.21.2"}, processor="Another CPU")
    assert MADE.list_differences(other) == [
        "torch: 2.13.0, now none",
        "processor: Some CPU, now Another CPU",
        "peft: none, now 0.21.2",
    ]
    assert MADE.list_differences(MADE) == []
