"""The one config tree: every key a run has, its type, its default and what it means.

`Config` describes one training run completely. A search space file holds a partial config (`base`) and the axes that
the search varies; each trial is again a complete `Config`.

    model.py, training.py, search.py    the sections, each key with its type, default and meaning
    presets.py                          what keys are that nothing sets
    keys.py                             dotted keys: which exist, what they accept, reading and setting one
    yaml_file.py, config_file.py        YAML and `KEY=VALUE` in, a validated config out, and back
"""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator, model_validator

from gazetune.config.model import AdapterConfig, DataConfig, FusionConfig, GazeConfig, ProjectorConfig, is_control
from gazetune.config.presets import add_defaults, check_preset
from gazetune.config.search import ConfirmConfig, ResourcesConfig, SearchConfig, TrackingConfig
from gazetune.config.section import (
    LARGEST_SEED,
    MEASURES,
    Deviation,
    Metric,
    PathText,
    Positive,
    Probability,
    Section,
    Seed,
    parse_feature_mask,
)
from gazetune.config.training import DeepSpeedConfig, EarlyStopConfig, FoldConfig, LossConfig, OptimConfig, TrainConfig

__all__ = [
    "LARGEST_SEED",
    "MEASURES",
    "AdapterConfig",
    "Config",
    "ConfirmConfig",
    "DataConfig",
    "DeepSpeedConfig",
    "Deviation",
    "EarlyStopConfig",
    "FoldConfig",
    "FusionConfig",
    "GazeConfig",
    "LossConfig",
    "Metric",
    "OptimConfig",
    "Positive",
    "Probability",
    "ProjectorConfig",
    "ResourcesConfig",
    "SearchConfig",
    "Section",
    "Seed",
    "TrackingConfig",
    "TrainConfig",
    "is_control",
    "parse_feature_mask",
]


class Config(Section):
    """One training run, completely."""

    preset: Literal["corrected", "reference"] = "corrected"
    """What keys are that nothing sets: the defaults in this file, or the recipe of the reference with its defects."""
    data: DataConfig = DataConfig()
    backbone: PathText = "tiny"
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
    def _check_preset(cls, value: object) -> object:
        return check_preset(value)

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, values: object) -> object:
        return add_defaults(values) if isinstance(values, dict) else values
