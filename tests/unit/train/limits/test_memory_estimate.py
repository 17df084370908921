"""The plan of memory against DeepSpeed's estimators, real engines, a real backbone and real activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
from gazetune.train.limits.memory_estimate import (
    NF4_BYTES,
    WorkerMemory,
    count_values,
    estimate_memory,
    estimate_worker_memory,
)
from gazetune.train.loop import Training

StartTraining = Callable[..., Training]
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
    for stage, offload, (host, device, *_) in [
        (2, "none", estimate_zero2_model_states_mem_needs(total, workers, 1, cpu_offload=False)),
        (2, "cpu", estimate_zero2_model_states_mem_needs(total, workers, 1, cpu_offload=True)),
        (3, "none", estimate_zero3_model_states_mem_needs(total, largest, workers, 1, cpu_offload=False)),
        (3, "cpu", estimate_zero3_model_states_mem_needs(total, largest, workers, 1, cpu_offload=True)),
    ]:
        ours = estimate_worker_memory(size, stage, offload, workers, 2, persistent=0)
        assert ours.device_total == pytest.approx(device, abs=8)
        if offload == "cpu":
            assert ours.host * workers == pytest.approx(host, rel=1e-6)


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


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize(("kind", "precision"), [("full", "fp32"), ("lora", "fp32"), ("full", "bf16")])
def test_a_real_engine_holds_what_was_planned(stage: int, kind: str, precision: str, start: StartTraining) -> None:
    tree = {
        "adapter": {"kind": kind},
        "deepspeed": {"stage": stage},
        "train": {"batch_size": 8, "eval_every": 2, "precision": precision},
    }
    training = start(f"{stage}-{kind}-{precision}", **tree)
    plan = estimate_memory(Config.model_validate({**tree, "fusion": {"kind": "concat"}}))
    planned = next(each for each in plan.worker_memory if (each.stage, each.offload) == (stage, "none"))
    training.run(lambda report: False)
    # With ZeRO-3 the layer that was used last may still be whole.
    most = 1.1 * (planned.parameters + planned.gathered)
    assert 0.9 * planned.parameters < held_by_parameters(training) < most
    gradients = 0 if stage == 0 and precision == "fp32" else 4 * sum(plan.size.trained)
    assert held_by_optimizer(training) == pytest.approx(planned.optimizer - gradients, rel=0.1)


def test_an_adapter_needs_states_for_itself_alone_and_sharding_divides_them() -> None:
    lora = {"adapter": {"kind": "lora"}, "resources": {"workers": 2}}
    whole, divided = plan_of({**lora, "resources": {"workers": 1}}, 2), plan_of(lora, 2)
    assert divided.optimizer == pytest.approx(whole.optimizer / 2, abs=1)
    assert divided.parameters == whole.parameters
    assert plan_of({"adapter": {"kind": "full"}}, 2).optimizer > 5 * whole.optimizer
    sharded = {**lora, "deepspeed": {"override": {"zero_optimization": {"stage3_param_persistence_threshold": 0}}}}
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


def test_a_published_7b_shape_has_its_known_number_of_weights(tmp_path) -> None:
    MistralConfig(architectures=["MistralModel"]).save_pretrained(tmp_path)
    config = Config.model_validate({"backbone": str(tmp_path), "resources": {"workers": 2, "gpus_per_worker": 1}})
    size = estimate_memory(config).size
    assert 7.0e9 < size.value_count < 7.2e9
    assert 3.4e6 < sum(size.trained) < 4.0e6
