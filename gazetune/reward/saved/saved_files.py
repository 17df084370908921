"""Names of the files in the folder of a saved model."""

from __future__ import annotations

WEIGHTS = "weights.safetensors"
CONFIG = "config.yaml"
TOKENIZER = "tokenizer"
TEMPLATE = "chat_template.jinja"
"""Of the tokenizer, in its folder."""
FACTS = "facts.json"
CARD = "README.md"
