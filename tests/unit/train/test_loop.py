"""The training loop in one process: what moves, when it evaluates, stops, fails and resumes."""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.saved.saved_model import load_reward_model
from gazetune.train.limits.run_failures import TrainingFailed
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import group_by_weight_decay
from gazetune.train.processes.worker_group import Worker
from gazetune.train.progress import EvaluationReport
from gazetune.train.scoring.evaluation import score_split
from gazetune.train.state.rung_margins import load_margins

StartTraining = Callable[..., Training]
LORA = {"kind": "lora"}


def trained(run: Training, stop_at: int | None = None) -> list[EvaluationReport]:
    """Run and return the reports; `stop_at` (a step) is where the one who listens says stop."""
    reports: list[EvaluationReport] = []

    def report(made: EvaluationReport) -> bool:
        reports.append(made)
        return made.step != stop_at

    run.run(report)
    return reports


def losses_of(reports: list[EvaluationReport]) -> list[float]:
    return [loss for report in reports for loss in report.train_losses]


def values_of(run: Training) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in run.model.state_dict().items()}


@pytest.mark.parametrize(("kind", "stage"), [("concat", 0), ("concat", 2), ("add", 2)])
def test_ten_lora_steps_move_all_that_trains_and_nothing_that_is_frozen(
    kind: str, stage: int, start: StartTraining
) -> None:
    run = start(
        adapter=LORA, fusion={"kind": kind}, deepspeed={"stage": stage}, train={"batch_size": 6, "eval_every": 100}
    )
    before = values_of(run)
    for step in range(10):
        run.train_step(step)
    after = values_of(run)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    beside = {name for name in dict(run.model.named_parameters()) if not name.startswith("backbone.")}
    lora = {name for name in before if "lora_" in name}
    assert {name.rsplit(".", 3)[1] for name in lora} == {"lora_A", "lora_B"}
    assert ("fusion.boundary.weight" in beside) == (kind == "concat")
    assert {"head.weight", "fusion.scale.factor", "fusion.projector.layers.0.bias"} <= beside
    assert {f"fusion.projector.layers.{norm}.{part}" for norm in (1, 6) for part in ("weight", "bias")} <= beside
    # From the second step on lora_A has a gradient too, since lora_B is zero at first.
    assert moved == beside | lora


def test_a_frozen_backbone_stays_as_it_was_and_the_rest_trains(start: StartTraining) -> None:
    run = start(adapter={"kind": "none"}, train={"eval_every": 100})
    before = values_of(run)
    for step in range(4):
        run.train_step(step)
    after = values_of(run)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("backbone."))
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_run_reports_every_evaluation_to_the_full_budget(start: StartTraining, data: PreparedData) -> None:
    run = start(train={"batch_size": 8, "eval_every": 3})
    reports = trained(run)
    steps = run.plan.total_steps
    assert [report.step for report in reports] == [*range(3, steps, 3), steps]
    assert [report.examples for report in reports] == [run.plan.examples_after(report.step) for report in reports]
    assert {report.budget for report in reports} == {len(data.train)}
    assert [report.done for report in reports] == [False] * (len(reports) - 1) + [True]
    assert len(losses_of(reports)) == steps
    assert [len(report.train_losses) for report in reports[:-1]] == [3] * (len(reports) - 1)
    for report in reports:
        assert report.metrics["train/loss"] == pytest.approx(np.mean(report.train_losses))
        assert report.metrics["train/learning_rate"] == run.learning_rate(report.step - 1)
    assert np.diff([report.seconds for report in reports]).min() > 0


def test_the_best_model_is_that_of_the_best_evaluation_the_later_one_on_ties(
    start: StartTraining, data: PreparedData, worker: Worker, tmp_path: Path
) -> None:
    reports = trained(start(train={"epochs": 3, "eval_every": 2}))
    accuracies = [report.metrics["val/accuracy"] for report in reports]
    best = len(accuracies) - 1 - int(np.argmax(accuracies[::-1]))
    assert [report.best_accuracy for report in reports] == np.maximum.accumulate(accuracies).tolist()
    progress = json.loads((tmp_path / "run" / "last" / "progress.json").read_text())
    assert progress["best_step"] == reports[best].step
    model = load_reward_model(tmp_path / "run" / "best")
    rewards = score_split(model, data.validation, model.layout, 1000, worker)
    kept = np.load(tmp_path / "run" / "best" / "rewards.npy")
    np.testing.assert_allclose(kept, rewards, atol=1e-5)
    assert (kept[:, 0] > kept[:, 1]).mean() == accuracies[best]


