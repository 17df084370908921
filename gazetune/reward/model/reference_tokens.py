"""The tokens that the reference reads a conversation as (`data.tokens: reference`).

The public GazeReward code (arXiv 2410.01532, at e7e7ec8) renders a chat and then tokenises it like any text, so that
the tokenizer adds its BOS to the one of the template. Where a tokenizer has no chat template, it takes the one that
transformers 4.40 had for its class, and it adds the special tokens of that template, and a padding token, to the
vocabulary. Their embeddings are new and, beside LoRA, never trained.

    Llama 3 base    ChatML, whose <|im_start|> and <|im_end|> are new tokens
    Mistral         that of Llama 2 with a space before </s>; and </s> once more, since the tokenizer is told to add it
"""

from __future__ import annotations

import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

ADDED_TOKENS = 3
"""Tokens that `add_reference_tokens` adds at most, and rows of `AddedTokens`."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}"
    "{% set loop_messages = messages[1:] %}{% else %}{% set system_message = false %}{% set loop_messages = messages %}"
    "{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set content = message['content'] %}{% if loop.index0 == 0 and system_message %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + content %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_PADDING = "<PAD>"
_CHATML_TOKENS = ["<|im_end|>", "<|im_start|>"]
_LLAMA_2_TOKENS = ["<<SYS>", "<</SYS>"]  # what its pattern, from < to the next >, finds in the template


def add_reference_tokens(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Give the tokenizer the reference's padding token, chat template and special tokens, and return it.

    What the tokenizer has already stays: its own padding token, template, and tokens of these names.
    """
    is_llama = type(tokenizer).__name__.startswith("LlamaTokenizer")
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": _PADDING})
    tokenizer.add_tokens(_LLAMA_2_TOKENS if is_llama else _CHATML_TOKENS, special_tokens=True)
    tokenizer.chat_template = tokenizer.chat_template or (LLAMA_2 if is_llama else CHATML)
    if is_llama:  # the only class that heeds `add_eos_token`
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{tokenizer.bos_token} $A {tokenizer.eos_token}",
            special_tokens=[
                (str(tokenizer.bos_token), int(tokenizer.bos_token_id)),
                (str(tokenizer.eos_token), int(tokenizer.eos_token_id)),
            ],
        )
    return tokenizer


class AddedTokens(nn.Module):
    """Embeddings of the tokens that a tokenizer has beyond the vocabulary of the backbone.

    They are a table of their own: the backbone stays as it is on disk and for other trials. Rows are drawn as
    transformers draws new rows of an embedding: normal, with the model's `initializer_range`.
    """

    def __init__(self, vocabulary: int, hidden: int, std: float) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.table = nn.Embedding(ADDED_TOKENS, hidden)
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, ids: Tensor, embeddings: Tensor) -> Tensor:
        """Return the embeddings [N, H] of tokens [N], those beyond the vocabulary from the table."""
        added = self.table((ids - self.vocabulary).clamp(min=0)).to(embeddings.dtype)
        return torch.where((ids >= self.vocabulary).unsqueeze(-1), added, embeddings)
