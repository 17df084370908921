"""`gazetune gaze probe` from the command line to its exit code."""

from __future__ import annotations

import json
import subprocess
import sys

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
        (["--set", "train.epochs=2"], "--set train.epochs: the probe does not look at it"),
        (["--predictor", "plantd"], "did you mean 'planted'?"),
    ],
)
def test_mistakes_are_one_line(more: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*PLANTED, *more]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line


def test_it_imports_no_torch() -> None:
    script = f"import sys; from gazetune.cli.main import main; main({PLANTED!r}); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in ended.stderr.splitlines()[-1].split()}
    assert not modules & {"torch", "transformers", "ray", "mlflow", "sklearn"}
