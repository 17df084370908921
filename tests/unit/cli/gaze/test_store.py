"""`gazetune gaze store` in one process; several are in tests/integration/test_gaze_store.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.words import text_key


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"which {n}", "chosen": f"this {n} here", "rejected": f"that {n}"} for n in range(40)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def test_all_texts_of_the_pairs_are_stored_where_a_search_finds_them(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["gaze", "store", "--data", str(pairs), "--storage", str(tmp_path / "runs"), "--json"]) == 0
    out, error = capfd.readouterr()
    facts = json.loads(out)
    assert (facts["texts"], facts["units"], facts["parts"]) == (120, 40 * 2 + 40 * 3 + 40 * 2, 1)
    assert facts["folder"] == str(tmp_path / "runs" / "cache" / "gaze" / facts["predictor"])
    assert facts["predictor"].startswith("lexical-")
    assert "120 of 120 texts predicted" in " ".join(error.split())
    store = GazeStore.open(Path(facts["folder"]))
    assert len(store.find_rows(["which 0", "this 39 here", "that 7"])) == 3
    assert text_key("which 0") in {key.ljust(32, b"\0") for key in store.parts[0].keys.tolist()}


@pytest.mark.parametrize("kind", ["folder", "uri"])
def test_the_store_may_lie_elsewhere(
    kind: str, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = "elsewhere" if kind == "folder" else (tmp_path / "elsewhere").as_uri()
    assert main(["gaze", "store", "--data", str(pairs), "--predictor", "planted", "--store", place]) == 0
    assert capfd.readouterr().out.startswith("120 texts, 280 units in 1 part(s): ")
    assert len(list((tmp_path / "elsewhere" / "planted-seed0-1").glob("part-*.arrow"))) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--workers", "0"], "--workers 0: accepted: 1 or more"),
        (["--predictor", "lexicon"], "gaze.predictor: 'lexicon' is no gaze predictor; did you mean 'lexical'?"),
        (["--store", "nothing://a/b"], "gaze.store: nothing://a/b cannot be opened (Unrecognized filesystem type"),
        (["--store", "pairs.jsonl"], "the gaze store cannot be written here"),
        (["--data", "absent.jsonl"], "absent.jsonl"),
    ],
)
def test_bad_input_is_one_line_and_exit_two(
    arguments: list[str],
    expected: str,
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gaze", "store", "--data", str(pairs), *arguments]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert expected in error.splitlines()[-1]
    assert not list(tmp_path.rglob("part-*"))
