"""The loop that trains one reward model with DeepSpeed. It knows nothing of Ray: it runs in any process group.

A run's folder holds `best/` (the saved model of its best evaluation, with per-item validation margins), `margins/`
(those of every evaluation) and `last/` (the training state to resume from).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError, RunError
from gazetune.report.model_card import model_card
from gazetune.reward.data.prepared_data import PreparedData
from gazetune.reward.layout.batching import split_rewards
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.pair_losses import check_scores, create_loss
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saving import (
    SaveFailed,
    gaze_buffers,
    load_state,
    model_dtype,
    save_reward_model,
    trained_parameters,
)
from gazetune.train.checkpoint import Progress, load_checkpoint, save_checkpoint, save_margins
from gazetune.train.early_stop import Plateau
from gazetune.train.evaluation import score_split, split_metrics
from gazetune.train.limits.out_of_memory import OutOfMemory, is_out_of_memory, out_of_memory_message
from gazetune.train.prefetch import PassPrefetcher
from gazetune.train.processes.deepspeed_config import deepspeed_config
from gazetune.train.processes.worker_group import Worker
from gazetune.train.schedule import create_schedule
from gazetune.train.steps import StepPlan
from gazetune.train.training_state import gather_moments, gather_weights, restore

NAN_CHECK_STEPS = 32


class TrainingFailed(RunError):
    """This run cannot go on, and every worker knows it: the process group is whole and may take the next run."""


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation of a run."""

    step: int
    examples: int
    """Training pairs seen."""
    budget: int
    """Training pairs of the full run."""
    seconds: float
    """Training time so far, over all starts of the run."""
    metrics: dict[str, float]
    best_accuracy: float
    """Validation accuracy of the saved model: the best evaluation so far, the later one on ties."""
    train_losses: list[float]
    """Mean loss of each optimiser step since the evaluation before this one."""
    done: bool
    """The full budget is used, or `train.early_stop` says that more of it is of no use."""


ReportCallback = Callable[[EvaluationReport], bool]
"""Takes a report on rank 0 and says whether the run goes on."""


