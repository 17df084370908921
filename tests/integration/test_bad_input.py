"""Wrong input is one line before a worker starts, and leaves nothing that stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import gazetune

ROW = {"prompt": "Name a prime.", "chosen": "7", "rejected": "9"}


def refusal(*arguments: str | Path) -> str:
    done = gazetune(*arguments)
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stdout == "" and "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pairs.jsonl: the file is empty"),
        (json.dumps(ROW) + "\n" + json.dumps(ROW)[:20], "pairs.jsonl:2: not valid JSON"),
        (json.dumps({**ROW, "rejected": "7"}), "pairs.jsonl:1: chosen and rejected are identical"),
    ],
)
def test_a_bad_file_of_pairs_is_named_with_its_row(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(text)
    storage = tmp_path / "runs"
    assert expected in refusal("search", "pairs", "--storage", storage, "--set", f"data.source={tmp_path}/pairs.jsonl")
    assert not (storage / "pairs").exists()


def test_a_conversation_longer_than_the_backbone_is_named_and_the_name_stays_free(tmp_path: Path) -> None:
    rows = [{**ROW, "prompt": f"Question {number}", "chosen": f"answer {number}"} for number in range(20)]
    rows[7]["prompt"] = "word " * 9000
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ("train", "--storage", tmp_path / "runs", "--name", "mine", "--set", f"data.source={source}")
    line = refusal(*common, "--set", "data.max_chars=null")
    assert "pairs.jsonl:8: the conversation has" in line and "a lower data.max_chars drops such pairs" in line
    assert not (tmp_path / "runs" / "mine").exists()


def test_a_tracking_server_that_is_down_is_told_in_seconds(tmp_path: Path) -> None:
    line = refusal("search", "demo", "--storage", tmp_path, "--tracking-uri", "http://127.0.0.1:9")
    assert "tracking.uri 'http://127.0.0.1:9' does not answer" in line
    assert not (tmp_path / "demo").exists()


def test_a_trial_that_no_node_can_hold_is_refused(tmp_path: Path) -> None:
    line = refusal("search", "demo", "--storage", tmp_path, "--set", "resources.cpus_per_worker=4096")
    assert "no node can hold one worker, which needs 4096 CPUs" in line
    assert not (tmp_path / "demo").exists()
