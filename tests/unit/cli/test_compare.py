from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gazetune.cli.main import main
from gazetune.evaluate.margins import Margins, write_margins

ITEMS = np.array([f"{number:064x}" for number in range(120)])


def write_run(folder: Path, share: float) -> Path:
    folder.mkdir(parents=True)
    margins = np.where(np.arange(120) < 120 * share, 1.0, -1.0)
    rewards = np.stack([margins, np.zeros(120)], axis=1)
    write_margins(folder / "test.parquet", Margins(ITEMS, ITEMS, rewards, np.ones((120, 2), dtype=np.int32)))
    return folder


def test_three_runs_are_compared_and_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, share in {"a": 0.8, "b": 0.6, "c": 0.79}.items():
        write_run(tmp_path / name, share)
    command = ["compare", "a", "b", "c", "--storage", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["n"] == 120 and document["split"] == "test"
    assert [run["name"] for run in document["runs"]] == ["a", "b", "c"]
    assert [pair["difference"] for pair in document["comparisons"]] == pytest.approx([0.2, 1 / 120])
    assert document["files"]["b"] == [str(tmp_path / "b" / "test.parquet")]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("a minus b: +20.0 (") and "a is right more often than b" in line for line in lines)
    assert any(line.startswith("a minus c: +0.8 (") and "Chance alone could give that" in line for line in lines)


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (["a"], "a comparison needs two runs, got a"),
        (["a", "a"], "run a is named twice"),
        (["a", "nothing"], "'nothing' is no run with margins"),
        (["a", "b", "--split", "validation"], "a has no margins on validation"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, 0.7)
    assert main(["compare", *runs, "--storage", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err
