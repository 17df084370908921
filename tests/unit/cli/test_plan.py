"""`gazetune plan` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.train.limits.compatibility import STAGES


def planned(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["plan", *arguments, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("backbone: tiny\nadapter: {kind: lora}\nresources: {workers: 2}\n")
    return path


def test_every_stage_is_planned_and_the_configured_one_is_marked(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = planned(capfd, str(file), "--set", "deepspeed.stage=3", "--set", "deepspeed.offload=cpu")
    rows = document["memory_per_worker"]
    assert {row["stage"] for row in rows} == set(STAGES)
    assert [(row["stage"], row["offload"]) for row in rows if row["chosen"]] == [(3, "cpu")]
    assert (document["kind"], document["workers"], document["pairs_per_worker"]) == ("train", 2, 8)
    assert 0 < document["parameters"]["trained"] < document["parameters"]["total"]
    for row in rows:
        parts = ("parameters", "gradients", "optimizer", "gathered", "activations")
        assert row["device"] == sum(row[part] for part in parts)
    disk = document["disk_per_run"]
    assert disk["peak"] == 2 * disk["last"] + disk["best"], "the next checkpoint is complete before the old one goes"


def test_what_the_table_refuses_is_marked_and_checkpointing_counts(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("bitsandbytes")
    document = planned(capfd, str(file), "--set", "adapter.quantization=nf4")
    refused = [(row["stage"], row["offload"]) for row in document["memory_per_worker"] if row["refused"]]
    assert refused == [(3, "none"), (3, "cpu"), (3, "nvme")]
    less = planned(capfd, str(file), "--set", "train.gradient_checkpointing=true")
    assert less["memory_per_worker"][0]["activations"] == document["activations"]["checkpointed"]
    assert document["memory_per_worker"][0]["activations"] == document["activations"]["kept"]


def test_a_search_is_planned_by_its_largest_trial(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(
        "name: sizes\nbase: {adapter: {kind: lora}}\nspace:\n"
        "  adapter.r: {int: [4, 64]}\n  train.batch_size: {choice: [8, 32, 16]}\n"
        "  fusion.kind: {choice: [none, concat]}\n"
    )
    document = planned(capfd, str(space))
    assert (document["kind"], document["pairs_per_worker"]) == ("search", 32)
    assert document["positions"] == planned(capfd, str(space), "--set", "fusion.kind=concat")["positions"]
    assert document["positions"] > planned(capfd, str(space), "--set", "fusion.kind=none")["positions"]
    smaller = planned(capfd, str(space), "--set", "adapter.r=4")
    assert document["parameters"]["trained"] > smaller["parameters"]["trained"]


def test_the_table_is_for_people_and_nothing_is_left_behind(
    file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert main(["plan", str(file)]) == 0
    out = capfd.readouterr().out
    assert "357,953, of which 13,569 train" in out and "Memory of one worker" in out and "2<" in out
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["demoo"], "did you mean 'demo'?"),
        (["demo", "--set", "deepspeed.offload=nvme"], "deepspeed.offload: nvme needs deepspeed.stage 3, got 2"),
    ],
)
def test_bad_input_is_one_line_and_exit_two(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *arguments]) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and said in captured.err and len(captured.err.strip().splitlines()) == 1