def test_each_evaluation_leaves_its_margins_before_it_is_reported(start: StartTraining, tmp_path: Path) -> None:
    shares: list[tuple[float, float]] = []

    def report(made: EvaluationReport) -> bool:
        margins = load_margins(tmp_path / "run", made.examples)
        assert margins is not None
        shares.append((float((margins > 0).mean()), made.metrics["val/accuracy"]))
        return True

    start(train={"epochs": 2, "eval_every": 2}).run(report)
    assert len(shares) > 2 and all(kept == reported for kept, reported in shares)
    assert load_margins(tmp_path / "run", 3) is None


def test_a_run_stops_where_the_report_says_so(start: StartTraining) -> None:
    run = start()
    reports = trained(run, stop_at=4)
    assert [report.step for report in reports] == [2, 4]
    assert run.progress.step == 4
    assert not reports[-1].done


@pytest.mark.parametrize(("precision", "stage"), [("fp32", 0), ("fp32", 2), ("bf16", 0)])
def test_a_resumed_run_has_the_losses_of_an_undisturbed_one_with_dropout_on(
    precision: str, stage: int, start: StartTraining
) -> None:
    sections = {
        "deepspeed": {"stage": stage},
        "adapter": LORA,
        "projector": {"dropout": [0.1, 0.3]},
        "train": {"batch_size": 8, "eval_every": 3, "epochs": 1.5, "precision": precision},
    }
    undisturbed = trained(start("undisturbed", **sections))
    first = trained(start("resumed", **sections), stop_at=3)
    run = start("resumed", **sections)
    assert run.progress.step == 3, "it must go on in the middle of an epoch"
    second = trained(run)
    assert second[0] == first[-1], "the last report is made again: it may not have been heard"
    assert [report.step for report in first + second[1:]] == [report.step for report in undisturbed]
    np.testing.assert_allclose(losses_of(first + second[1:]), losses_of(undisturbed), atol=1e-6)
    for one, two in zip(second[1:], undisturbed[1:], strict=True):
        assert one.metrics["val/loss"] == pytest.approx(two.metrics["val/loss"], abs=1e-6)
    assert second[-1].best_accuracy == undisturbed[-1].best_accuracy


def test_dropout_is_on_while_training_and_off_while_evaluating(start: StartTraining) -> None:
    modes: list[tuple[bool, bool]] = []
    run = start(train={"eval_every": 4})
    run.model.fusion.register_forward_hook(lambda fusion, *_: modes.append((fusion.training, torch.is_grad_enabled())))
    trained(run, stop_at=4)
    assert modes[:4] == [(True, True)] * 4
    assert set(modes[4:]) == {(False, False)}
    run.train_step(4)
    assert modes[-1] == (True, True)


def test_a_finished_run_only_repeats_its_last_report(start: StartTraining) -> None:
    reports = trained(start())
    again = trained(start())
    assert again == reports[-1:]


def test_accumulated_passes_make_the_step_of_one_larger_batch(start: StartTraining) -> None:
    sections = {"projector": {"dropout": [0.0, 0.0]}}
    whole = trained(start("whole", train={"batch_size": 9, "eval_every": 2}, **sections))
    parts = trained(start("parts", train={"batch_size": 3, "accumulate": 3, "eval_every": 2}, **sections))
    np.testing.assert_allclose(losses_of(parts), losses_of(whole), atol=1e-5)


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_passes_within_a_token_budget_make_the_step_of_one_batch(
    stage: int, start: StartTraining, data: PreparedData
) -> None:
    sections = {"projector": {"dropout": [0.0, 0.0]}, "deepspeed": {"stage": stage}}
    whole = trained(start("whole", train={"batch_size": 9, "eval_every": 2}, **sections))
    longest = int(data.train.pair_lengths(BatchLayout(gaze_tokens="before")).sum(axis=1).max())
    run = start("parts", train={"batch_size": 9, "eval_every": 2, "batch_tokens": 2 * longest}, **sections)
    passes = run.prefetcher.get_passes(0)
    assert len(passes) > 1
    assert max(each.batch.position_ids.shape[1] for each in passes) <= 2 * longest
    np.testing.assert_allclose(losses_of(trained(run)), losses_of(whole), atol=1e-5)


