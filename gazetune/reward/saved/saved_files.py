"""Names of the files in the folder of a saved model, and what tells it from a model of transformers."""

from __future__ import annotations

import json
from pathlib import Path

WEIGHTS = "weights.safetensors"
CONFIG = "config.yaml"
TOKENIZER = "tokenizer"
TEMPLATE = "chat_template.jinja"
"""Of the tokenizer, in its folder."""
BACKBONE_SAMPLE = "backbone_sample.safetensors"
"""Some values of the frozen weights that it was trained on; missing where all of them trained."""
FACTS = "facts.json"
CARD = "README.md"
REWARDS = "rewards.npy"
"""[pairs, 2] rewards of the validation pairs that the model was chosen by."""
OLD_MARGINS = "margins.npy"
"""What older versions kept instead: [pairs], the reward of the chosen less that of the rejected reply."""
IN_FOLDER = "{folder}"
"""Begins the paths in the config of a portable model: the folder that the model lies in."""


def is_classifier(folder: Path) -> bool:
    """Tell whether a folder holds a sequence-classification model of transformers."""
    try:
        architectures = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError, AttributeError):
        return False
    return any(str(name).endswith("ForSequenceClassification") for name in architectures or ())
