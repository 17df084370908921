"""The one config tree: every key a run has, its type, its default and what it means.

`Config` describes one training run completely. A search space file holds a partial config (`base`) and the axes that
the search varies; each trial is again a complete `Config`. Reading YAML and command-line overrides is `config_file`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gazetune.presets import known_preset, with_defaults

MEASURES = ("nFix", "FFD", "GPT", "TRT", "fixProp")
"""The five reading measures in the order that every array, mask and file of this package has them in."""

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
LARGEST_SEED = 2**63 - 1  # every generator takes it
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Deviation = Annotated[float, Field(ge=0.0, le=100.0)]
Metric = Literal["val/accuracy", "val/loss"]


class Section(BaseModel):
    """A config section: unknown keys are refused, values are immutable once validated."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Where the preference pairs come from and how they are divided."""

    source: str = "planted"
    """`planted`, a path to .jsonl, .jsonl.gz or .parquet, or a supported hub data set id."""
    pairs: Positive | None = None
    """How many planted pairs are made (3000 when unset); for other sources the first N pairs only (all when unset)."""
    seed: Seed = 0
    """Seed of the planted text, its gaze, and of the hash that divides pairs into splits."""
    splits: tuple[float, float, float] | None = None
    """Shares of train, validation and test.

    Unset: 85/15 plus the published test split where there is one, else 70/15/15.
    """
    max_chars: Positive | None = 10000
    """Pairs whose two chats together exceed this many characters are dropped."""
    max_tokens: Positive | None = None
    """Conversations end after this many tokens of the backbone, and the gaze on them with them."""
    invert_oasst1: bool = False
    """Take the least preferred reply of OASST1 as chosen and the most preferred one as rejected."""
    split: str | None = None
    """Load this published split alone."""
    subsample: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the train split that is kept."""
    fold: Annotated[int, Field(ge=0, le=5)] = 0
    """Fold k of 5 over train and test together becomes the test split; 0 turns folding off."""

    @field_validator("splits")
    @classmethod
    def _shares_sum_to_one(cls, value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if value is not None and (min(value) <= 0 or abs(sum(value) - 1.0) > 1e-6):
            raise ValueError("must be three positive shares (train, validation, test) that sum to 1")
        return value


class AdapterConfig(Section):
    """What of the backbone trains. Everything beside the backbone always trains."""

    kind: Literal["auto", "full", "lora", "dora", "rslora", "none"] = "auto"
    """`auto` becomes `full` for the tiny backbone and `lora` for any other or an NF4 one; `none` freezes the backbone.

    `dora` trains the length of each weight's columns beside their direction, `rslora` scales by alpha / sqrt(r).
    """
    r: Positive = 8
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Probability = 0.1
    targets: tuple[str, ...] | Literal["all-linear"] = ("q_proj", "v_proj")
    """Names of the backbone's modules that get LoRA matrices, or `all-linear`."""
    quantization: Literal["none", "nf4"] = "none"
    """How the weights of the frozen backbone's linear layers are kept: as loaded, or in 4 bits (extra `quant`)."""


class GazeConfig(Section):
    """Which reading measures the model sees, of which text, and where on the tokens they land."""

    predictor: str = "lexical"
    """Name of a registered gaze predictor."""
    path: str | None = None
    """The predictor's file: recorded measures (Parquet) or weights (a file, its folder, or OWNER/NAME@REVISION)."""
    reader: str | None = None
    """`recorded` only: one reader's measures instead of the mean over readers."""
    control: Literal["none", "shuffled", "noise", "constant"] = "none"
    """Replace the measures by ones that carry no information about the text, to see what a gain is worth."""
    features: tuple[str, ...] = MEASURES
    """Feature mask: measure names, or five 0/1 flags in the order nFix, FFD, GPT, TRT, fixProp."""
    context: Literal["message", "chat"] = "message"
    """What the predictor reads as one text: each message by itself, or a prompt with its reply."""
    scope: Literal["prompt+response", "response"] = "prompt+response"
    align: Literal["spread", "first"] = "spread"
    """A unit's values are divided over its tokens, or stand on its first token."""
    sigma: tuple[Deviation, Deviation] | None = None
    """Standard deviations, in words, of the Gaussian that moves a word's TRT to the words before and after it."""
    noise: Annotated[float, Field(ge=0.0)] = 0.0
    """Standard deviation of Gaussian noise added to the measures, in their units."""
    normalise: bool = True
    """Standardise measures by the training split before they are projected."""
    store: str | None = None
    """Where measures are kept: a folder, or a URI that `pyarrow.fs` opens. Unset: below the storage folder."""

    @field_validator("features", mode="before")
    @classmethod
    def _mask_to_names(cls, value: Any) -> Any:
        return features_from_mask(value)


class FusionConfig(Section):
    """How the projected measures join the text."""

    kind: str = "add"
    """Name of a registered fusion: none, concat, add."""
    unit: Literal["word", "predictor"] = "predictor"
    """What fusions that take gaze as a sequence (`concat`, `cross`) take: words, or units of the predictor."""
    position: Literal["before", "after"] = "before"
    """`concat`: gaze tokens before or after the text."""
    scale: Literal["learned"] | Annotated[float, Field(gt=0)] = "learned"
    """Factor on the projected measures. `learned` starts at the root mean square of the token embeddings."""
    freeze: bool = False
    """Leave all weights of the fusion as they were drawn: projector, boundaries, scale."""


