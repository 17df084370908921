"""`gazetune plan` of a search space as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.evaluate.statistics import smallest_detectable_difference

SPACE = """
name: planned
base: {data: {source: planted, pairs: 200}}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  fusion.kind: {choice: [none, add]}
search: {trials: 6}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path / "space.yaml"


def planned(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    assert main(["plan", *map(str, arguments), "--json"]) == 0
    return json.loads(capfd.readouterr().out)["search"]


def test_a_described_cluster_decides_the_slots_and_a_given_speed_the_hours(
    space: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster = ("--nodes", "2", "--cpus", "4", "--gpus", "1", "--set", "resources.gpus_per_worker=0.5")
    document = planned(capfd, space, *cluster)
    assert (document["slots"], document["hours"], document["calibration"]) == (4, None, None)
    assert document["nodes"] == [{"name": f"node {n}", "cpus": 4.0, "gpus": 1.0} for n in (1, 2)]
    head = document["head_memory"]
    assert head["slots"] == 4 and head["total"] == head["driver"] + head["ray"] + 4 * head["per_slot"]
    timed = planned(capfd, space, *cluster, "--examples-per-second", "0.5", "--price", "3")
    expected = timed["examples"]["expected"] * 2 / 3600
    assert timed["hours"]["trials"] == pytest.approx(expected / 4, rel=0.01)
    assert timed["gpu_hours"]["trials"] == pytest.approx(expected / 2, rel=0.01)
    assert timed["gpu_hours"]["baselines_at_most"] == 0.0, "a confirmation has them"
    assert timed["gpu_hours"]["confirmation_at_most"] > timed["gpu_hours"]["trials"] / 6
    gpu_hours = timed["gpu_hours"]["trials"] + timed["gpu_hours"]["confirmation_at_most"]
    assert timed["price"] == [{"instance": None, "price": pytest.approx(3 * gpu_hours)}]


def test_a_plan_says_what_its_confirmation_costs(space: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = planned(capfd, space, "--cpus", "2", "--set", "search.confirm=quick")["confirmation"]
    assert (found["trainings"], found["on_folds"], found["seeds"]) == (10, 4, 1)
    assert planned(capfd, space, "--cpus", "2", "--set", "search.confirm=off")["confirmation"] is None
    assert main(["plan", str(space), "--cpus", "2"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "Confirmation: at most 24 full trainings, 12 of the best 3 trials on 4 folds and 12 that are" in told
    assert "33 % of each cap are kept back for it" in told


def test_a_plan_says_what_its_test_pairs_can_show(space: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seen = planned(capfd, space, "--cpus", "2")["visible"]
    assert 20 < seen["test_pairs"] < 45 and seen["difference"] > 0.17
    seen = planned(capfd, space, "--cpus", "2", "--set", "data.splits=[0.4, 0.15, 0.45]")["visible"]
    assert seen["difference"] == pytest.approx(smallest_detectable_difference(seen["test_pairs"]))
    assert main(["plan", str(space), "--cpus", "2", "--set", "data.splits=[0.4, 0.15, 0.45]"]) == 0
    told = f"{seen['test_pairs']} test pairs: only gains above about {100 * seen['difference']:.0f} points can show"
    assert told in " ".join(capfd.readouterr().out.split())


def test_a_table_prices_each_kind_of_machine(space: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = space.parent / "prices.csv"
    table.write_text("instance,cpus,price\nsmall,2,1\nlarge,8,2\n")
    arguments = (space, "--cpus", "8", "--examples-per-second", "1", "--prices", table)
    document = planned(capfd, *arguments, "--set", "resources.workers=4")
    prices = {row["instance"]: row["price"] for row in document["price"]}
    assert prices["small"] == pytest.approx(2 * prices["large"]), "two small ones, or half of a large one at twice it"
    assert main(["plan", *map(str, arguments)]) == 0
    out = capfd.readouterr().out
    assert "Price of both on small: " in out and "Slots: 6 on 1 node(s), each with 8 CPUs and 0 GPUs" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cpus", "1", "--set", "resources.cpus_per_worker=2"], "no node can hold one worker, which needs 2 CPUs"),
        (["--set", "resources.cpus_per_worker=4096"], "; --nodes, --cpus and --gpus describe another cluster"),
        (["--nodes", "0", "--cpus", "1"], "--nodes: 0 is not accepted; accepted: a number >= 1"),
        (["--cpus", "-1"], "--cpus: -1 is not accepted; accepted: a number > 0"),
        (["--gpus", "2"], "--cpus: is missing"),
        (["--examples-per-second", "0"], "--examples-per-second: 0 is not accepted; accepted: a number > 0"),
        (["--examples-per-second", "nan"], "--examples-per-second: nan is not accepted"),
        (["--examples-per-second", "1", "--price", "-1"], "--price: -1 is not accepted; accepted: a number >= 0"),
        (["--price", "1"], "--price: needs the hours; give --calibrate or --examples-per-second too"),
        (["--examples-per-second", "1", "--price", "1"], "--price: is that of a GPU hour, and resources.gpus_per_"),
        (["--calibrate", "--examples-per-second", "1"], "--calibrate: measures what --examples-per-second gives"),
        (["--examples-per-second", "1", "--prices", "no.yaml"], "no.yaml: no such file"),
        (["--calibrate", "--cpus", "4", "--gpus", "1", "--set", "resources.gpus_per_worker=1"], "--calibrate: no node"),
        (["--set", "search.rungs=1000"], "search.rungs: 1000 is not below a full trial's"),
    ],
)
def test_bad_input_is_one_line_and_exit_two(
    arguments: list[str], said: str, space: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["plan", str(space), *arguments]) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and said in captured.err and len(captured.err.strip().splitlines()) == 1


def test_a_config_is_no_search(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text("backbone: tiny\n")
    assert main(["plan", str(tmp_path / "run.yaml"), "--calibrate"]) == 2
    assert "--calibrate: is for search spaces" in capfd.readouterr().err
