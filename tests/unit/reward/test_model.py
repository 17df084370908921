from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.backbone import load_backbone
from gazetune.reward.batching import PairBatch
from gazetune.reward.dataset import PreparedData
from gazetune.reward.model import GazeRewardModel

FUSIONS = ["none", "concat", "add"]


def build(config: Config, data: PreparedData, **changes: dict) -> GazeRewardModel:
    config = Config.model_validate({**config.model_dump(mode="json"), **changes})
    model = GazeRewardModel(config, load_backbone("tiny", torch.float32))
    model.set_gaze_statistics(torch.tensor(data.facts.gaze_mean), torch.tensor(data.facts.gaze_sd))
    # Freshly drawn weights give almost equal rewards to all texts; larger ones let a wrong pool or mask show.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


def rewards(model: GazeRewardModel, batch: PairBatch) -> np.ndarray:
    with torch.no_grad():
        return model(batch).view(2, -1).T.numpy()


def padded_left(batch: PairBatch) -> PairBatch:
    """The same conversations with their padding moved to the front."""

    def flip(tensor: Tensor) -> Tensor:
        shifts = [int((~row).sum()) for row in batch.mask]
        return torch.stack([torch.roll(row, shift) for row, shift in zip(tensor, shifts, strict=True)])

    moved = {name: flip(getattr(batch, name)) for name in ("input_ids", "mask", "token_unit", "token_share")}
    return replace(batch, **moved)


@pytest.mark.parametrize("kind", FUSIONS)
def test_reward_does_not_depend_on_batch_size_or_mates(
    kind: str, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, planted, fusion={"kind": kind})
    everything = rewards(model, planted.train.batch(np.arange(32), 0))
    assert np.ptp(everything) > 0.1
    for size in (1, 7):
        split = [rewards(model, planted.train.batch(part, 0)) for part in np.array_split(np.arange(32), -(-32 // size))]
        np.testing.assert_allclose(np.concatenate(split), everything, atol=1e-5)


@pytest.mark.parametrize("kind", FUSIONS)
def test_reward_does_not_depend_on_padding_side(kind: str, planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, fusion={"kind": kind})
    batch = planted.train.batch(np.arange(7), 0)
    assert (~batch.mask).any(), "the test needs padding"
    np.testing.assert_allclose(rewards(model, padded_left(batch)), rewards(model, batch), atol=1e-5)


@pytest.mark.parametrize("kind", FUSIONS)
@pytest.mark.parametrize("position", ["before", "after"])
def test_what_stands_on_padding_reaches_no_reward(
    kind: str, position: str, planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, planted, fusion={"kind": kind, "position": position})
    batch = planted.train.batch(np.arange(7), 0)
    noisy = replace(
        batch,
        input_ids=torch.where(batch.mask, batch.input_ids, 77),
        units=torch.where(batch.unit_mask.unsqueeze(-1), batch.units, 1e4),
    )
    np.testing.assert_allclose(rewards(model, noisy), rewards(model, batch), atol=1e-6)


@pytest.mark.parametrize("kind", ["concat", "add"])
def test_only_the_features_of_the_mask_matter(kind: str, planted_config: Config, planted: PreparedData) -> None:
    gaze = {**planted_config.gaze.model_dump(), "features": ["FFD"]}
    model = build(planted_config, planted, fusion={"kind": kind}, gaze=gaze)
    batch = planted.train.batch(np.arange(4), 0)
    columns = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
    others = replace(batch, units=batch.units + 5.0 * columns)
    own = replace(batch, units=batch.units + 5.0 * (1.0 - columns))
    np.testing.assert_allclose(rewards(model, others), rewards(model, batch), atol=1e-6)
    assert np.abs(rewards(model, own) - rewards(model, batch)).max() > 1e-3


def test_without_fusion_gaze_does_not_matter(planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, fusion={"kind": "none"})
    batch = planted.train.batch(np.arange(4), 0)
    changed = replace(batch, units=batch.units * 7.0)
    np.testing.assert_array_equal(rewards(model, changed), rewards(model, batch))


def test_none_fusion_equals_the_backbone_pooled_at_the_last_token(
    planted_config: Config, planted: PreparedData
) -> None:
    model = build(planted_config, planted, fusion={"kind": "none"})
    batch = planted.train.batch(np.arange(1), 0)
    length = int(batch.mask[0].sum())
    with torch.no_grad():
        states = model.backbone(batch.input_ids[:1, :length]).last_hidden_state
        expected = model.head(states[0, -1])
    assert rewards(model, batch)[0, 0] == pytest.approx(float(expected), abs=1e-5)


def test_concat_reads_eye_gaze_eye_then_text(planted_config: Config, planted: PreparedData) -> None:
    model = build(planted_config, planted, fusion={"kind": "concat", "scale": 1.0})
    batch = planted.train.batch(np.arange(2), 0)
    seen = {}
    model.backbone.register_forward_pre_hook(lambda module, args, inputs: seen.update(inputs), with_kwargs=True)
    rewards(model, batch)
    row, units, tokens = 1, int(batch.unit_mask[1].sum()), int(batch.mask[1].sum())
    with torch.no_grad():
        projected = model.fusion.projector(batch.units[row, :units])
        text = model.backbone.get_input_embeddings()(batch.input_ids[row, :tokens])
        expected = torch.cat([model.fusion.boundary.weight[:1], projected, model.fusion.boundary.weight[1:], text])
    assert int(seen["attention_mask"][row].sum()) == len(expected)
    torch.testing.assert_close(seen["inputs_embeds"][row, : len(expected)], expected, atol=1e-5, rtol=1e-5)


def test_two_models_differing_in_fusion_start_from_the_same_head(planted_config: Config, planted: PreparedData) -> None:
    heads = [build(planted_config, planted, fusion={"kind": kind}).head.weight for kind in FUSIONS]
    torch.testing.assert_close(heads[0], heads[1], rtol=0, atol=0)
    torch.testing.assert_close(heads[0], heads[2], rtol=0, atol=0)


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
    with pytest.raises(InputError, match=r"no module 'query'; accepted: all-linear, .*q_proj"):
        build(planted_config, planted, adapter={"kind": "lora", "targets": ["query"]})