def test_a_pair_weighs_the_same_in_a_short_last_step(start: StartTraining, data: PreparedData) -> None:
    size = len(data.train) - 1  # the second step of the epoch holds one pair
    run = start(train={"batch_size": size, "eval_every": 100}, projector={"dropout": [0.0, 0.0]})
    run.train_step(0)
    chosen, rejected = run.engine(data.train.batch_pairs(run.plan.step_pairs(1), run.model.layout))
    run.train_step(1)
    margin = float((chosen - rejected).detach())
    assert float(run._losses[1]) == pytest.approx(np.log1p(np.exp(-margin)), abs=1e-6)


def test_a_run_without_memory_says_what_to_change(start: StartTraining) -> None:
    run = start(train={"batch_size": 40})
    run.prefetcher.get_passes(0)  # the thread that makes batches needs memory of its own
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**20, before[1]))
    taken: list[torch.Tensor] = []
    try:
        with contextlib.suppress(RuntimeError, MemoryError):  # what tests before this one have given back
            while True:
                taken.append(torch.ones(2**15))
        del taken[-8:]  # a line about it takes some memory too
        line = r"step 1: out of memory; what helps: train.batch_tokens .*checkpointing"
        with pytest.raises(TrainingFailed, match=line):
            run.run(lambda report: True)
    finally:
        taken.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_milestones_replace_the_rhythm_and_the_end_stays(start: StartTraining) -> None:
    run = start(milestones=(10, 16, 33), train={"batch_size": 8, "eval_every": 1})
    reports = trained(run)
    assert [report.step for report in reports] == [2, 5, run.plan.total_steps]
    assert [report.examples for report in reports[:2]] == [16, 40]


@pytest.mark.parametrize("stage", [0, 2])
def test_a_loss_that_is_no_number_fails_the_run_and_names_the_step(stage: int, start: StartTraining) -> None:
    run = start(optim={"learning_rate": 1e30}, deepspeed={"stage": stage}, train={"batch_size": 8, "eval_every": 3})
    with pytest.raises(TrainingFailed, match=r"(loss|gradient) is (nan|inf).* at step [23]"):
        trained(run)


def test_a_rare_evaluation_does_not_hide_a_loss_that_is_no_number(start: StartTraining) -> None:
    run = start(
        optim={"learning_rate": 1e30},
        train={"batch_size": 1, "eval_every": 1000},
        milestones=(),
        fusion={"kind": "none"},
    )
    with pytest.raises(TrainingFailed, match="at step"):
        trained(run)
    assert len(run._losses) == 32


def test_weights_that_are_no_numbers_fail_at_the_first_step(start: StartTraining) -> None:
    run = start()
    with torch.no_grad():
        run.model.fusion.boundary.weight[0, 0] = torch.nan
    with pytest.raises(TrainingFailed, match=r"loss is nan at step 1$"):
        trained(run)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_released_backbone_trains_the_next_run_as_a_fresh_one_would(
    checkpointing: bool, start: StartTraining, worker: Worker
) -> None:
    first = start("first", adapter={**LORA, "r": 2}, train={"gradient_checkpointing": checkpointing})
    trained(first, stop_at=2)
    released = first.close()
    assert not any(getattr(module, "gradient_checkpointing", False) for module in released.modules())
    fresh = load_backbone("tiny", torch.float32).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in released.state_dict().items())
    warm = trained(start("warm", backbone=released, adapter=LORA), stop_at=4)
    cold = trained(start("cold", adapter=LORA), stop_at=4)
    assert losses_of(warm) == losses_of(cold)


