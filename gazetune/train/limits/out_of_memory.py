"""Running out of memory while training, as one line that says what to change."""

from __future__ import annotations

import torch

from gazetune.config import Config
from gazetune.errors import RunError

_MESSAGES = ("out of memory", "can't allocate memory", "cannot allocate memory")


class OutOfMemory(RunError):
    """A worker had too little memory for a step or an evaluation."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch or Python means that there was no memory left, on a GPU or off it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)


def out_of_memory_message(config: Config) -> str:
    """Return the error message: what of a config to change so that less memory is needed, the cheapest first."""
    train, sharding = config.train, config.deepspeed
    smaller = "a lower train.batch_tokens" if train.batch_tokens else "train.batch_tokens (a budget for each pass)"
    advice = [smaller, f"a train.eval_tokens below {train.eval_tokens}"]
    if not train.gradient_checkpointing:
        advice.append("train.gradient_checkpointing: true")
    if sharding.stage < 3 and config.adapter.quantization == "none":
        advice.append(f"a deepspeed.stage above {sharding.stage}")
    if sharding.offload == "none":
        advice.append("deepspeed.offload: cpu")
    return "out of memory; what helps: " + ", ".join(advice)
