"""The plan of an ablation: cells, examples and GPU hours, and what is not at hand yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.ablation.study.planning import plan_ablation
from gazetune.ablation.study.study_document import describe_study
from gazetune.ablation.study.study_file import read_study
from gazetune.search.planning.plan_options import PlanOptions
from gazetune.search.space.shipped_spaces import find_space_file

GPU_NODES = PlanOptions(nodes=2, cpus=32, gpus=8, examples_per_second=5)
STUDY = """
name: mine
base:
  data: {source: planted, pairs: 300}
  gaze: {predictor: planted}
  resources: {cpus_per_worker: 4, gpus_per_worker: 1}
factors:
  fusion.kind: [none, add]
  train.epochs: [1, 3]
baseline: {fusion.kind: none}
seeds: [1, 2, 3]
"""


def test_hours_are_those_of_all_cells_over_the_slots(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    study = read_study(tmp_path / "study.yaml")
    plan = plan_ablation(study, GPU_NODES)
    (pairs,) = plan["pairs"]
    examples = 3 * 2 * (1 + 3) * pairs["train"]
    assert (plan["cells"], plan["slots"], plan["training_examples"]) == (12, 12, examples)
    assert plan["gpu_hours"] == pytest.approx(examples / 5 / 3600)
    assert plan["hours"] == pytest.approx(examples / 5 / 3600 / 12)
    assert plan["largest"] is not None and plan["missing"] == []
    assert describe_study(study)["training_examples"] == examples


def test_the_plan_of_paper_names_what_is_not_at_hand_and_has_gpu_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes", reason="the recipe quantises its backbone")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    plan = plan_ablation(read_study(find_space_file("paper"), overrides=["data.pairs=10000"]), GPU_NODES)
    assert (plan["cells"], plan["slots"]) == (162, 16)
    # 2 epochs of 85 % of the pairs, as the published test split stands beside them.
    assert plan["training_examples"] == 162 * 2 * 8500
    assert plan["gpu_hours"] == pytest.approx(162 * 2 * 8500 / 5 / 3600)
    told = "\n".join(plan["missing"])
    assert "gaze.predictor 'bilstm' needs its weights" in told and "meta-llama/Meta-Llama-3-8B" in told
