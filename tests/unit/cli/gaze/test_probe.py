"""`gazetune gaze probe` from the command line to its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gazetune.cli.main import main

PLANTED = ["gaze", "probe", "--data", "planted", "--predictor", "planted", "--set", "data.pairs=400"]


def test_it_prints_one_document(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*PLANTED, "--json", "--pairs", "250"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["pairs"] == 250 < document["known_pairs"] < 400
    assert document["grouped_by"] == "prompt" and document["found"] is True
    assert next(iter(document["scores"])) == "length" and "all measures + length" in document["scores"]
    assert document["comparisons"][0]["model"] == "all measures + length"
    assert document["verdict"].startswith("Gaze carries something")


def test_people_see_a_table_and_the_verdict(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(PLANTED) == 0
    first, *_, verdict = capfd.readouterr().out.splitlines()
    assert "5 folds; test is not looked at" in first
    assert verdict.startswith("Gaze carries something about the preference beyond length")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--pairs", "10"], "--pairs 10: accepted: 50 or more"),
        (["--group", "reader"], "data.group: reader: planted pairs have no columns"),
        (["--set", "train.epochs=2"], "--set train.epochs: the probe does not look at it; accepted: gaze.predictor,"),
        (["--set", "gaze.control=noise"], "--set gaze.control: the probe does not look at it"),
        (["--set", "data.max_tokens=9"], "--set data.max_tokens: the probe does not look at it"),
        (["--predictor", "plantd"], "did you mean 'planted'?"),
    ],
)
def test_mistakes_are_one_line(more: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*PLANTED, *more]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line


def test_what_was_left_out_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": f"Say {row}.", "chosen": "yes " * (1 + row % 7), "rejected": "no", "id": 1} for row in range(99)]
    rows[3]["chosen"] = "long " * 3000
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["gaze", "probe", "--data", str(source)]) == 0
    printed = capfd.readouterr().out
    assert "dropped: longer than max_chars (1)\n" in printed
    assert "note: columns that are not read: id (99)\n" in printed


def test_a_feature_mask_is_heeded(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*PLANTED, "--json", "--set", "gaze.features=[FFD,GPT]"]) == 0
    scores = json.loads(capfd.readouterr().out)["scores"]
    assert {"FFD", "GPT"} <= set(scores) and not {"nFix", "TRT", "fixProp"} & set(scores)


def test_it_imports_no_torch() -> None:
    script = f"import sys; from gazetune.cli.main import main; main({PLANTED!r}); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in ended.stderr.splitlines()[-1].split()}
    assert not modules & {"torch", "transformers", "ray", "mlflow", "sklearn"}
