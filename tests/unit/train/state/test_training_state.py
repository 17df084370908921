"""Training state by name: what one ZeRO stage gathered, another one goes on from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.tiny import tiny_backbone
from gazetune.reward.saved.saved_model import gaze_buffers, trained_parameters
from gazetune.reward.saved.tensor_stream import TensorStream
from gazetune.train.checkpoint import save_checkpoint
from gazetune.train.loop import Training
from gazetune.train.progress import Progress
from gazetune.train.state.sharded_tensors import ShardedTensors, save_slices

StartTraining = Callable[..., Training]
STAGES = [("fp32", 0), ("fp32", 1), ("fp32", 2), ("fp32", 3), ("bf16", 0), ("bf16", 1), ("bf16", 2), ("bf16", 3)]


def gathered(run: Training) -> dict[str, Tensor]:
    return dict(run.state.gather().tensors)


def built(start: StartTraining, precision: str, stage: int, folder: str) -> Training:
    return start(
        folder,
        deepspeed={"stage": stage},
        # Several passes a step: at stage 1 DeepSpeed then has another optimiser for bf16.
        train={"precision": precision, "accumulate": 2 if precision == "bf16" else 1},
        adapter={"kind": "lora", "dropout": 0.0},
    )


def stepped(start: StartTraining, precision: str, stage: int) -> Training:
    run = built(start, precision, stage, "first")
    for step in range(3):
        run.train_step(step)
    return run


@pytest.mark.parametrize(("precision", "stage"), STAGES)
def test_state_is_gathered_whole_by_name_and_comes_back(precision: str, stage: int, start: StartTraining) -> None:
    run = stepped(start, precision, stage)
    shapes = {name: getattr(tensor, "ds_shape", tensor.shape) for name, tensor in trained_parameters(run.model).items()}
    buffers = gaze_buffers(run.model).keys()
    state = gathered(run)
    moments = {f"{name}|{key}" for name in shapes for key in ("exp_avg", "exp_avg_sq")}
    assert state.keys() == shapes.keys() | buffers | moments | {"step"}
    assert state["step"] == 3
    for name, shape in shapes.items():
        assert state[name].shape == state[f"{name}|exp_avg"].shape == shape
        assert {state[name].dtype, state[f"{name}|exp_avg_sq"].dtype} == {torch.float32}
        assert state[f"{name}|exp_avg_sq"].any(), name
    fresh = built(start, precision, stage, "second")
    fresh.state.restore(state)
    again = gathered(fresh)
    for name in state.keys() - buffers:
        assert torch.equal(again[name], state[name]), name


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (1, 3)])
def test_another_stage_takes_the_same_next_steps(before: int, after: int, start: StartTraining, tmp_path: Path) -> None:
    run = stepped(start, "fp32", before)
    state = gathered(run)
    progress = Progress(run.data.facts.data_fingerprint, step=3)
    save_checkpoint(tmp_path / "second" / "last", TensorStream.from_state(state), progress)
    other = built(start, "fp32", after, "second")
    for step in range(3, 6):
        run.train_step(step)
        other.train_step(step)
    torch.testing.assert_close(torch.stack(other._losses), torch.stack(run._losses[3:]), atol=1e-5, rtol=0)
    ends = gathered(run), gathered(other)
    for name in trained_parameters(run.model):
        torch.testing.assert_close(ends[1][name], ends[0][name], atol=1e-4, rtol=1e-3)


def test_gathering_changes_nothing(start: StartTraining) -> None:
    run = stepped(start, "fp32", 2)
    first, second = gathered(run), gathered(run)
    assert all(torch.equal(first[name], second[name]) for name in first)
    first["head.weight"].zero_()
    assert gathered(run)["head.weight"].any(), "what was gathered must be a copy"


def test_a_weight_that_the_loss_does_not_reach_has_moments_of_zero(start: StartTraining) -> None:
    run = start(deepspeed={"stage": 0}, fusion={"kind": "none"})
    stray = torch.nn.Parameter(torch.ones(3))
    run.model.register_parameter("stray", stray)
    run.train_step(0)
    state = gathered(run)
    assert state["stray"].tolist() == [1.0] * 3
    assert state["stray|exp_avg"].tolist() == [0.0] * 3


@pytest.mark.parametrize("stage", [0, 3])
def test_frozen_fusion_weights_stay_as_drawn_and_are_gathered_whole(stage: int, start: StartTraining) -> None:
    """With `fusion.freeze` only LoRA and the head train, as PEFT left it in the reference."""
    fusion = {"kind": "concat", "freeze": True}
    # Small weights would stay whole under ZeRO-3.
    zero = {"stage": stage, "override": {"zero_optimization": {"stage3_param_persistence_threshold": 0}}}
    run = start(deepspeed=zero, adapter={"kind": "lora"}, fusion=fusion)
    drawn = dict(GazeRewardModel(run.config, tiny_backbone()).fusion.named_parameters())
    before = dict(run.state.gather_weights().tensors)
    for step in range(4):
        run.train_step(step)
    after = dict(run.state.gather_weights().tensors)
    names = trained_parameters(run.model).keys()
    assert all(name == "head.weight" or "lora_" in name for name in names)
    assert {name for name in names if not torch.equal(before[name], after[name])} == names
    assert {"boundary.weight", "scale.factor", "projector.layers.6.weight"} <= drawn.keys()
    for name, value in drawn.items():
        assert torch.equal(after[f"fusion.{name}"], value), name


@pytest.mark.parametrize(("precision", "stage"), STAGES)
def test_slices_that_a_worker_wrote_are_what_is_gathered_and_come_back(
    precision: str, stage: int, start: StartTraining, tmp_path: Path
) -> None:
    run = stepped(start, precision, stage)
    state = gathered(run)
    save_slices(tmp_path, run.state.list_slices(), run.state.read_slices(), 0, 1)
    shards = ShardedTensors(tmp_path)
    assert shards.keys() == state.keys()
    for name, tensor in shards.items():
        assert torch.equal(tensor, state[name].float()), name
    fresh = built(start, precision, stage, "second")
    fresh.state.restore(shards)
    again = gathered(fresh)
    for name in state.keys() - gaze_buffers(run.model).keys():
        assert torch.equal(again[name], state[name]), name
