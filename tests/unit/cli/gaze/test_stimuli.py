"""`gazetune gaze stimuli`: its flags and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main


def run(*arguments: str) -> int:
    return main(["gaze", "stimuli", *arguments])


def test_prompt_and_replies_of_each_pair_become_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(json.dumps({"prompt": f"Why {n}?", "chosen": "So.", "rejected": "No."}) + "\n" for n in range(2))
    )
    out = tmp_path / "out"
    assert run("--data", str(pairs), "--out", str(out), "--screen", "800x600", "--readers", "2", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {"out": str(out), "pairs": 2, "texts": 6, "pages": 6, "readers": 2}
    assert sorted(path.stem for path in (out / "screens").iterdir()) == [
        f"{n}.{k}_p1" for n in (1, 2) for k in (0, 1, 2)
    ]
    assert "Why;" in (out / "words" / "2.0_p1.csv").read_text()
    assert run("--data", str(pairs), "--out", str(tmp_path / "second")) == 0
    assert "2 pairs, 6 texts, 6 pages, orders for 1 readers" in capsys.readouterr().out