class ProjectorConfig(Section):
    """Linear - LayerNorm - ReLU - Dropout(p1) - Linear - Dropout(p2) - LayerNorm."""

    dropout: tuple[Probability, Probability] = (0.1, 0.3)


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
    schedule: Literal["cosine_with_min_lr", "constant_with_warmup", "constant", "linear", "cosine", "polynomial"] = (
        "cosine_with_min_lr"
    )
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.7
    warmup_ratio: Probability | None = None
    """Share of the steps that warm up.

    Unset: 0.01 for `cosine_with_min_lr`, 0.02 for the others (the recipe's values).
    """


class EarlyStopConfig(Section):
    """When a run has trained enough, though its budget is not used up."""

    patience: Positive = 3
    """Evaluations in a row without improvement after which the run ends."""
    min_delta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What an evaluation must exceed the best one by to count as an improvement."""
    metric: Literal["val/accuracy", "val/loss"] = "val/accuracy"


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
    eval_tokens: Positive = 16384
    """Positions that one worker reads in one pass of an evaluation: tokens, and gaze units that stand beside them."""
    early_stop: EarlyStopConfig | None = None
    """End a run whose validation metric has stopped improving; it counts as one that used its full budget."""
    batching: Literal["auto", "padded", "packed", "shared"] = "auto"
    """`padded`: texts of a pass are padded to one length. `packed`: without padding. `shared`: packed, and the
    beginning that a pair's responses have in common is computed once. `auto`: the cheapest that backbone and fusion can
    do. The rewards are the same."""
    batch_tokens: Positive | None = None
    """Positions that one worker reads in one forward pass: a step is divided into as many passes as that takes. Unset:
    `accumulate` passes."""
    pool: Literal["last", "last_padded"] = "last"
    """Where a decoder's reward is read: at the last position of a text, or of its row in the batch, padding or not."""
    gradient_checkpointing: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 on a GPU, fp32 on a CPU."""


class DeepSpeedConfig(Section):
    """How optimiser states, gradients and parameters are sharded over the workers."""

    stage: Literal[0, 1, 2, 3] = 2
    offload: Literal["none", "cpu", "nvme"] = "none"
    nvme_path: str | None = None
    """`nvme`: an existing folder, by its absolute path, on a local disk of this machine and of every node."""
    override: dict[str, Any] = Field(default_factory=dict)
    """Raw DeepSpeed JSON, merged last."""


class SearchConfig(Section):
    """What the search does, apart from its axes."""

    trials: Positive = 20
    sampler: Literal["tpe", "cmaes", "nsga2", "random", "qmc", "grid"] = "tpe"
    scheduler: Literal["asha", "hyperband", "median", "paired", "asha_paired", "none"] = "asha"
    rungs: Annotated[int, Field(ge=1)] | None = None
    """Training examples at the first rung. Unset: the full budget divided by reduction**2."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """A rung has this many times the examples of the last; `asha`: one of this many trials goes on from a rung."""
    level: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    """`paired`: the most that the chance may be to stop a trial which no other one beats."""
    max_failures: Annotated[int, Field(ge=0)] | None = None
    """Trials that may FAIL for the same reason. Unset: see `search.failures`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0  # Optuna takes no larger one
    objective: Metric | tuple[Literal[Metric, "gpu_seconds", "train_seconds"], ...] = "val/accuracy"
    storage: str | None = None
    """Where the study is kept. Unset: a sqlite file in the search's folder."""


class ResourcesConfig(Section):
    """What one trial occupies."""

    workers: Positive = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0


class TrackingConfig(Section):
    """Where runs are logged."""

    uri: str | None = None
    """MLflow tracking URI. Unset: one sqlite file in the storage folder."""


class Config(Section):
    """One training run, completely."""

    preset: Literal["corrected", "reference"] = "corrected"
    """What keys are that nothing sets: the defaults in this file, or the recipe of the reference with its defects."""
    data: DataConfig = DataConfig()
    backbone: str = "tiny"
    """`tiny`, a local folder, or a hub id of any model that `AutoModel` loads and that takes `inputs_embeds`."""
    adapter: AdapterConfig = AdapterConfig()
    gaze: GazeConfig = GazeConfig()
    fusion: FusionConfig = FusionConfig()
    projector: ProjectorConfig = ProjectorConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    deepspeed: DeepSpeedConfig = DeepSpeedConfig()
    search: SearchConfig = SearchConfig()
    resources: ResourcesConfig = ResourcesConfig()
    tracking: TrackingConfig = TrackingConfig()

    @field_validator("preset", mode="before")
    @classmethod
    def _known_preset(cls, value: Any) -> Any:
        return known_preset(value)

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        return with_defaults(values) if isinstance(values, dict) else values


def features_from_mask(value: Any) -> Any:
    """Turn a feature mask given as `[0, 1, 0, 1, 0]` or `"0,1,0,1,0"` or names into measure names in canonical order.

    Raises
    ------
    ValueError
        For an empty mask, a mask of another length than five, or a name that is no reading measure.
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        raise ValueError(f"a feature mask is a list of {', '.join(MEASURES)} or of five 0/1 flags")
    items = [str(int(item)) if isinstance(item, bool) else str(item) for item in value]
    if items and all(item in ("0", "1") for item in items):
        if len(items) != len(MEASURES):
            raise ValueError(f"a feature mask has {len(MEASURES)} flags ({', '.join(MEASURES)}), got {len(items)}")
        items = [name for name, flag in zip(MEASURES, items, strict=True) if flag == "1"]
    for item in items:
        if item not in MEASURES:
            raise ValueError(f"'{item}' is no reading measure; accepted: {', '.join(MEASURES)} or five 0/1 flags")
    if not items:
        raise ValueError(f"at least one of {', '.join(MEASURES)} is needed (fusion.kind: none is the run without gaze)")
    return tuple(name for name in MEASURES if name in items)
