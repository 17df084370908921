"""Sections that say what is trained on what: the pairs, the reading measures, the reward model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from gazetune.config.address import AddressText
from gazetune.config.section import (
    MEASURES,
    Deviation,
    PathText,
    Positive,
    Probability,
    Section,
    Seed,
    parse_feature_mask,
)


class DataConfig(Section):
    """Where the preference pairs come from and how they are divided."""

    source: PathText = "planted"
    """`planted`, a path to .jsonl, .jsonl.gz, .parquet or .arrow, a folder of such, or a supported hub data set id."""
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
    tokens: Literal["template", "reference"] = "template"
    """Which tokens a conversation is read as: those of the tokenizer's own chat template, or those of the reference."""
    max_chars_of: Literal["contents", "rendered"] = "contents"
    """What `max_chars` counts: the contents of the messages, or the chats as the chat template writes them."""
    prompts: Literal["conversation", "single"] = "conversation"
    """Prompts of OASST1 and HelpSteer2: the messages of the conversation, or one message as the reference has it."""
    chat_template: str | None = None
    """The chat template: a file with a Jinja template, or `plain`. Unset: the one that the tokenizer comes with."""
    invert_oasst1: bool = False
    """Take the least preferred reply of OASST1 as chosen and the most preferred one as rejected."""
    split: str | None = None
    """Load this published split alone; several names, with commas between, are read as what they say they are."""
    on_bad_row: Literal["stop", "drop"] = "stop"
    """A row that gives no pair is refused, or left out and counted by its reason."""
    max_bad_rows: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """`on_bad_row: drop`: the largest share of bad rows that is accepted."""
    subsample: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the train split that is kept."""
    fold: Annotated[int, Field(ge=0, le=5)] = 0
    """Fold k of 5 over train and test together becomes the test split; 0 turns folding off."""
    group: str | None = None
    """Column of the user's own file: pairs with the same value there, such as one reader's, are never divided."""

    @field_validator("splits")
    @classmethod
    def _check_shares(cls, value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
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
    targets: tuple[str, ...] | Literal["auto", "all-linear"] = "auto"
    """Names of the backbone's modules that get LoRA matrices; `auto`: query and value projections of its attention."""
    quantization: Literal["none", "nf4"] = "none"
    """How the weights of the frozen backbone's linear layers are kept: as loaded, or in 4 bits (extra `quant`)."""
    double_quantization: bool = True
    """`nf4`: the scales of the weights are quantised, too."""


def is_control(control: object) -> bool:
    """Tell whether a value of `gaze.control` makes a run a control, which has no measures of its own texts.

    A control is there to be beaten. No choice of a model takes one: it is no winner and no baseline, and it says
    nothing about which keys matter.

    Examples
    --------
    >>> is_control("shuffled"), is_control("none")
    (True, False)
    """
    return control != "none"


class GazeConfig(Section):
    """Which reading measures the model sees, of which text, and where on the tokens they land."""

    predictor: str = "lexical"
    """Name of a registered gaze predictor."""
    path: PathText | None = None
    """The predictor's file: recorded measures (Parquet) or weights (a file, its folder, or OWNER/NAME@REVISION)."""
    predictor_units: Literal["words", "reference"] = "words"
    """`bilstm`, `roberta`: units are what has a word's measures, or all that the reference takes for gaze."""
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
    store: AddressText | None = None
    """Where measures are kept: a folder, or a URI that `pyarrow.fs` opens. Unset: below the storage folder."""

    @field_validator("features", mode="before")
    @classmethod
    def _name_features(cls, value: object) -> object:
        return parse_feature_mask(value)


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
    project_zeros: bool = False
    """`add`, `gated`: tokens without gaze, those of the template too, get the projection of measures that are all 0."""


class ProjectorConfig(Section):
    """Linear - LayerNorm - ReLU - Dropout(p1) - Linear - Dropout(p2) - LayerNorm."""

    dropout: tuple[Probability, Probability] = (0.1, 0.3)
