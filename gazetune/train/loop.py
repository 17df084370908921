"""The loop that trains one reward model with DeepSpeed. It knows nothing of Ray: it runs in any process group.

Every worker of the group makes one `Training` and calls `run`. All of them take the same steps together; rank 0 alone
writes files and reports.

    run         for each step of the plan:
    train_step      one optimiser step: seed, learning rate, forward and backward passes, update
    _evaluate       after some of the steps: score the validation split, save, report

A run's folder:

    best/       the saved model of its best evaluation, with its rewards of the validation pairs
    margins/    the validation margins of every evaluation
    last/       the training state to resume from
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.report.model_card import render_model_card
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batching import split_rewards
from gazetune.reward.model.adapter import name_targets
from gazetune.reward.model.backbone import model_dtype
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.pair_losses import check_scores, create_loss
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.backbone_sample import sample_backbone
from gazetune.reward.saved.saved_model import (
    SaveFailed,
    gaze_buffers,
    load_weights,
    save_reward_model,
    trained_parameters,
)
from gazetune.reward.saved.tensor_stream import TensorStream
from gazetune.train import checkpoint
from gazetune.train.early_stop import PlateauCounter
from gazetune.train.limits.out_of_memory import OutOfMemory, is_out_of_memory, out_of_memory_message
from gazetune.train.limits.run_failures import InfeasibleConfig, TrainingFailed
from gazetune.train.prefetch import PassPrefetcher
from gazetune.train.processes.deepspeed_engine import destroy_engine, start_training_engine
from gazetune.train.processes.worker_group import Worker
from gazetune.train.progress import EvaluationReport, Progress, ReportCallback
from gazetune.train.schedule import create_schedule
from gazetune.train.scoring.evaluation import score_split, split_metrics
from gazetune.train.state.rung_margins import save_margins
from gazetune.train.state.training_state import TrainingState
from gazetune.train.steps import StepPlan

NAN_CHECK_STEPS = 32
"""Steps between two checks of the losses; each check waits for the device."""


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
        """Build the run, and restore it where `folder` holds a checkpoint of it.

        Parameters
        ----------
        config, data
            What to train, and on which prepared pairs.
        folder
            The folder of the run.
        worker
            This worker of the group.
        backbone
            A pristine backbone from `load_worker_backbone`.
        milestones
            Training pairs after which to evaluate; they replace `train.eval_every`. A search evaluates at its rungs.

        Raises
        ------
        InputError
            When the loss needs scores that the pairs lack, or the checkpoint is of a run on other pairs.
        """
        config = name_targets(config, backbone)  # for the saved model: another version may choose others
        self.config, self.data, self.folder, self.worker = config, data, folder, worker
        self.plan = StepPlan.from_config(config.train, len(data.train))
        self.evaluation_steps = self.plan.evaluation_steps(config.train.eval_every, milestones)
        self.learning_rate = create_schedule(config.optim, self._schedule_length())
        self.pair_loss = create_loss(config.loss)
        check_scores(config.loss, config.data.source, data.train.scores)

        self.model = self._build_model(backbone)
        self._backbone_sample = sample_backbone(self.model)
        found = self._load_checkpoint()
        self.progress = Progress(data.facts.data_fingerprint) if found is None else found.progress
        if config.train.early_stop is None:
            self.progress.plateau = None
        elif self.progress.plateau is None:
            self.progress.plateau = PlateauCounter.from_config(config.train.early_stop)
        self.learning_rate.restore(self.progress.schedule)

        # Weights are loaded before the engine is made, which copies them; moments can only be restored after it.
        if found is not None:
            self._load_weights(found.state)
        self.engine, self.optimizer = start_training_engine(config, self.model, worker)
        self.state = TrainingState(self.engine, self.optimizer)
        if found is not None:
            self.state.restore(found.state)
        self.state.refresh_head()

        self.prefetcher = PassPrefetcher(config.train, self.plan, data.train, self.model.layout, worker)
        self.activity = f"training from {self._describe_pairs(self.progress.step)} on"
        """What the run does now, in words; may be read in another thread."""
        self._losses: list[Tensor] = []
        """Of each step since the last evaluation: the sum over this worker's pairs over the number of the step's."""
        self._started = time.monotonic() - self.progress.seconds

    def run(self, report: ReportCallback) -> EvaluationReport | None:
        """Train to the full budget, or until `report` says stop; return the last report.

        Raises
        ------
        InfeasibleConfig
            When the loss is no longer a number, or a worker without others ran out of memory.
        TrainingFailed
            When something could not be saved.
        OutOfMemory
            When one of several workers ran out of memory.
        """
        last = None
        if self.progress.evaluations:
            # The checkpoint's last report is repeated: the run may have died before the report arrived.
            last = self.progress.evaluations[-1]
            if not self._goes_on(last, report):
                return last
        for step in range(self.progress.step, self.plan.total_steps):
            try:
                evaluated = self._train_and_evaluate(step)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                # With other workers in the middle of a step the process group is of no more use.
                kind = InfeasibleConfig if self.worker.world_size == 1 else OutOfMemory
                raise kind(f"step {step + 1}: {out_of_memory_message(self.config)}") from error
            if evaluated is not None:
                last = evaluated
                if not self._goes_on(last, report):
                    break
        return last

    def train_step(self, step: int) -> None:
        """Take one optimiser step over all workers: the gradient is the mean over the pairs of the step."""
        self._seed_dropout(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        pairs = len(self.plan.step_pairs(step))
        loss_sum = torch.zeros((), device=self.worker.device)
        passes = self.prefetcher.get_passes(step)
        for number, each in enumerate(passes, start=1):
            # DeepSpeed updates the weights in the `engine.step` of the last pass alone.
            self.engine.set_gradient_accumulation_boundary(number == len(passes))
            losses = self.pair_loss(*split_rewards(self.engine(each.batch)), each.batch.scores)
            loss = losses.sum() if each.has_own_pairs else 0.0 * losses.sum()
            loss_sum += loss.detach()
            # DeepSpeed divides gradients by the number of workers. The loss is multiplied by it, because it is a share
            # of the mean over the pairs of all workers already.
            self.engine.backward(loss * (self.worker.world_size / pairs), scale_wrt_gas=False)
            self.engine.step()
        self.state.refresh_head()
        self._losses.append(loss_sum / pairs)

    def close(self) -> PreTrainedModel:
        """Free the engine and give the backbone back without its adapter, fit for a run of another config."""
        self.prefetcher.close()
        destroy_engine(self.engine)
        backbone = self.model.release_backbone()
        if self.config.train.gradient_checkpointing:
            backbone.gradient_checkpointing_disable()
        return backbone

    def _train_and_evaluate(self, step: int) -> EvaluationReport | None:
        """Take one step, and return the report of the evaluation that is due after it."""
        self.train_step(step)
        self.activity = f"{self._describe_pairs(step + 1)} trained"
        if (step + 1) % NAN_CHECK_STEPS == 0:
            self._check_losses(step)
        if step + 1 not in self.evaluation_steps:
            return None
        self.activity = f"evaluating after {self._describe_pairs(step + 1)}"
        return self._evaluate(step + 1)

    def _describe_pairs(self, steps: int) -> str:
        return f"{self.plan.examples_after(steps)}/{self.plan.examples_after(self.plan.total_steps)} pairs"

    def _evaluate(self, step: int) -> EvaluationReport:
        """Score the validation split, keep the best model, write the checkpoint, and return the report."""
        losses = self._check_losses(step - 1)
        rewards = score_split(
            self.engine, self.data.validation, self.model.layout, self.config.train.eval_tokens, self.worker
        )
        metrics = {"train/loss": float(np.mean(losses)), **split_metrics(rewards, "val")}
        if not math.isfinite(metrics["val/loss"]):
            raise InfeasibleConfig(f"validation loss is {metrics['val/loss']} at step {step}")
        margins = rewards[:, 0] - rewards[:, 1]
        self._save(lambda: save_margins(self.folder, self.plan.examples_after(step), margins))
        if metrics["val/accuracy"] >= self.progress.best_accuracy:
            self.progress.best_accuracy, self.progress.best_step = metrics["val/accuracy"], step
            weights = self.state.gather_weights()
            self._save(lambda: self._save_best_model(step, weights, rewards), weights)
        report = self._advance_progress(step, metrics, losses)
        if report.done or len(self.progress.evaluations) % self.config.train.checkpoint_every == 0:
            self._save_checkpoint()
        self._losses = []
        return report

    def _check_losses(self, step: int) -> list[float]:
        """Return the mean losses of the steps since the last evaluation, `step` being the latest of them.

        Raises
        ------
        InfeasibleConfig
            When one of them is no number, or DeepSpeed skipped a step.
        """
        losses = self.worker.sum_over_workers(torch.stack(self._losses)).tolist() if self._losses else []
        for offset, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise InfeasibleConfig(f"loss is {loss} at step {step - len(losses) + offset + 2}")
        if self.engine.skipped_steps:
            # DeepSpeed silently skips a step whose gradient is no number: the run would learn nothing more.
            raise InfeasibleConfig(f"the gradient is nan or inf at step {step + 1} or shortly before")
        return losses

    def _save_best_model(self, step: int, weights: TensorStream, rewards: NDArray[np.float64]) -> None:
        margins = rewards[:, 0] - rewards[:, 1]
        card = render_model_card(self.config, self.data.facts, margins, self.plan.examples_after(step))
        save_reward_model(self.folder / "best", weights, self.config, self.data, rewards, card, self._backbone_sample)

    def _save_checkpoint(self) -> None:
        """Write the training state: rank 0 a small one, all workers together a large one, which nobody gathers."""
        folder, worker = self.folder / "last", self.worker
        if worker.world_size == 1 or self.state.byte_count <= checkpoint.GATHERED_BYTES:
            state = self.state.gather()
            self._save(lambda: checkpoint.save_checkpoint(folder, state, self.progress), state)
            return
        shards = checkpoint.ShardedCheckpoint(folder, self.progress.step)
        slices, values = self.state.list_slices(), TensorStream({}, self.state.read_slices())
        try:
            self._save(shards.begin)
            ranks = worker.rank, worker.world_size
            self._save(lambda: shards.save_shard(slices, values.tensors, *ranks), values, on_all=True)
            self._save(lambda: shards.finish(self.progress))
        except TrainingFailed:
            if worker.is_main:
                shards.discard()
            raise

    def _advance_progress(self, step: int, metrics: dict[str, float], losses: list[float]) -> EvaluationReport:
        """Count an evaluation after `step` steps in the progress, and return its report."""
        progress = self.progress
        progress.step, progress.seconds = step, time.monotonic() - self._started
        is_plateau = progress.plateau is not None and progress.plateau.update(metrics[progress.plateau.metric])
        report = EvaluationReport(
            step=step,
            examples=self.plan.examples_after(step),
            budget=self.plan.examples_after(self.plan.total_steps),
            seconds=progress.seconds,
            metrics={**metrics, "train/learning_rate": self.learning_rate(step - 1)},
            best_accuracy=progress.best_accuracy,
            train_losses=losses,
            done=is_plateau or step == self.plan.total_steps,
        )
        progress.evaluations.append(report)
        self.learning_rate.observe(metrics)
        progress.schedule = self.learning_rate.state()
        return report

    def _save(self, write: Callable[[], None], gathered: TensorStream | None = None, on_all: bool = False) -> None:
        """Write on rank 0 or on all workers. If that fails on one, the run ends on every worker alike.

        The group may then take the next run. `gathered` is what is written; all workers take part in gathering it.
        """
        problem = ""
        if self.worker.is_main or on_all:
            try:
                write()
            except SaveFailed as error:
                problem = str(error)
        if gathered is not None:
            gathered.exhaust()  # on rank 0 too, where the disk may have been full
        if problem := self.worker.share_problem(problem):
            raise TrainingFailed(problem)

    def _goes_on(self, last: EvaluationReport, report: ReportCallback) -> bool:
        """Report on rank 0, and tell every worker alike whether there is another step to take."""
        return self.worker.ask_main(lambda: report(last)) and not last.done

    def _schedule_length(self) -> int:
        """Return the number of steps that the schedule is made for, which need not be that of the run."""
        in_steps = self.config.optim.schedule_length == "steps"
        return self.plan.total_steps if in_steps else self.plan.whole_micro_batches

    def _seed_dropout(self, step: int) -> None:
        """Give every step and rank a seed of its own: a resumed run then draws the dropout of an undisturbed one."""
        seeds = np.random.SeedSequence([self.plan.seed, step, self.worker.rank]).generate_state(1)
        torch.manual_seed(int(seeds[0]))

    def _build_model(self, backbone: PreTrainedModel) -> GazeRewardModel:
        model = GazeRewardModel(self.config, backbone)
        facts = self.data.facts
        model.set_gaze_statistics(torch.tensor(facts.gaze_mean), torch.tensor(facts.gaze_sd))
        model.use_layout(choose_layout(self.config, backbone, self.worker.device, self.data.train))
        if self.config.train.gradient_checkpointing:
            backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.cast_weights(model_dtype(self.config, self.worker.device))
        return model.to(self.worker.device)

    def _load_checkpoint(self) -> checkpoint.Checkpoint | None:
        found = checkpoint.Checkpoint.load(self.folder / "last")
        if found is not None and found.progress.data != self.data.facts.data_fingerprint:
            raise InputError(f"{self.folder}: this run began on other preference pairs; data.source has changed since")
        return found

    def _load_weights(self, state: Mapping[str, Tensor]) -> None:
        names = trained_parameters(self.model).keys() | gaze_buffers(self.model).keys()
        load_weights(self.model, {name: state[name] for name in names if name in state}, str(self.folder / "last"))
