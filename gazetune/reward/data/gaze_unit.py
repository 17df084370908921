"""What one unit of gaze is to the model: a word, or a token of the predictor."""

from __future__ import annotations

from typing import Literal

from gazetune.config import Config
from gazetune.gaze.predictors.registry import find_predictor
from gazetune.reward.model.fusion import fusion_class


def gaze_unit(config: Config) -> Literal["word", "predictor"]:
    """Return what a unit of the prepared gaze is under `config`.

    A token of the predictor only where it has tokens, `fusion.unit` asks for them, and the fusion takes units as a
    sequence. On the tokens of the backbone units are words: a token holds one unit, so several to a token would be
    lost, all but one. Every fusion shares one prepared data set where this is the same.

    Raises
    ------
    InputError
        If no predictor or no fusion has the config's name.
    """
    own_tokens = config.fusion.unit == "predictor" and fusion_class(config.fusion.kind).takes_sequence
    return "predictor" if own_tokens and find_predictor(config).units == "token" else "word"
