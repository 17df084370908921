"""Training in bf16: what stays float32, and that evaluation, the saved model, its scores and its export agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.saved.export import export_classifier
from gazetune.reward.saved.reward_scorer import RewardScorer
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker
from gazetune.train.scoring.evaluation import score_saved_model
from tests.bench.step_data import config_of, made_up

StartTraining = Callable[..., Training]
SECTIONS: dict[str, dict[str, Any]] = {
    "adapter": {"kind": "lora", "r": 4},
    "train": {"batch_size": 8, "eval_every": 4, "precision": "bf16"},
}


@pytest.mark.parametrize(
    ("stage", "offload", "batch_tokens"),
    [(0, "none", None), (1, "none", 600), (2, "none", 600), (2, "cpu", None), (3, "none", 600), (3, "cpu", None)],
)
def test_a_saved_model_gives_the_rewards_that_training_evaluated(
    stage: int,
    offload: str,
    batch_tokens: int | None,
    start: StartTraining,
    worker: Worker,
    data: PreparedData,
    tmp_path: Path,
) -> None:
    sections = {
        **SECTIONS,
        "train": {**SECTIONS["train"], "batch_tokens": batch_tokens},
        "deepspeed": {"stage": stage, "offload": offload},
    }
    run = start(**sections)
    if stage == 3 and offload == "cpu":  # the only way in which one worker divides weights as they are read
        run = start("sharded", backbone=load_worker_backbone(run.config, worker), **sections)
    run.run(lambda report: False)
    weight = dict(run.state.gather_weights().tensors)["head.weight"]
    assert run.model.head.weight.dtype == torch.bfloat16
    assert run.model.head.full_weight is not None and torch.equal(run.model.head.full_weight, weight)
    assert not torch.equal(weight, weight.bfloat16().float())

    made = load_backbone("tiny", torch.float32)
    own = dict(run.model.bare_backbone().named_buffers())
    assert own.keys() == dict(made.named_buffers()).keys()
    for name, buffer in made.named_buffers():
        assert own[name].dtype == torch.float32 and torch.equal(own[name], buffer), name
    assert torch.equal(run.model.fusion.projector.mean, torch.tensor(data.facts.gaze_mean))

    evaluated = np.subtract(*np.load(run.folder / "best" / "rewards.npy").T)
    scored, model = score_saved_model(
        run.config, run.folder / "best", load_worker_backbone(run.config, worker), data.validation, worker
    )
    assert torch.equal(load_file(run.folder / "best" / "weights.safetensors")["head.weight"], weight)
    np.testing.assert_allclose(scored[:, 0] - scored[:, 1], evaluated, atol=1e-6)
    assert len(np.unique(evaluated)) == len(evaluated)
    assert torch.equal(model.bare_backbone().rotary_emb.inv_freq, made.rotary_emb.inv_freq)


def test_bf16_runs_on_a_cpu_from_training_to_the_exported_model(
    start: StartTraining, data: PreparedData, tmp_path: Path
) -> None:
    run = start(**SECTIONS, fusion={"kind": "none"})
    reports: list[float] = []
    run.run(lambda report: bool(reports.append(report.metrics["val/loss"])) or len(reports) < 2)
    resumed = start(**SECTIONS, fusion={"kind": "none"})
    assert resumed.progress.step == run.progress.step == 8
    assert torch.equal(resumed.model.head.full_weight, run.model.head.full_weight)
    resumed.train_step(8)

    best = tmp_path / "run" / "best"
    pairs = load_splits(run.config.data).validation
    chats = [pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected)]
    scored = RewardScorer.from_pretrained(best).score(chats)
    margins = np.subtract(*np.load(best / "rewards.npy").T)
    in_float32 = (scored[::2] - scored[1::2]).numpy()
    # bf16 has 8 bits: what it changes is small beside how margins differ.
    assert np.abs(in_float32 - margins).max() < 0.05 * in_float32.std()

    export_classifier(best, tmp_path / "out", "")
    exported = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert {weight.dtype for weight in exported.parameters()} == {torch.float32}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    plain = [[{"role": each.role, "content": each.content} for each in chat] for chat in chats[:4]]
    inputs = tokenizer.apply_chat_template(plain, padding=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        torch.testing.assert_close(exported(**inputs).logits[:, 0], scored[:4], atol=1e-5, rtol=0)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_equal_passes_sum_to_the_gradient_of_one(stage: int, worker: Worker, tmp_path: Path) -> None:
    # In bf16 the sum of 32 equal numbers is another one than 32 times the number.
    data = made_up(np.random.default_rng(0), np.full(32, 4), np.tile([6, 9], (32, 1)))
    data.train.ids[:] = np.tile(data.train.ids[: data.train.token_starts[2]], 32)

    def first_moments(passes: int) -> dict[str, Tensor]:
        config = config_of(
            adapter={"kind": "lora", "dropout": 0.0},
            train={"batch_size": 1, "accumulate": passes, "precision": "bf16"},
            deepspeed={"stage": stage},
        )
        run = Training(config, data, tmp_path, worker, load_backbone("tiny", torch.bfloat16))
        run.train_step(0)
        moments = {name: each for name, each in run.state.gather().tensors if name.endswith("exp_avg")}
        run.engine.destroy()
        return moments

    one, several = first_moments(1), first_moments(32)
    assert any(each.any() for each in one.values())
    for name, moment in several.items():
        torch.testing.assert_close(moment, one[name], rtol=1e-5, atol=1e-12, msg=name)
