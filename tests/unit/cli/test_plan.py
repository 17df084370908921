"""`gazetune plan` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import MistralConfig, MistralModel

from gazetune.cli.main import main
from gazetune.reward.model.tiny import tiny_tokenizer
from gazetune.train.limits.compatibility import STAGES


def planned(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["plan", *arguments, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def most_at_a_time(row: dict) -> int:
    """Bytes on the device in the phase that takes the most."""
    on_device = [item for item in row["items"] if item["place"] == "device"]
    phases = ("start", "pass", "step", "evaluation")
    return max(sum(item["bytes"] for item in on_device if phase in item["phases"]) for phase in phases)


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
        assert row["activations"] <= row["device"]
        assert row["certain"] < row["device"]
        assert row["device"] == most_at_a_time(row)
    disk = document["disk_per_run"]
    assert disk["peak"] == 2 * disk["last"] + disk["best"], "the next checkpoint is complete before the old one goes"


@pytest.fixture
def mistral(tmp_path: Path) -> Path:
    """A config whose backbone has the shapes of Mistral-7B, with a checkpoint of zeros that takes no room."""
    folder = tmp_path / "mistral"
    with torch.device("meta"):
        model = MistralModel(MistralConfig(architectures=["MistralModel"]))
    model.config.save_pretrained(folder)
    header, end = {}, 0
    for name, weight in model.state_dict().items():
        header[name] = {"dtype": "BF16", "shape": list(weight.shape), "data_offsets": [end, end + 2 * weight.numel()]}
        end += 2 * weight.numel()
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as weights:
        weights.write(len(text).to_bytes(8, "little") + text)
        weights.truncate(8 + len(text) + end)
    tiny_tokenizer(["a text"]).save_pretrained(folder)
    path = tmp_path / "run.yaml"
    path.write_text(
        f"backbone: {folder}\nadapter: {{kind: lora}}\nresources: {{workers: 8, gpus_per_worker: 1}}\n"
        "fusion: {kind: none}\ndata: {max_chars: null, max_tokens: 2048, chat_template: plain}\n"
    )
    return path


def test_mistral_on_eight_gpus_is_planned_item_by_item(mistral: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = planned(capfd, str(mistral))
    (lora,) = (row for row in document["memory_per_worker"] if row["chosen"])
    (full,) = (
        row
        for row in planned(capfd, str(mistral), "--set", "adapter.kind=full")["memory_per_worker"]
        if (row["stage"], row["offload"]) == (2, "none")
    )
    names = {item["name"] for item in full["items"]}
    assert {"bucket of gradients", "Adam's moments", "CUDA context", "NCCL", "backbone, while read"} <= names
    assert all(item["source"] for item in full["items"])
    # In bf16 14.2 GB of weights; of full training the float32 states are divided by eight.
    assert lora["certain"] == pytest.approx(14.22e9, rel=0.01)
    assert full["certain"] == pytest.approx((2 + (4 + 8 + 4) / 8) * 7.11e9, rel=0.01)
    assert full["device"] > full["certain"] + full["activations"]
    (sharded,) = (row for row in document["memory_per_worker"] if (row["stage"], row["offload"]) == (3, "none"))
    assert sharded["host_of_all_workers"] < sharded["host"] + 7 * 2**30, "rank 0 alone reads the weights"
    narrow = planned(capfd, str(mistral), "--set", "train.batch_tokens=4096")
    assert (document["positions_per_pass"], narrow["positions_per_pass"]) == (8192, 4096)
    assert narrow["activations"]["kept"] == document["activations"]["kept"] / 2
    assert main(["plan", str(mistral)]) == 0
    out = capfd.readouterr().out
    assert "One worker with ZeRO-2, offload none" in out and "CPU memory of 8 workers on one machine: 6" in out
    assert "NVIDIA/nccl#964" in out and "setup_buckets" in out


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
