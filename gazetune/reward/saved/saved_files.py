"""Names of the files in the folder of a saved model."""

from __future__ import annotations

WEIGHTS = "weights.safetensors"
CONFIG = "config.yaml"
TOKENIZER = "tokenizer"
TEMPLATE = "chat_template.jinja"
"""Of the tokenizer, in its folder."""
BACKBONE_SAMPLE = "backbone_sample.safetensors"
"""Some values of the frozen weights that it was trained on; missing where all of them trained."""
FACTS = "facts.json"
CARD = "README.md"