class Training:
    """One run: model, engine and progress. Every worker of the group makes one and calls `run`."""

    def __init__(
        self,
        config: Config,
        data: PreparedData,
        folder: Path,
        worker: Worker,
        backbone: PreTrainedModel,
        milestones: Sequence[int] = (),
    ) -> None:
        """`milestones` (training examples) replace `train.eval_every`: a search evaluates at its rungs."""
        self.config, self.data, self.folder, self.worker = config, data, folder, worker
        self.plan = StepPlan.from_config(config.train, len(data.train))
        self.evaluation_steps = self.plan.evaluation_steps(config.train.eval_every, milestones)
        self.learning_rate = create_schedule(config.optim, self.plan.total_steps)
        self.pair_loss = create_loss(config.loss)
        check_scores(config.loss, config.data.source, data.train.scores)
        self.progress = Progress(data=data.facts.data_fingerprint)
        self.plateau = Plateau.of(config.train.early_stop) if config.train.early_stop else None
        self.model = self._build_model(backbone)
        saved = load_checkpoint(folder / "last")
        if saved is not None:
            state, self.progress = saved
            if self.progress.data != data.facts.data_fingerprint:
                raise InputError(f"{folder}: this run began on other preference pairs; data.source has changed since")
            self._load_weights(state)
            if self.plateau is not None and self.progress.plateau:
                self.plateau = Plateau(**self.progress.plateau)
        self.engine, self.optimizer = self._build_engine()
        if saved is not None:
            restore(self.engine, self.optimizer, state)
        self.prefetcher = PassPrefetcher(config.train, self.plan, data.train, self.model.layout, worker)
        self._losses: list[Tensor] = []
        self._started = time.monotonic() - self.progress.seconds

    def run(self, report: ReportCallback) -> EvaluationReport | None:
        """Train to the full budget, or until `report` says stop; return the last report.

        Raises
        ------
        TrainingFailed
            When the loss is no longer a number, or a worker without others ran out of memory.
        OutOfMemory
            When one of several workers ran out of memory.
        """
        last = None
        if self.progress.evaluations:
            # Repeat the checkpoint's last report: the run may have died before it was heard.
            last = EvaluationReport(**self.progress.evaluations[-1])
            if not self._goes_on(last, report):
                return last
        for step in range(self.progress.step, self.plan.total_steps):
            evaluated = self._advance(step)
            if evaluated is not None:
                last = evaluated
                if not self._goes_on(last, report):
                    break
        return last

    def _advance(self, step: int) -> EvaluationReport | None:
        """Take one step, and return the evaluation that falls due after it."""
        try:
            self.train_step(step)
            if (step + 1) % NAN_CHECK_STEPS == 0:
                self._check_losses(step)
            return self._evaluate(step + 1) if step + 1 in self.evaluation_steps else None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # With other workers in the middle of a step the process group is of no more use.
            kind = TrainingFailed if self.worker.world_size == 1 else OutOfMemory
            raise kind(f"step {step + 1}: {out_of_memory_message(self.config)}") from error

    def close(self) -> PreTrainedModel:
        """Free the engine and give the backbone back without its adapter, fit for a run of another config."""
        self.prefetcher.close()
        self.engine.destroy()
        backbone = self.model.release_backbone()
        if self.config.train.gradient_checkpointing:
            backbone.gradient_checkpointing_disable()
        return backbone

    def _build_model(self, backbone: PreTrainedModel) -> GazeRewardModel:
        model = GazeRewardModel(self.config, backbone)
        facts = self.data.facts
        model.set_gaze_statistics(torch.tensor(facts.gaze_mean), torch.tensor(facts.gaze_sd))
        model.use_layout(choose_layout(self.config, backbone, self.worker.device, self.data.train))
        if self.config.train.gradient_checkpointing:
            backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return model.to(self.worker.device, model_dtype(self.config, self.worker.device))

    def _load_weights(self, state: dict[str, Tensor]) -> None:
        names = trained_parameters(self.model).keys() | gaze_buffers(self.model).keys()
        load_state(self.model, {name: state[name] for name in names if name in state}, str(self.folder / "last"))

    def _build_engine(self) -> tuple[Any, torch.optim.Optimizer]:
        import deepspeed

        # Every step sets its own rate. It is 0 here, because DeepSpeed may take a step without gradients to make the
        # moments (bf16 at stage 0), and that step must not decay the weights.
        groups = decay_groups(self.model, self.config.optim.weight_decay)
        # On a CPU the fused step takes a fifth of the time; on a GPU it would want Adam's step count there too.
        optimizer = torch.optim.AdamW(groups, lr=0.0, fused=self.worker.device.type == "cpu")
        settings = deepspeed_config(self.config, self.worker.world_size, model_dtype(self.config, self.worker.device))
        engine, *_ = deepspeed.initialize(
            model=self.model, optimizer=optimizer, config=settings, dist_init_required=False
        )
        if not engine.zero_optimization():
            optimizer.state.clear()  # nor may it count as a step
        engine.train()
        return engine, optimizer

    def train_step(self, step: int) -> None:
        """One optimiser step over all workers: the gradient is the mean over the step's pairs."""
        worker = self.worker
        # A seed of its own for every step: a resumed run draws the dropout that an undisturbed one would draw.
        seeds = np.random.SeedSequence([self.plan.seed, step, worker.rank]).generate_state(1)
        torch.manual_seed(int(seeds[0]))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        total = len(self.plan.step_pairs(step))
        seen = torch.zeros((), device=worker.device)
        passes = self.prefetcher.get_passes(step)
        for number, each in enumerate(passes, start=1):
            self.engine.set_gradient_accumulation_boundary(number == len(passes))
            losses = self.pair_loss(*split_rewards(self.engine(each.batch)), each.batch.scores)
            loss = losses.sum() if each.counts else 0.0 * losses.sum()
            seen += loss.detach()
            # DeepSpeed divides by workers; undo it, since the sum is over the step's pairs already.
            self.engine.backward(loss * (worker.world_size / total), scale_wrt_gas=False)
            self.engine.step()
        self._losses.append(seen / total)

    def _check_losses(self, step: int) -> list[float]:
        """Return the losses since the last evaluation, over all workers."""
        losses = self.worker.sum_over_workers(torch.stack(self._losses)).tolist() if self._losses else []
        for offset, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise TrainingFailed(f"loss is {loss} at step {step - len(losses) + offset + 2}")
        if self.engine.skipped_steps:
            # DeepSpeed leaves such a step out and says nothing: the run would stand still to its end.
            raise TrainingFailed(f"the gradient is nan or inf at step {step + 1} or shortly before")
        return losses

    def _evaluate(self, step: int) -> EvaluationReport:
        """Score the validation split, keep the best model, write the checkpoint, and return the report."""
        losses = self._check_losses(step - 1)
        rewards = score_split(
            self.engine, self.data.validation, self.model.layout, self.config.train.eval_tokens, self.worker
        )
        self.engine.train()
        metrics = {"train/loss": float(np.mean(losses)), **split_metrics(rewards, "val")}
        if not math.isfinite(metrics["val/loss"]):
            raise TrainingFailed(f"validation loss is {metrics['val/loss']} at step {step}")
        weights = gather_weights(self.engine)
        moments = gather_moments(self.engine, self.optimizer)
        progress, margins = self.progress, rewards[:, 0] - rewards[:, 1]
        self._save(lambda: save_margins(self.folder, self.plan.examples_after(step), margins))
        if metrics["val/accuracy"] >= progress.best_accuracy:
            progress.best_accuracy, progress.best_step = metrics["val/accuracy"], step
            card = model_card(self.config, self.data.facts, margins, self.plan.examples_after(step))
            self._save(lambda: save_reward_model(self.folder / "best", weights, self.config, self.data, margins, card))
        progress.step, progress.seconds = step, time.monotonic() - self._started
        enough = self.plateau is not None and self.plateau.update(metrics[self.plateau.metric])
        progress.plateau = asdict(self.plateau) if self.plateau is not None else {}
        report = EvaluationReport(
            step=step,
            examples=self.plan.examples_after(step),
            budget=self.plan.examples_after(self.plan.total_steps),
            seconds=progress.seconds,
            metrics={**metrics, "train/learning_rate": self.learning_rate(step - 1)},
            best_accuracy=progress.best_accuracy,
            train_losses=losses,
            done=enough or step == self.plan.total_steps,
        )
        progress.evaluations.append(asdict(report))
        self._save(lambda: save_checkpoint(self.folder / "last", {**weights, **moments}, progress))
        self._losses = []
        return report

    def _save(self, write: Callable[[], None]) -> None:
        """Write on rank 0. If that fails, the run ends on every worker alike, and the group may take the next run."""
        problem = ""
        if self.worker.is_main:
            try:
                write()
            except SaveFailed as error:
                problem = str(error)
        if not self.worker.broadcast_flag(not problem):
            raise TrainingFailed(problem or "rank 0 could not save")

    def _goes_on(self, last: EvaluationReport, report: ReportCallback) -> bool:
        return self.worker.broadcast_flag(report(last) if self.worker.is_main else True) and not last.done


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group what trains: weight decay on matrices, none on biases, norms and scales."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    others = [parameter for parameter in trained if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