def test_gradient_checkpointing_changes_no_loss(start: StartTraining) -> None:
    plain = trained(start("plain", adapter=LORA), stop_at=4)
    saving = trained(start("saving", adapter=LORA, train={"gradient_checkpointing": True}), stop_at=4)
    np.testing.assert_allclose(losses_of(saving), losses_of(plain), atol=1e-6)


def test_bf16_without_zero_takes_the_steps_of_bf16_with_it(start: StartTraining) -> None:
    sections = {"projector": {"dropout": [0.0, 0.0]}, "train": {"batch_size": 8, "precision": "bf16", "eval_every": 2}}
    plain, sharded = (
        trained(start(f"stage {stage}", deepspeed={"stage": stage}, **sections), stop_at=4) for stage in (0, 2)
    )
    np.testing.assert_allclose(losses_of(plain), losses_of(sharded), atol=5e-3)


def test_weight_decay_spares_biases_norms_and_scales() -> None:
    from gazetune.reward.model.reward_model import GazeRewardModel

    config = Config.model_validate({"adapter": {"kind": "lora"}, "fusion": {"kind": "concat"}})
    model = GazeRewardModel(config, load_backbone("tiny", torch.float32))
    decayed, spared = group_by_weight_decay(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {names[id(parameter)] for parameter in spared["params"]} == {
        "fusion.scale.factor",
        *(f"fusion.projector.layers.{layer}.bias" for layer in (0, 1, 4, 6)),
        *(f"fusion.projector.layers.{norm}.weight" for norm in (1, 6)),
    }
    both = {names[id(parameter)] for group in (decayed, spared) for parameter in group["params"]}
    assert both == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_a_plateau_lowers_the_rate_and_a_resumed_run_goes_on_with_it(start: StartTraining) -> None:
    # With so low a rate the loss stands still: 11 evaluations in a row bring nothing after the first.
    sections = {
        "optim": {"learning_rate": 1e-12, "schedule": "reduce_lr_on_plateau"},
        "train": {"eval_every": 1, "epochs": 2},
    }
    rates = [report.metrics["train/learning_rate"] for report in trained(start("whole", **sections))]
    assert len(rates) > 12
    assert rates == pytest.approx([1e-12] * 12 + [1e-13] * (len(rates) - 12), rel=1e-6, abs=0)
    for stopped in (5, 12):
        trained(start(f"stopped{stopped}", **sections), stop_at=stopped)
        resumed = trained(start(f"stopped{stopped}", **sections))[-1]
        assert resumed.metrics["train/learning_rate"] == pytest.approx(1e-13, rel=1e-6, abs=0)


def test_a_schedule_of_micro_batches_is_longer_than_a_run_that_accumulates(start: StartTraining) -> None:
    sections = {"optim": {"schedule": "linear", "warmup_ratio": 0.0}, "train": {"accumulate": 3, "epochs": 3}}
    run = start(**sections)
    counted = start("counted", **{**sections, "optim": {**sections["optim"], "schedule_length": "micro_batches"}})
    assert (run.plan.pairs, run.plan.total_steps) == (counted.plan.pairs, counted.plan.total_steps)
    last, passes = run.plan.total_steps - 1, run.plan.pairs // 8 * 3
    assert run.learning_rate(last) == pytest.approx(1e-3 * (1 - last / run.plan.total_steps))
    assert counted.learning_rate(last) == pytest.approx(1e-3 * (1 - last / passes))
    assert passes > 2 * run.plan.total_steps


def test_a_run_is_not_resumed_on_other_pairs(start: StartTraining, tmp_path: Path) -> None:
    run = start("run", (100,))
    run.run(lambda report: False)
    progress = tmp_path / "run" / "last" / "progress.json"
    progress.write_text(progress.read_text().replace(run.data.facts.data_fingerprint, "of other pairs"))
    with pytest.raises(InputError, match=r"this run began on other preference pairs; data.source has changed"):
        start("run", (100,))
