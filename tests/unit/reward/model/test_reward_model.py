from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.attention import SEGMENT_ATTENTION
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import PairBatch, split_rewards
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.losses.bradley_terry import bradley_terry
from gazetune.reward.model.reward_model import GazeRewardModel

FUSIONS = ["none", "concat", "add", "gated", "cross"]
PLACES = [
    ("none", "before"),
    ("concat", "before"),
    ("concat", "after"),
    ("add", "before"),
    ("gated", "before"),
    ("cross", "before"),
]


def build(config: Config, data: PreparedData, batching: str = "padded", **changes: dict) -> GazeRewardModel:
    train = {**config.train.model_dump(), "batching": batching}
    config = Config.model_validate({**config.model_dump(mode="json"), "train": train, **changes})
    model = GazeRewardModel(config, load_backbone("tiny", torch.float32))
    model.set_gaze_statistics(torch.tensor(data.facts.gaze_mean), torch.tensor(data.facts.gaze_sd))
    # Freshly drawn weights give almost equal rewards to all texts; larger ones let a wrong pool or mask show. What
    # starts at zero is drawn, so that gaze comes through.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in ("fusion.gate.weight", "fusion.output.weight"):
                torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
            parameter.mul_(1.5)
    model.use_layout(choose_layout(config, model.bare_backbone(), torch.device("cpu"), data.train))
    return model.eval()


