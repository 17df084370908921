"""Sections that say how a reward model is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gazetune.config.section import (
    PathText,
    Positive,
    Probability,
    Section,
    Seed,
)
from gazetune.errors.redact import find_secret_value


class LossConfig(Section):
    """What a preference pair costs."""

    kind: str = "bradley_terry"
    """Name of a registered loss: bradley_terry."""
    margin: Literal["none", "score"] | Annotated[float, Field(ge=0, allow_inf_nan=False)] = "none"
    """By how much the chosen reward should exceed the rejected one: the pair's difference of scores, or one number."""
    center: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Coefficient of (r_chosen + r_rejected)^2, which keeps rewards around 0."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Probability with which a pair counts as labelled the other way round."""


class OptimConfig(Section):
    """AdamW and its learning-rate schedule."""

    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    schedule: Literal[
        "cosine_with_min_lr",
        "constant_with_warmup",
        "constant",
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "inverse_sqrt",
        "reduce_lr_on_plateau",
    ] = "cosine_with_min_lr"
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.7
    warmup_ratio: Probability | None = None
    """Share of the steps that warm up.

    Unset: 0.01 for `cosine_with_min_lr`, 0.02 for the others (the recipe's values).
    """
    warmup_rounding: Literal["down", "up"] = "down"
    """How the steps that warm up become a whole number."""
    schedule_length: Literal["steps", "micro_batches"] = "steps"
    """What the schedule takes for the number of steps: that of optimiser steps, or that of whole forward passes."""


class EarlyStopConfig(Section):
    """When a run has trained enough, though its budget is not used up."""

    patience: Positive = 3
    """Evaluations in a row without improvement after which the run ends."""
    min_delta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What an evaluation must exceed the best one by to count as an improvement."""
    metric: Literal["val/accuracy", "val/loss"] = "val/accuracy"


class FoldConfig(Section):
    """One of several folds into which the pairs outside test are divided, to train and validate on others of them."""

    number: Positive = 1
    """The fold that is validation; the others are train."""
    of: Annotated[int, Field(ge=2)] = 4
    """Folds in all."""

    @model_validator(mode="after")
    def _check_number(self) -> FoldConfig:
        if self.number > self.of:
            raise ValueError(f"there is no fold {self.number} of {self.of}")
        return self


class TrainConfig(Section):
    """How long and in what steps a run trains."""

    epochs: Annotated[float, Field(gt=0)] = 1
    batch_size: Positive = 16
    """Pairs of one forward pass, over all workers together: results do not depend on the number of workers."""
    accumulate: Positive = 1
    """Forward passes to one optimiser step."""
    seed: Seed = 42
    eval_every: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps between evaluations; 0 means max(1, round(256 / batch_size)). A search evaluates at its rungs."""
    checkpoint_every: Positive = 1
    """Evaluations between checkpoints, which a killed run goes on from. The last evaluation always writes one."""
    eval_tokens: Positive = 16384
    """Positions that one worker reads in one pass of an evaluation: tokens, and gaze units that stand beside them."""
    early_stop: EarlyStopConfig | None = None
    """End a run whose validation metric has stopped improving; it counts as one that used its full budget."""
    fold: FoldConfig | None = None
    """Divide train and validation anew, by group, with test as it is; unset: as `data` divides them."""
    batching: Literal["auto", "padded", "packed", "shared"] = "auto"
    """`padded`: texts of a pass are padded to one length. `packed`: without padding. `shared`: packed, and the
    beginning that a pair's responses have in common is computed once. `auto`: the cheapest that backbone and fusion can
    do. The rewards are the same."""
    batch_tokens: Positive | None = None
    """Positions that one worker reads in one forward pass: a step is divided into as many passes as that takes. Unset:
    `accumulate` passes."""
    pool: Literal["last", "last_padded"] = "last"
    """Where a decoder's reward is read: at the last position of a text, or of its row in the batch, padding or not."""
    padding: Literal["zeros", "token"] = "zeros"
    """What stands on the padding of a row: zeros, or the padding token; then gaze of a batch is padded, too."""
    head_std: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Standard deviation of the score head's first weights. Unset: 1 / sqrt(width of the backbone)."""
    gradient_checkpointing: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 on a GPU, fp32 on a CPU."""


class DeepSpeedConfig(Section):
    """How optimiser states, gradients and parameters are sharded over the workers."""

    stage: Literal[0, 1, 2, 3] = 2
    offload: Literal["none", "cpu", "nvme"] = "none"
    nvme_path: PathText | None = None
    """`nvme`: an existing folder, by its absolute path, on a local disk of this machine and of every node."""
    override: dict[str, Any] = Field(default_factory=dict)
    """Raw DeepSpeed JSON, merged last."""

    @field_validator("override")
    @classmethod
    def _refuse_secrets(cls, value: dict[str, Any]) -> dict[str, Any]:
        key = find_secret_value(value)
        if key is not None:
            raise ValueError(
                f"'{key}' holds a secret, and a config is written into files and MLflow; leave it out and set the "
                "environment variable that this service reads, such as WANDB_API_KEY or COMET_API_KEY"
            )
        return value
