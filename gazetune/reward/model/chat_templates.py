"""Chat templates for base models that come without one: those of their own instruct siblings.

Mistral-7B-v0.3 and Meta-Llama-3-8B have the special tokens of these formats in their vocabulary but no template.
Formats as published by Meta (Llama 3 model card) and Mistral AI (instruct model cards).
"""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

LLAMA_3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    " {{ message['content'] }}{{ eos_token }}{% else %}[INST] {{ message['content'] }} [/INST]{% endif %}{% endfor %}"
)
_BY_TOKEN = {"<|start_header_id|>": LLAMA_3, "[INST]": MISTRAL}


def sibling_template(tokenizer: PreTrainedTokenizerFast) -> str | None:
    """Return the template whose special tokens the tokenizer knows, or None."""
    vocabulary = tokenizer.get_vocab()
    return next((template for token, template in _BY_TOKEN.items() if token in vocabulary), None)