def rewards(model: GazeRewardModel, data: PreparedData, pairs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return scores(model, data.train.batch_pairs(pairs, model.layout))


def scores(model: GazeRewardModel, batch: PairBatch) -> np.ndarray:
    with torch.no_grad():
        return torch.stack(split_rewards(model(batch)), dim=1).numpy()


def in_float64(model: GazeRewardModel) -> GazeRewardModel:
    """Compute everything in float64: transformers' Llama norm goes through float32 whatever it is given."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LlamaRMSNorm):
                norm = nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(parent, name, norm)
    return model.double()


def loss_and_gradients(model: GazeRewardModel, data: PreparedData) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    chosen, rejected = split_rewards(model(data.train.batch_pairs(np.arange(16), model.layout)))
    bradley_terry(chosen, rejected).sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return torch.cat([chosen, rejected]).detach(), gradients


@pytest.mark.parametrize("batching", ["packed", "shared"])
@pytest.mark.parametrize(("kind", "position"), PLACES)
def test_every_reading_gives_the_rewards_and_gradients_of_padding(
    batching: str, kind: str, position: str, planted_config: Config, planted: PreparedData
) -> None:
    if batching == "shared" and (kind, position) in (("concat", "before"), ("cross", "before")):
        pytest.skip("this fusion cannot share")
    changes = {"fusion": {"kind": kind, "position": position}}
    exact = [in_float64(build(planted_config, planted, layout, **changes)) for layout in ("padded", batching)]
    (plain, plain_gradients), (other, gradients) = (loss_and_gradients(model, planted) for model in exact)
    assert plain.std() > 0.01
    torch.testing.assert_close(other, plain, rtol=0, atol=1e-9)
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("batching", ["packed", "shared"])
@pytest.mark.parametrize("kind", ["none", "add"])
def test_in_float32_gradients_differ_by_rounding_only(
    batching: str, kind: str, planted_config: Config, planted: PreparedData
) -> None:
    models = [build(planted_config, planted, layout, fusion={"kind": kind}) for layout in ("padded", batching)]
    (plain, plain_gradients), (other, gradients) = (loss_and_gradients(model, planted) for model in models)
    torch.testing.assert_close(other, plain, rtol=0, atol=1e-5)
    for name, gradient in gradients.items():
        largest = float(plain_gradients[name].abs().max())
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=0, atol=1e-4 * largest, msg=name)


@pytest.mark.parametrize("batching", ["padded", "packed", "auto"])
@pytest.mark.parametrize("kind", FUSIONS)
def test_reward_does_not_depend_on_batch_size_or_mates(
    kind: str, batching: str, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, planted, batching, fusion={"kind": kind})
    everything = rewards(model, planted, np.arange(32))
    assert np.ptp(everything) > 0.1
    for size in (1, 7):
        split = [rewards(model, planted, part) for part in np.array_split(np.arange(32), -(-32 // size))]
        np.testing.assert_allclose(np.concatenate(split), everything, atol=1e-5)


@pytest.mark.parametrize("kind", FUSIONS)
def test_what_stands_on_padding_reaches_no_reward(kind: str, planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, fusion={"kind": kind})
    batch = planted.train.batch_pairs(np.arange(7), model.layout)
    assert batch.attention_mask is not None
    assert (~batch.attention_mask).any(), "the test needs padding"
    seen = {}
    model.backbone.register_forward_pre_hook(lambda module, args, inputs: seen.update(inputs), with_kwargs=True)
    scores(model, batch)
    assert (seen["inputs_embeds"][~batch.attention_mask] == 0).all()
    assert torch.equal(seen["attention_mask"].bool(), batch.attention_mask)


@pytest.mark.parametrize("batching", ["packed", "shared"])
def test_without_padding_the_backbone_reads_no_position_twice(
    batching: str, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, planted, batching, fusion={"kind": "none"})
    seen = {}
    model.backbone.register_forward_pre_hook(lambda module, args, inputs: seen.update(inputs), with_kwargs=True)
    rewards(model, planted, np.arange(7))
    alone = int(planted.train.pair_lengths(model.layout)[:7].sum())
    saved = alone - seen["inputs_embeds"].shape[1]
    assert saved == 0 if batching == "packed" else saved > 0


def test_a_released_backbone_attends_as_before(planted_config: Config, planted: PreparedData) -> None:
    backbone = load_backbone("tiny", torch.float32)
    before = backbone.config._attn_implementation
    model = GazeRewardModel(planted_config, backbone)
    model.use_layout(BatchLayout("packed"))
    assert backbone.config._attn_implementation == SEGMENT_ATTENTION
    assert model.release_backbone().config._attn_implementation == before


@pytest.mark.parametrize("kind", ["concat", "add", "gated", "cross"])
def test_only_the_features_of_the_mask_matter(kind: str, planted_config: Config, planted: PreparedData) -> None:
    gaze = {**planted_config.gaze.model_dump(), "features": ["FFD"]}
    model = build(planted_config, planted, fusion={"kind": kind}, gaze=gaze)
    batch = planted.train.batch_pairs(np.arange(4), model.layout)
    columns = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
    others = replace(batch, units=batch.units + 5.0 * columns)
    own = replace(batch, units=batch.units + 5.0 * (1.0 - columns))
    np.testing.assert_allclose(scores(model, others), scores(model, batch), atol=1e-6)
    assert np.abs(scores(model, own) - scores(model, batch)).max() > 1e-3


def test_measures_are_projected_as_they_are_where_normalisation_is_off(
    planted_config: Config, planted: PreparedData
) -> None:
    raw = {**planted_config.gaze.model_dump(), "normalise": False}
    plain, standardised = build(planted_config, planted, gaze=raw), build(planted_config, planted)
    projector = plain.fusion.projector
    assert projector.mean.tolist() == [0.0] * 5 and projector.sd.tolist() == [1.0] * 5
    assert standardised.fusion.projector.mean.tolist() == pytest.approx(planted.facts.gaze_mean)
    measures = torch.rand(3, 5) * 100
    torch.testing.assert_close(projector(measures), projector.layers(measures))


def test_without_fusion_gaze_does_not_matter(planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, fusion={"kind": "none"})
    batch = planted.train.batch_pairs(np.arange(4), model.layout)
    changed = replace(batch, units=batch.units * 7.0)
    np.testing.assert_array_equal(scores(model, changed), scores(model, batch))


def test_none_fusion_equals_the_backbone_pooled_at_the_last_token(
    planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, planted, fusion={"kind": "none"})
    chosen = torch.from_numpy(planted.train.ids[: planted.train.token_starts[1]].astype(np.int64))
    with torch.no_grad():
        states = model.backbone(chosen[None]).last_hidden_state
        expected = model.head(states[0, -1])
    assert rewards(model, planted, np.arange(1))[0, 0] == pytest.approx(float(expected), abs=1e-5)


def test_concat_reads_eye_gaze_eye_then_text(planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, fusion={"kind": "concat", "scale": 1.0})
    batch = planted.train.batch_pairs(np.arange(2), model.layout)
    seen = {}
    model.backbone.register_forward_pre_hook(lambda module, args, inputs: seen.update(inputs), with_kwargs=True)
    scores(model, batch)
    row, tokens, units = 1, batch.unit_segments.queries, batch.unit_segments.keys
    with torch.no_grad():
        projected = model.fusion.projector(batch.units.split(units)[row])
        text = model.backbone.get_input_embeddings()(batch.input_ids.split(tokens)[row])
        expected = torch.cat([model.fusion.boundary.weight[:1], projected, model.fusion.boundary.weight[1:], text])
    assert int(seen["attention_mask"][row].sum()) == len(expected)
    torch.testing.assert_close(seen["inputs_embeds"][row, : len(expected)], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("std", [None, 0.02, 3.0])
def test_the_head_begins_with_the_deviation_that_is_asked_for(std: float | None, planted_config: Config) -> None:
    configs = [
        Config.model_validate({**planted_config.model_dump(), "train": {"head_std": each}}) for each in (None, std)
    ]
    plain, head = (GazeRewardModel(config, load_backbone("tiny", torch.float32)).head.weight for config in configs)
    expected = std or plain.shape[1] ** -0.5
    assert float(head.std()) == pytest.approx(expected, rel=0.2)
    # It is the same draw at another scale.
    torch.testing.assert_close(head / expected, plain * plain.shape[1] ** 0.5)


def test_two_models_differing_in_fusion_start_from_the_same_head(planted_config: Config, planted: PreparedData) -> None:
    heads = [build(planted_config, planted, fusion={"kind": kind}).head.weight for kind in FUSIONS]
    for head in heads[1:]:
        torch.testing.assert_close(head, heads[0], rtol=0, atol=0)


def test_lora_leaves_only_adapter_and_side_modules_trainable(planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, adapter={"kind": "lora"}, fusion={"kind": "concat"})
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name in trained if name.startswith("backbone.")} == {
        name for name, _ in model.named_parameters() if "lora_" in name
    }
    beside = {name for name, _ in model.named_parameters() if not name.startswith("backbone.")}
    assert beside <= trained
    assert {
        "head.weight",
        "fusion.boundary.weight",
        "fusion.scale.factor",
        "fusion.projector.layers.6.weight",
    } <= beside


def test_releasing_the_backbone_takes_the_adapter_off(planted_config: Config, planted: PreparedData) -> None:
    backbone = load_backbone("tiny", torch.float32)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    config = Config.model_validate({**planted_config.model_dump(mode="json"), "adapter": {"kind": "lora"}})
    released = GazeRewardModel(config, backbone).release_backbone()
    after = released.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any("lora" in type(module).__module__ for module in released.modules() if isinstance(module, nn.Linear))


def test_unknown_adapter_target_is_refused_with_the_modules_there_are(
    planted_config: Config, planted: PreparedData
) -> None:
    with pytest.raises(InputError, match=r"no module 'query'; accepted: auto, all-linear, .*q_proj"):
        build(planted_config, planted, adapter={"kind": "lora", "targets": ["query"]})
