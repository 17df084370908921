"""The other side of part `training`: a plain loop with transformers and PEFT, which pads texts on the right.

A sequence classifier of transformers around the backbone, LoRA of PEFT on its query and value projections, torch's
fused AdamW. Nothing of gazetune but the order in which passes are filled, and the counting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from transformers import MistralForSequenceClassification, PreTrainedModel

from gazetune.config import Config
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.train.processes.deepspeed_config import MAX_GRADIENT_NORM
from tests.bench.gpu_step import Figures, divide_padded_passes, time_steps
from tests.bench.model_flop import count_segment_flop, separate_texts


def time_padded_loop(
    config: Config, split: EncodedSplit, backbone: PreTrainedModel, device: torch.device, steps: int
) -> Figures:
    """Take `steps` steps over all pairs as they come, in passes of at most `train.batch_tokens` positions."""
    model = wrap_classifier(config, backbone)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.optim.learning_rate, fused=True)
    lengths = np.diff(split.token_starts).reshape(-1, 2)
    assert config.train.batch_tokens is not None
    passes = divide_padded_passes(lengths, config.train.batch_tokens)
    take_step = _step_of(model, optimizer, trained, split, passes, device)
    # PEFT has put its matrices into the backbone.
    flop = count_segment_flop(backbone, backbone.config, separate_texts(lengths.reshape(-1).tolist()))
    return time_steps(take_step, flop, len(passes), split, steps, device)


def wrap_classifier(config: Config, backbone: PreTrainedModel) -> Any:
    """Return transformers' classifier with the weights of a bare backbone, its LoRA matrices and head trainable."""
    shape = backbone.config
    shape.num_labels = 1
    with torch.device("meta"):  # the backbone of this one is not wanted
        made = MistralForSequenceClassification(shape)
    made.model = backbone
    embedding = backbone.get_input_embeddings().weight
    made.score = nn.Linear(shape.hidden_size, 1, bias=False, device=embedding.device, dtype=embedding.dtype)
    lora = LoraConfig(
        task_type="SEQ_CLS",
        r=config.adapter.r,
        lora_alpha=int(config.adapter.alpha),
        lora_dropout=config.adapter.dropout,
        target_modules=["q_proj", "v_proj"],
    )
    made.requires_grad_(False)
    # In the dtype of the backbone, as ours: PEFT's own float32 would only make this side slower.
    return get_peft_model(made, lora, autocast_adapter_dtype=False).train()


def pad_right(split: EncodedSplit, pairs: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and mask [2n, L] of n pairs: their chosen texts, then their rejected ones."""
    texts = np.concatenate([2 * pairs, 2 * pairs + 1])
    rows = [torch.from_numpy(split.ids[split.token_starts[at] : split.token_starts[at + 1]]).long() for at in texts]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=split.pad_token)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return ids.to(device), mask.long().to(device)


def _step_of(
    model: Any,
    optimizer: torch.optim.Optimizer,
    trained: list[nn.Parameter],
    split: EncodedSplit,
    passes: list[NDArray[np.int64]],
    device: torch.device,
) -> Callable[[int], None]:
    def take_step(step: int) -> None:
        for pairs in passes:
            ids, mask = pad_right(split, pairs, device)
            chosen, rejected = model(input_ids=ids, attention_mask=mask).logits[:, 0].float().view(2, -1)
            (-logsigmoid(chosen - rejected).sum() / len(split)).backward()
        nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()

    return take_step
