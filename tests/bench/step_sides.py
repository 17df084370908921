"""The two sides of the comparison: a training step of gazetune, and one of TRL's RewardTrainer."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForSequenceClassification, PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.tiny import tiny_tokenizer
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import Worker


class OurStep:
    """The loop of `gazetune train`: batches made by its prefetcher, a DeepSpeed engine, its optimiser."""

    def __init__(
        self, config: Config, data: PreparedData, backbone: PreTrainedModel, worker: Worker, folder: Path
    ) -> None:
        self.training = Training(config, data, folder, worker, copy.deepcopy(backbone))
        self.layout_kind = self.training.model.layout.kind

    def pairs(self, step: int) -> NDArray[np.int64]:
        """Return the pairs of a step."""
        return self.training.plan.step_pairs(step)

    def run(self, step: int) -> float:
        """Take a step and return its mean loss."""
        self.training.train_step(step)
        return float(self.training._losses[-1])

    def close(self) -> None:
        """End the prefetcher's thread and free the engine."""
        self.training.close()


class TrlStep:
    """TRL's RewardTrainer on the same weights: its collator, `training_step`, clipping and optimiser.

    What its loop does beside these (logging, saving, counting FLOP) is left out.
    """

    def __init__(self, ours: OurStep, data: PreparedData, folder: Path) -> None:
        import datasets
        from trl import RewardConfig, RewardTrainer

        self.split, self.plan = data.train, ours.training.plan
        optim = ours.training.config.optim
        with _no_process_group():
            arguments = RewardConfig(
                output_dir=str(folder),
                per_device_train_batch_size=ours.training.config.train.batch_size,
                gradient_checkpointing=False,
                learning_rate=optim.learning_rate,
                weight_decay=optim.weight_decay,
                lr_scheduler_type="constant",
                max_steps=self.plan.total_steps,
                max_length=None,
                bf16=False,
                use_cpu=True,
                report_to="none",
            )
            rows = [self._example(pair) for pair in range(2)]  # the batches come from `run`
            self.trainer = RewardTrainer(
                model=_sequence_classifier(ours),
                args=arguments,
                train_dataset=datasets.Dataset.from_list(rows),
                processing_class=tiny_tokenizer(["a text"]),
            )
            self.trainer.create_optimizer_and_scheduler(self.plan.total_steps)
            self.trainer.current_gradient_accumulation_steps = 1
            self.model, self.optimizer = self.trainer.accelerator.prepare(self.trainer.model, self.trainer.optimizer)
        assert self.model is self.trainer.model, "the model is wrapped"
        self.next = self._examples(0)

    def run(self, step: int) -> float:
        """Take a step and return its mean loss."""
        trainer = self.trainer
        loss = trainer.training_step(self.model, trainer.data_collator(self.next))
        trainer.accelerator.clip_grad_norm_(self.model.parameters(), trainer.args.max_grad_norm)
        self.optimizer.step()
        trainer.lr_scheduler.step()
        self.model.zero_grad()
        return float(loss)

    def prepare(self, step: int) -> None:
        """Have the rows of a step in memory: reading them is not measured."""
        self.next = self._examples(step)

    def _examples(self, step: int) -> list[dict[str, Any]]:
        return [self._example(pair) for pair in self.plan.step_pairs(step).tolist()]

    def _example(self, pair: int) -> dict[str, Any]:
        starts = self.split.token_starts[2 * pair : 2 * pair + 3].tolist()
        names = ("chosen_ids", "rejected_ids")
        return {name: self.split.ids[starts[at] : starts[at + 1]].tolist() for at, name in enumerate(names)}


@contextlib.contextmanager
def _no_process_group() -> Iterator[None]:
    """Hide the group that DeepSpeed needs: TRL's accelerator would wrap the model for data parallelism in it."""
    hidden = {name: os.environ.pop(name) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _sequence_classifier(ours: OurStep) -> LlamaForSequenceClassification:
    """Return the model of transformers with the weights of an untrained model of ours."""
    model = ours.training.model
    shape = copy.deepcopy(model.backbone.config)
    shape.num_labels = 1
    shape._attn_implementation = "sdpa"
    made = LlamaForSequenceClassification(shape)
    made.model.load_state_dict(model.backbone.state_dict())
    with torch.no_grad():
        made.score.weight.copy_(model.head.weight)
    return made
