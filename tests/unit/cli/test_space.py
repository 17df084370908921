"""`gazetune space show`: what it prints of a space, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main

SPACE = """\
name: small
base: {gaze: {predictor: planted}}
space:
  fusion.kind: {choice: [none, add]}
  gaze.align: {choice: [spread, first], when: fusion.kind == add}
  adapter.r: {int: [4, 16], step: 4}
forbid: [gaze.align == first and adapter.r == 16]
try_first: [{fusion.kind: add, adapter.r: 8}]
search: {trials: 7}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


def test_size_conditions_and_five_samples_are_printed(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["space", "show", str(file)]) == 0
    out, error = capfd.readouterr()
    lines = out.splitlines()
    rows = [" ".join(line.split()) for line in lines]
    assert lines[0] == "small: 11 combinations; 7 trials"  # 4 + 2 * 4 - 1
    assert "gaze.align choice spread, first fusion.kind == add" in rows
    assert "adapter.r int 4 to 16 in steps of 4 always" in rows
    assert "forbid: gaze.align == first and adapter.r == 16" in lines
    assert "try first: fusion.kind=add, adapter.r=8" in lines
    assert [line.partition(":")[0] for line in lines[-5:]] == [f"sample {n}" for n in range(1, 6)]
    assert error == ""


def test_json_is_one_document_and_a_seed_repeats_the_samples(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    documents = []
    for overrides in ([], [], ["--set", "optim.weight_decay=0"], ["--set", "search.seed=5"]):
        assert main(["space", "show", str(file), "--json", *overrides]) == 0
        documents.append(json.loads(capfd.readouterr().out))
    first, again, other, seeded = documents
    assert first == again and first["samples"] == other["samples"] != seeded["samples"]
    assert (first["combinations"], first["finite_combinations"], first["exact"]) == (11, 11, True)
    assert [(axis["key"], axis["count"], axis["when"]) for axis in first["axes"]] == [
        ("fusion.kind", 2, None),
        ("gaze.align", 2, "fusion.kind == add"),
        ("adapter.r", 4, None),
    ]
    assert len(first["samples"]) == 5 and all(sample["refused"] is None for sample in first["samples"])


def test_a_range_makes_the_size_infinite_and_the_rest_is_counted(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(SPACE.replace("forbid:", "  optim.weight_decay: {uniform: [0, 1]}\nforbid:"))
    assert main(["space", "show", str(file)]) == 0
    assert capfd.readouterr().out.startswith("small: infinite combinations, 11 of the axes without a range; 7 trials\n")
    assert main(["space", "show", str(file), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["combinations"] is None and document["finite_combinations"] == 11


def test_a_sample_that_cannot_train_says_why(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # bilstm predicts TRT alone; the mask of the base has all five.
    text = SPACE.replace("adapter.r: {", "gaze.predictor: {choice: [planted, bilstm]}\n  adapter.r: {")
    file.write_text(text.replace("space:", "fusion: {}\nspace:", 1))
    assert main(["space", "show", str(file)]) == 2
    assert "unknown key 'fusion'" in capfd.readouterr().err
    file.write_text(text.replace("planted}}", "planted}, fusion: {kind: none}}"))
    assert main(["space", "show", str(file), "--json"]) == 0
    samples = json.loads(capfd.readouterr().out)["samples"]
    for sample in samples:
        refused = sample["params"]["fusion.kind"] == "add" and sample["params"]["gaze.predictor"] == "bilstm"
        assert (sample["refused"] is not None) == refused
    assert any(sample["refused"] for sample in samples)


def test_bad_input_is_one_line_and_exit_two(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["space", "show", "demoo"], "search space 'demoo': neither a file nor a shipped space; did you mean 'demo'?"),
        (["space", "show", str(file), "--set", "fusion.kid=add"], "--set fusion.kid=add: unknown key"),
    ):
        assert main(arguments) == 2
        error = capfd.readouterr().err
        assert expected in error and error.count("\n") == 1
