"""The program for the first GPU, in a tiny size on a CPU: every part does its work, and tells what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from tests.bench.gpu_step import bench_config, random_backbone
from tests.gpu.bare_python import make_bare_python
from tests.gpu.smoke import layouts
from tests.gpu.smoke.__main__ import PARTS, SmokeRun
from tests.gpu.smoke.device import count_allocated_bytes
from tests.gpu.smoke.padded_loop import pad_right, wrap_classifier
from tests.gpu.smoke.sizes import SMALL
from tests.gpu.smoke.training import find_problems, measure_nf4

SCRIPT = Path(__file__).with_name("smoke.sh")
CPU = torch.device("cpu")


def start_script(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without a compiler DeepSpeed does without its op. Torch would compile the op again wherever its own headers lie at
    # another place, as they do in an environment of links.
    extensions = python.parents[1] / "extensions"
    environment = {**os.environ, "PYTHON": str(python), "CXX": "no-compiler", "TORCH_EXTENSIONS_DIR": str(extensions)}
    command = [str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The whole program, in an environment that has what it needs and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    python = make_bare_python(folder)
    names = {path.name for path in folder.glob("lib/python*/site-packages/*")}
    assert not names & {"ray", "mlflow", "optuna", "scipy", "pyarrow", "datasets", "bitsandbytes"}
    return start_script(python, "--small")


@pytest.fixture(scope="module")
def parts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return json.loads(done.stdout)["parts"]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    before = dict(os.environ)
    yield join_worker_group()
    leave_worker_group()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def test_every_part_runs_small_without_ray_mlflow_and_optuna(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert list(document["parts"]) == list(PARTS)
    assert all("error" not in each for each in document["parts"].values())


def test_every_case_is_compared_in_every_layout(parts: dict[str, Any]) -> None:
    compared = {(each["case"], each["layout"]) for each in parts["layouts"]["cases"]}
    assert compared == {(case.name, kind) for case in layouts.CASES for kind in case.layout_kinds()}
    assert {case.fusion for case in layouts.CASES} >= {"none", "add", "concat", "cross"}


def test_training_is_measured_beside_the_plan_and_a_padded_loop(parts: dict[str, Any]) -> None:
    found = parts["training"]
    for setting in (found["plain"], found["checkpointing"], found["padded_loop"]):
        assert setting["tokens_per_second"] > 0 and setting["passes"] > 1
    assert found["plain"]["layout"] == "packed"
    # Neither recomputation nor padding is model FLOP.
    assert found["plain"]["step_flop"] == found["checkpointing"]["step_flop"] == found["padded_loop"]["step_flop"]
    assert 0 < found["plain"]["seen_over_planned"] < 1
    assert found["checkpointing"]["planned_bytes"]["activations"] < found["plain"]["planned_bytes"]["activations"]
    assert sum(found["plain"]["planned_bytes"].values()) == pytest.approx(
        1e9 * found["plain"]["planned_gigabytes"], 1e-3
    )
    assert found["plain"]["losses"] == pytest.approx(found["checkpointing"]["losses"], abs=1e-3)


def test_trials_leave_nothing_behind(parts: dict[str, Any]) -> None:
    assert parts["kept_backbone"]["first_losses"] == parts["kept_backbone"]["second_losses"]
    assert len(parts["memory"]["allocated_bytes"]) == 4 and min(parts["memory"]["allocated_bytes"]) > 0


def test_nf4_is_skipped_with_a_reason_where_bitsandbytes_is_missing(parts: dict[str, Any]) -> None:
    assert parts["nf4"]["skipped"] == "bitsandbytes is not installed"


def test_nf4_takes_two_steps(worker: Worker) -> None:
    pytest.importorskip("bitsandbytes")
    found = measure_nf4(SMALL, worker)
    assert len(found["losses"]) == 2 and not found["problems"]


def test_a_part_that_fails_is_reported_and_the_others_go_on(worker: Worker) -> None:
    def fail(*_: object) -> dict[str, Any]:
        raise ValueError("no such kernel")

    run = SmokeRun(SMALL, worker, ["first", "second", "third"])
    run.run_parts({"first": fail, "second": lambda *_: {"figure": 1}, "third": lambda *_: {"problems": []}})
    document = run.document()
    assert document["ok"] is False
    assert document["parts"]["first"]["error"] == "ValueError: no such kernel"
    assert document["parts"]["second"]["figure"] == 1
    late = SmokeRun(SMALL, worker, ["first"]).document()  # as the watch prints it
    assert (late["ok"], late["parts"]["first"]) == (False, {"error": "not done in time"})


def test_a_layout_that_computes_something_else_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    case, data = layouts.Case("window", "none", key_heads=2, has_window=True), SMALL.draw_pairs(0)
    assert not [each["problem"] for each in layouts.compare_case(case, data, SMALL.window, CPU) if each["problem"]]
    of_window = layouts.case_backbone
    seen = []

    def off_by_one(case: layouts.Case, window: int) -> Any:
        seen.append(case)
        return of_window(case, window + (len(seen) > 1))  # padded comes first

    monkeypatch.setattr(layouts, "case_backbone", off_by_one)
    found = layouts.compare_case(case, data, SMALL.window, CPU)
    assert all("differs from padding" in each["problem"] for each in found)


def test_memory_above_the_plan_and_losses_that_are_no_numbers_are_problems() -> None:
    config = bench_config("bf16", "none", "packed", 4, 160)
    assert find_problems(config, 1e9, 2e9, [0.5]) == []
    memory, losses = find_problems(config, 3e9, 2e9, [0.5, float("nan")])
    assert "3 GB were needed and 2 GB planned" in memory and "nan" in losses


def test_a_tensor_that_stays_is_counted() -> None:
    before = count_allocated_bytes(CPU)
    kept = [torch.zeros(2**18)]
    assert count_allocated_bytes(CPU) - before == 2**20
    kept.clear()
    assert count_allocated_bytes(CPU) == before


def test_the_padded_loop_computes_our_rewards_of_the_same_pairs() -> None:
    config, split = bench_config("bf16", "none", "padded", SMALL.pairs, SMALL.pass_tokens), SMALL.draw_pairs(0).train
    model = GazeRewardModel(config, random_backbone("tiny", "bf16", CPU).float())
    pairs, head = np.arange(len(split)), model.head.weight.detach().clone()
    model.use_layout(BatchLayout("padded"))
    ids, mask = pad_right(split, pairs, CPU)
    with torch.no_grad():
        ours = model(split.batch_pairs(pairs, model.layout))
        plain = wrap_classifier(config, model.release_backbone())
        plain.base_model.model.score.modules_to_save["default"].weight.copy_(head)
        torch.testing.assert_close(plain(input_ids=ids, attention_mask=mask).logits[:, 0], ours, rtol=0, atol=1e-5)
    assert {name.split(".")[-2] for name, each in plain.named_parameters() if each.requires_grad} == {"default"}


def test_a_python_without_the_packages_is_refused(tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", symlinks=True)
    ended = start_script(tmp_path / "empty" / "bin" / "python", "--small")
    assert ended.returncode == 2 and ended.stdout == ""
    assert "has no torch transformers peft pydantic deepspeed" in ended.stderr


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)
