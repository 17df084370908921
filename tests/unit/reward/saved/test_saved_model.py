"""Saved models: the same rewards after loading, whole after a kill, and named when they do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gazetune import __version__
from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.reward_scorer import RewardScorer
from gazetune.reward.saved.saved_model import (
    WEIGHTS,
    gaze_buffers,
    load_reward_model,
    save_reward_model,
    trained_parameters,
)
from tests.unit.files.simulated_kill import Killed, kill_before


def trained(config: Config, data: PreparedData, **sections: Any) -> GazeRewardModel:
    """A model whose every trained weight is away from its start."""
    config = Config.model_validate({**config.model_dump(mode="json"), **sections})
    model = GazeRewardModel(config, load_backbone("tiny", torch.float32))
    model.set_gaze_statistics(torch.tensor(data.facts.gaze_mean), torch.tensor(data.facts.gaze_sd))
    torch.manual_seed(9)
    with torch.no_grad():
        for parameter in trained_parameters(model).values():
            parameter.mul_(1.5).add_(torch.randn_like(parameter), alpha=0.02)
    return model.eval()


def save(model: GazeRewardModel, folder: Path, data: PreparedData) -> None:
    state = {**trained_parameters(model), **gaze_buffers(model)}
    detached = {name: tensor.detach() for name, tensor in state.items()}
    save_reward_model(folder, detached, model.config, data, np.zeros((3, 2)), "a card")


def rewards(model: GazeRewardModel, data: PreparedData) -> Tensor:
    with torch.no_grad():
        return model(data.validation.batch_pairs(np.arange(6), model.layout))


def altered(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS)


@pytest.fixture
def saved(planted_config: Config, planted: PreparedData, tmp_path: Path) -> Iterator[Path]:
    config = planted_config.model_dump(mode="json")
    folder = tmp_path / "best"
    save(trained(Config.model_validate(config), planted, fusion={"kind": "concat"}), folder, planted)
    yield folder


@pytest.mark.parametrize("fusion", [{"kind": "none"}, {"kind": "concat"}, {"kind": "add", "scale": 0.5}])
@pytest.mark.parametrize("adapter", ["full", "lora", "none"])
def test_a_loaded_model_gives_the_same_rewards(
    fusion: dict, adapter: str, planted_config: Config, planted: PreparedData, tmp_path: Path
) -> None:
    model = trained(planted_config, planted, fusion=fusion, adapter={"kind": adapter})
    save(model, tmp_path / "best", planted)
    loaded = load_reward_model(tmp_path / "best")
    assert not loaded.training
    assert torch.equal(rewards(loaded, planted), rewards(model, planted))
    fresh = GazeRewardModel(model.config, load_backbone("tiny", torch.float32)).eval()
    assert not torch.equal(rewards(fresh, planted), rewards(model, planted))


def test_a_given_backbone_is_used(planted_config: Config, planted: PreparedData, tmp_path: Path) -> None:
    model = trained(planted_config, planted, adapter={"kind": "lora"})
    save(model, tmp_path / "best", planted)
    backbone = load_backbone("tiny", torch.float32)
    loaded = load_reward_model(tmp_path / "best", backbone)
    assert loaded.release_backbone() is backbone
    assert torch.equal(rewards(load_reward_model(tmp_path / "best", backbone), planted), rewards(model, planted))


def test_only_what_trained_and_the_statistics_are_saved(
    planted_config: Config, planted: PreparedData, tmp_path: Path
) -> None:
    save(trained(planted_config, planted, adapter={"kind": "lora"}), tmp_path / "best", planted)
    names = load_file(tmp_path / "best" / WEIGHTS).keys()
    assert {name for name in names if name.startswith("backbone.")} == {name for name in names if "lora_" in name}
    assert {"fusion.projector.mean", "fusion.projector.sd", "fusion.scale.factor", "head.weight"} <= names


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("head.weight"), "1 weights missing, first 'head.weight'"),
        (lambda state: state.pop("fusion.projector.sd"), "1 weights missing, first 'fusion.projector.sd'"),
        (lambda state: state.update(other=torch.ones(1)), "1 weights not of this model, first 'other'"),
        (
            lambda state: state.update({"head.weight": torch.ones(1, 3), "fusion.scale.factor": torch.ones(2)}),
            "2 weights of another shape, first 'fusion.scale.factor'",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Callable[[dict], Any], problem: str, saved: Path) -> None:
    altered(saved, change)
    with pytest.raises(InputError, match=f"{WEIGHTS}: {problem}; the config does not fit"):
        load_reward_model(saved)


def test_a_damaged_file_is_named(saved: Path) -> None:
    (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{WEIGHTS}: damaged \(.*\); train or copy it again"):
        load_reward_model(saved)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no saved reward model here \(weights.safetensors is missing\)"):
        load_reward_model(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.yaml", None, "config.yaml: no such file"),
        ("facts.json", None, "facts.json: no such file; train the model or copy its folder again"),
        ("facts.json", "{", "facts.json: damaged"),
        ("facts.json", "{}", "facts.json: damaged"),
        ("tokenizer/tokenizer.json", None, "tokenizer.json: no such file; train the model or copy its folder again"),
        ("tokenizer/tokenizer.json", "{", "tokenizer: the tokenizer is damaged"),
    ],
)
def test_a_missing_or_damaged_file_is_named(name: str, content: str | None, problem: str, saved: Path) -> None:
    RewardScorer.from_pretrained(saved)
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_text(content)
    with pytest.raises(InputError, match=f"^{saved}/.*{problem}"):
        RewardScorer.from_pretrained(saved)


def test_a_key_of_a_newer_version_is_named_with_both_versions(saved: Path) -> None:
    config = saved / "config.yaml"
    config.write_text(config.read_text().replace("fusion:", "fusion:\n  depth: 2", 1))
    facts = saved / "facts.json"
    facts.write_text(facts.read_text().replace(f'"gazetune": "{__version__}"', '"gazetune": "99.0", "more": 1'))
    with pytest.raises(InputError) as caught:
        RewardScorer.from_pretrained(saved)
    assert str(caught.value).startswith(f"{config}:") and "unknown key 'fusion.depth'" in str(caught.value)
    assert str(caught.value).endswith(f"(saved by gazetune 99.0, this is {__version__})")


@pytest.mark.parametrize("changes", [{"hidden_size": 48, "intermediate_size": 64}, {"num_hidden_layers": 3}])
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_backbone_of_another_size_or_depth_is_refused(
    adapter: str,
    changes: dict,
    planted_config: Config,
    planted: PreparedData,
    backbone_folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    backbone = str(backbone_folder("llama"))
    config = planted_config.model_copy(update={"backbone": backbone})
    save(trained(config, planted, adapter={"kind": adapter}), tmp_path / "best", planted)
    shutil.rmtree(backbone)
    backbone_folder("llama", **changes)
    with pytest.raises(InputError, match=f"{WEIGHTS}: .*the config does not fit .backbone '{backbone}', adapter.kind"):
        load_reward_model(tmp_path / "best")


def test_a_backbone_of_another_architecture_is_refused(
    planted_config: Config, planted: PreparedData, backbone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    config = planted_config.model_copy(update={"backbone": str(backbone_folder("llama"))})
    save(trained(config, planted, adapter={"kind": "full"}), tmp_path / "best", planted)
    with pytest.raises(InputError, match=f"{WEIGHTS}: .*the config does not fit .backbone '.*phi'"):
        RewardScorer.from_pretrained(tmp_path / "best", backbone=str(backbone_folder("phi")))


@pytest.mark.parametrize("operation", range(1, 7))
def test_a_save_killed_at_any_moment_leaves_a_whole_model(
    operation: int, saved: Path, planted: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = load_reward_model(saved)
    new = load_reward_model(saved)
    with torch.no_grad():
        new.head.weight.mul_(2.0)
    kill_before(operation, monkeypatch)
    finished = True
    try:
        save(new, saved, planted)
    except Killed:
        finished = False
    assert finished == (operation == 6), "five renames and removals make a save"
    monkeypatch.undo()
    left = rewards(load_reward_model(saved), planted)
    assert torch.equal(left, rewards(old, planted)) or torch.equal(left, rewards(new, planted))
    # And the next save is not disturbed by what lies around.
    save(new, saved, planted)
    assert torch.equal(rewards(load_reward_model(saved), planted), rewards(new, planted))
    assert sorted(path.name for path in saved.parent.iterdir()) == ["best"]
