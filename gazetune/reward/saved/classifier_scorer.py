"""Rewards of conversations from a reward model of transformers: a sequence-classification model with one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.preferences.pair import Message
from gazetune.reward.data.gaze_chat_encoder import Chat
from gazetune.reward.saved.reward_scorer import OverLongChat

_LIMIT = 1_000_000
"""Tokenizers without a limit say a number beyond this."""


class ClassifierScorer:
    """Gives conversations the rewards of a reward model of transformers, as its own users would.

    The text is that of the model's chat template, tokenised without further special tokens; the reward is the one
    logit. Texts are padded on the right, and an attention mask leaves the padding out.

    Parameters
    ----------
    name
        A folder, or an id on the Hugging Face hub.
    batch_tokens
        Most positions of one forward pass, padding included.

    Raises
    ------
    InputError
        When it cannot be loaded, has other than one label, or its tokenizer no chat template.
    """

    def __init__(self, name: str, batch_tokens: int = 16_384) -> None:
        try:
            # Any: what the classes of transformers return depends on the folder.
            loaded: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model: Any = AutoModelForSequenceClassification.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{name}: cannot be loaded as a sequence-classification model ({reason})") from None
        if model.config.num_labels != 1:
            raise InputError(f"{name}: has {model.config.num_labels} labels; accepted: a reward model with one")
        if not loaded.chat_template:
            raise InputError(f"{name}: its tokenizer has no chat template; accepted: a model with one")
        self.tokenizer, self.model = cast(PreTrainedTokenizerFast, loaded), model.eval()
        self._batch_tokens = batch_tokens
        self._pad = self._find_padding()
        limits = (loaded.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self._context = min((limit for limit in limits if limit and limit < _LIMIT), default=_LIMIT)

    def score(self, chats: Sequence[Chat]) -> Tensor:
        """Return the rewards [n] float32 of conversations that end with an assistant's reply.

        Raises
        ------
        InputError
            For a conversation that the chat template refuses.
        OverLongChat
            For one with more tokens than the model takes.
        """
        texts = [self._encode(chat, number) for number, chat in enumerate(chats)]
        rewards = torch.zeros(len(texts))
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        while order:
            width = len(texts[order[-1]])
            at_once = max(1, self._batch_tokens // width)
            batch, order = order[-at_once:], order[:-at_once]
            rewards[batch] = self._score_batch([texts[at] for at in batch], width)
        return rewards

    def _score_batch(self, texts: Sequence[Sequence[int]], width: int) -> Tensor:
        ids = torch.full((len(texts), width), self._pad)
        mask = torch.zeros((len(texts), width), dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        device = self.model.device
        with torch.no_grad():
            logits: Tensor = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        return logits[:, 0].float().cpu()

    def _encode(self, chat: Chat, number: int) -> list[int]:
        messages: Any = [{"role": m.role, "content": m.content} if isinstance(m, Message) else dict(m) for m in chat]
        try:
            ids = cast("list[int]", self.tokenizer.apply_chat_template(messages, return_dict=False))
        except Exception as error:  # jinja2's own, and what a template raises by itself
            reason = " ".join(str(error).split())
            raise InputError(f"chat {number}: the chat template refuses it ({reason})") from None
        if len(ids) > self._context:
            raise OverLongChat(f"chat {number}: {len(ids)} tokens, and the model takes {self._context}")
        return ids

    def _find_padding(self) -> int:
        """Return the token that texts are padded with; transformers finds the end of a text by it."""
        configs = (self.model.config, self.model.config.get_text_config())
        known = [each.pad_token_id for each in configs if each.pad_token_id is not None]
        pad = known[0] if known else self.tokenizer.pad_token_id
        if pad is None:
            self._batch_tokens = 1  # a text by itself needs no padding, and its end is its last token
            return 0
        for each in configs:
            each.pad_token_id = pad
        return int(pad)
