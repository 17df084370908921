"""What one unit of gaze is to the model: a word, or a token of the predictor."""

from __future__ import annotations

from typing import Literal

from gazetune.config import Config
from gazetune.gaze.predictors.registry import find_predictor
from gazetune.reward.model.fusion_registry import fusion_class


def gaze_unit(config: Config) -> Literal["word", "predictor"]:
    """Return what a unit of the prepared gaze is under `config`.

    It is a token of the predictor where the predictor has tokens, `fusion.unit` asks for them, and the fusion takes
    units as a sequence. It is a word everywhere else: a token of the backbone holds one unit, so of several finer ones
    all but one would be lost. Fusions for which this is the same share one prepared data set.

    Raises
    ------
    InputError
        If no predictor or no fusion has the config's name.
    """
    own_tokens = config.fusion.unit == "predictor" and fusion_class(config.fusion.kind).takes_sequence
    return "predictor" if own_tokens and find_predictor(config).unit_of(config) == "token" else "word"
