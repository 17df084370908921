"""The plan of memory against DeepSpeed's estimators, real engines, a real backbone and real activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs
from torch import Tensor, nn
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, MistralConfig

from gazetune.config import Config
from gazetune.reward.model.backbone import empty_backbone, load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.limits.activations import activation_bytes
from gazetune.train.limits.memory_estimate import configured_memory, estimate_memory, estimate_worker_memory
from gazetune.train.limits.memory_items import WorkerMemory
from gazetune.train.limits.model_size import NF4_BYTES, count_values
from gazetune.train.loop import Training

StartTraining = Callable[..., Training]
WITHOUT_SMALL = {"stage3_param_persistence_threshold": 0}
WHOLE = ["full", "lora", "dora", "rslora", "none"]


def plan_of(tree: dict, stage: int, offload: str = "none") -> WorkerMemory:
    (found,) = (
        each
        for each in estimate_memory(Config.model_validate(tree)).worker_memory
        if (each.stage, each.offload) == (stage, offload)
    )
    return found


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_full_training_in_16_bits_needs_what_deepspeeds_estimators_say(workers: int) -> None:
    size = count_values(Config(), empty_backbone("tiny"))
    total, largest = size.value_count, size.largest_layer[0]
    assert sum(size.trained) == total
    for stage, (_, device, *_) in [
        (2, estimate_zero2_model_states_mem_needs(total, workers, 1, cpu_offload=False)),
        (3, estimate_zero3_model_states_mem_needs(total, largest, workers, 1, cpu_offload=False)),
    ]:
        tree = {"deepspeed": {"stage": stage, "override": {"zero_optimization": WITHOUT_SMALL}}}
        train = {"train": {"precision": "bf16"}, "resources": {"workers": workers}}
        ours = estimate_worker_memory(Config.model_validate({**tree, **train}), size)
        gathered = 4 * largest if stage == 3 else 0  # theirs: the largest layer with its gradient
        assert ours.parameters + ours.gradients + ours.optimizer + gathered == pytest.approx(device, abs=64)


@pytest.mark.parametrize("kind", WHOLE)
def test_the_count_of_weights_is_that_of_the_built_model(kind: str) -> None:
    config = Config.model_validate({"adapter": {"kind": kind}, "fusion": {"kind": "concat"}})
    model = GazeRewardModel(config, load_backbone("tiny", torch.float32))
    size = count_values(config, empty_backbone("tiny"))
    assert size.value_count == sum(each.numel() for each in model.parameters())
    assert sum(size.trained) == sum(each.numel() for each in model.parameters() if each.requires_grad)


def test_4_bit_weights_are_counted_as_bitsandbytes_holds_them() -> None:
    pytest.importorskip("bitsandbytes")
    config = Config.model_validate({"adapter": {"kind": "lora", "quantization": "nf4"}})
    size = count_values(config, empty_backbone("tiny"))
    held = packed = 0
    for module in load_backbone("tiny", torch.float32, "nf4").modules():
        if hasattr(module, "compute_type_is_set"):
            state = module.weight.quant_state
            held += module.weight.numel() + state.absmax.numel() + state.state2.absmax.numel() * 4
            packed += module.in_features * module.out_features
    assert size.quantized == packed > 0
    assert packed * NF4_BYTES == pytest.approx(held, rel=0.01)


def storage(tensors: Iterable[Tensor]) -> int:
    """Bytes of the distinct storages behind tensors."""
    return sum({each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}.values())


def held_by_parameters(training: Training) -> int:
    parameters = list(training.model.parameters())
    shares = [each.ds_tensor.data for each in parameters if hasattr(each, "ds_tensor")]
    return storage(each.data for each in parameters if each.numel()) + storage(shares)


def held_by_optimizer(training: Training) -> int:
    moments = [value for state in training.optimizer.state.values() for value in state.values() if value.numel() > 1]
    sharded = getattr(training.engine.optimizer, "fp32_partitioned_groups_flat", None)
    stepped = sharded or [each for group in training.optimizer.param_groups for each in group["params"]]
    own = {each.untyped_storage().data_ptr() for each in training.model.parameters()}
    return storage(moments) + storage(each for each in stepped if each.untyped_storage().data_ptr() not in own)


@pytest.mark.parametrize(("stage", "kind", "precision"), [(2, "lora", "fp32"), (3, "full", "bf16")])
def test_a_run_holds_what_was_planned(stage: int, kind: str, precision: str, start: StartTraining) -> None:
    tree = {
        "adapter": {"kind": kind},
        "deepspeed": {"stage": stage},
        "train": {"batch_size": 8, "eval_every": 2, "precision": precision},
    }
    training = start(f"{stage}-{kind}-{precision}", **tree)
    planned = plan_of({**tree, "fusion": {"kind": "concat"}}, stage)
    training.run(lambda report: False)
    # With ZeRO-3 the layer that was used last may still be whole.
    assert 0.9 * planned.parameters < held_by_parameters(training) < 1.6 * planned.parameters
    states = sum(each.bytes for each in planned.items if each.name in ("float32 weights", "Adam's moments"))
    assert held_by_optimizer(training) == pytest.approx(states, rel=0.1)


def test_an_adapter_needs_states_for_itself_alone_and_sharding_divides_them() -> None:
    lora = {"adapter": {"kind": "lora"}, "resources": {"workers": 2}}
    whole, divided = plan_of({**lora, "resources": {"workers": 1}}, 2), plan_of(lora, 2)
    assert divided.optimizer == pytest.approx(whole.optimizer / 2, abs=16)
    assert divided.parameters == whole.parameters
    assert plan_of({"adapter": {"kind": "full"}}, 2).optimizer > 5 * whole.optimizer
    sharded = {**lora, "deepspeed": {"override": {"zero_optimization": WITHOUT_SMALL}}}
    assert plan_of(sharded, 3).parameters == pytest.approx(whole.parameters / 2, abs=1)
    assert plan_of(sharded, 3, "nvme").disk > 0 == plan_of(sharded, 3, "cpu").disk


def saved_for_backward(model: nn.Module, rows: int, length: int) -> int:
    """Bytes of the distinct tensors, weights apart, that a forward pass keeps for the backward pass."""
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    hidden = model.config.hidden_size
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(inputs_embeds=torch.randn(rows, length, hidden, requires_grad=True)).last_hidden_state
    assert out.requires_grad
    return sum(each.untyped_storage().nbytes() for each in kept.values())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_activations_are_about_what_torch_keeps(architecture: str, checkpointing: bool) -> None:
    shape = {
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
    }
    calm = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = LlamaModel(LlamaConfig(**shape)) if architecture == "llama" else BertModel(BertConfig(**shape, **calm))
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    estimated = activation_bytes(model.config, 4 * 128, 4, checkpointing)
    held = saved_for_backward(model, 4, 128)
    if checkpointing:  # the layer that is computed again is not there yet
        held += activation_bytes(model.config, 4 * 128, 4, False) // 6
    assert 0.6 < estimated / held < 1.6


@pytest.fixture
def mistral(tmp_path: Path) -> str:
    """A folder with the shapes of Mistral-7B, and no weights."""
    MistralConfig(architectures=["MistralModel"]).save_pretrained(tmp_path)
    return str(tmp_path)


def tree_of(backbone: str, kind: str, stage: int, **train: Any) -> dict[str, Any]:
    """Eight GPUs; conversations of 2,048 tokens, and a batch of 16 pairs."""
    return {
        "backbone": backbone,
        "adapter": {"kind": kind},
        "deepspeed": {"stage": stage},
        "data": {"max_chars": None, "max_tokens": 2048},
        "fusion": {"kind": "none"},
        "train": train,
        "resources": {"workers": 8, "gpus_per_worker": 1},
    }


def items_of(tree: dict[str, Any]) -> dict[str, int]:
    config = Config.model_validate(tree)
    return {each.name: each.bytes for each in configured_memory(config, estimate_memory(config)).items}


FULL = 7_110_664_192
"""Weights of Mistral-7B without its language head, and a score head of 4,096."""


def test_mistral_with_lora_on_eight_gpus_is_what_is_computed_by_hand(mistral: str) -> None:
    # 32 layers, rank 8: queries 4,096 -> 4,096 and values 4,096 -> 1,024, and the score head.
    trained = 32 * 8 * ((4096 + 4096) + (4096 + 1024)) + 4096
    items = items_of(tree_of(mistral, "lora", 2))
    assert items["weights"] == 2 * (FULL + trained - 4096)
    assert items["float32 weights"] == 4 * trained / 8
    assert items["Adam's moments"] == 8 * trained / 8
    assert items["bucket of gradients"] == 2 * trained, "DeepSpeed's own would take 1 GB"
    assert items["NCCL"] == 2 * 688e6
    assert items["backbone, while read"] == 2 * 32000 * 4096, "a weight at a time, the embeddings are the largest"


def test_mistral_in_full_on_eight_gpus_is_what_is_computed_by_hand(mistral: str) -> None:
    items = items_of(tree_of(mistral, "full", 3, batch_tokens=16384, gradient_checkpointing=True))
    small = 65 * 4096 + 4096  # the norms and the score head are not divided
    assert items["own part of the weights"] == 2 * FULL // 8
    assert items["float32 weights"] == 4 * FULL / 8
    assert items["Adam's moments"] == 8 * FULL / 8
    assert items["own gradients"] == 4 * FULL / 8, "a step has several passes, whose gradients are summed in float32"
    assert items["bucket of gradients"] == 2 * 5e8
    assert items["small weights, whole"] == 2 * small
    assert items["live weights, whole"] == 2 * (5e8 + 32000 * 4096)
    assert items["backbone, while read"] == 2 * FULL
    config = Config.model_validate(tree_of(mistral, "full", 2))
    plan = estimate_memory(config)
    assert {each.stage for each in plan.worker_memory if each.certain_peak > 80e9} == {0}


def test_the_budget_of_positions_decides_about_activations(mistral: str) -> None:
    def plan(**train: Any) -> tuple[int, int, int]:
        made = estimate_memory(Config.model_validate(tree_of(mistral, "lora", 2, **train)))
        return made.pass_positions, made.pairs, made.activations

    (wide, pairs, most), (narrow, one, least) = plan(), plan(batch_tokens=4096)
    assert (wide, pairs, narrow, one) == (8192, 2, 4096, 1)
    assert least == most / 2
    assert plan(batch_tokens=100)[:2] == (4096, 1), "a pair that alone has more is a pass by itself"
    assert plan(batch_tokens=10**6)[:2] == (8192, 2), "a pass has no more pairs than a step"
    assert plan(batch_tokens=10**6, accumulate=4)[:2] == (32768, 8)
