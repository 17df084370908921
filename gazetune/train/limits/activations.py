"""How many positions a pass reads, and how much memory its activations take: an estimate from shapes alone."""

from __future__ import annotations

import math

from transformers import PreTrainedConfig

from gazetune.config import Config
from gazetune.reward.model.fusion_registry import fusion_class

CHARACTERS_PER_TOKEN = 4
"""English text in the tokenizers of today's language models, roughly."""
CHARACTERS_PER_UNIT = 6
"""A word with its space: a fusion with positions of its own adds about one for each."""
FLOAT32 = 4


def conversation_positions(config: Config, context: int | None) -> int:
    """Return about how many positions the backbone reads of the longest conversation.

    Half of `data.max_chars`, since a pair is two conversations, and no more text than `data.max_tokens` holds. Gaze
    adds what the fusion's `positions_per_unit` says; the two boundaries do not count in an estimate. It is never more
    than the backbone's `context`.

    Examples
    --------
    >>> config = Config.model_validate({"data": {"max_chars": 2400}, "fusion": {"kind": "concat"}})
    >>> conversation_positions(config, context=None)  # 1,200 characters: 300 tokens and 200 words
    500
    >>> conversation_positions(config, context=400)
    400
    """
    characters = math.inf if config.data.max_chars is None else config.data.max_chars / 2
    tokens = math.inf if config.data.max_tokens is None else config.data.max_tokens
    characters = min(characters, tokens * CHARACTERS_PER_TOKEN)
    positions = characters / CHARACTERS_PER_TOKEN
    if fusion_class(config.fusion.kind).positions_per_unit:
        positions += characters / CHARACTERS_PER_UNIT
    limit = math.inf if context is None else context
    longest = min(positions, limit)
    return math.ceil(longest) if math.isfinite(longest) else 4096


def pass_positions(config: Config, positions: int) -> int:
    """Return the most positions that one worker reads in one forward pass of training.

    Parameters
    ----------
    config
        Without `train.batch_tokens` a pass has `train.batch_size` pairs over all workers. With it, it has at most so
        many positions, but always a pair, and never more than the pairs of a step.
    positions
        Of the longest conversation.

    Examples
    --------
    >>> train = {"batch_size": 16, "accumulate": 4}
    >>> config = Config.model_validate({"train": train, "resources": {"workers": 2}})
    >>> pass_positions(config, positions=1000)  # 8 pairs
    16000
    >>> config = Config.model_validate({"train": {**train, "batch_tokens": 4000}, "resources": {"workers": 2}})
    >>> pass_positions(config, positions=1000), pass_positions(config, positions=3000), pass_positions(config, 10)
    (4000, 6000, 640)
    """
    train, workers = config.train, config.resources.workers
    if train.batch_tokens is None:
        return 2 * positions * math.ceil(train.batch_size / workers)
    in_step = 2 * positions * math.ceil(train.batch_size * train.accumulate / workers)
    return min(in_step, max(train.batch_tokens, 2 * positions))


def evaluation_positions(config: Config, positions: int) -> int:
    """Return the most positions that one worker reads in one pass of an evaluation: a pair, or `train.eval_tokens`."""
    return max(config.train.eval_tokens, 2 * positions)


def activation_bytes(shape: PreTrainedConfig, positions: int, value_bytes: int, checkpointing: bool) -> int:
    """Estimate the bytes that the backward pass keeps of `positions` positions (all rows of a pass together).

    Per layer and position, with hidden size h, feed-forward size f and b bytes a value: two norms that compute in
    float32 keep 2 (4 + 2b) h, attention without a matrix of scores 5 b h, a gated feed-forward part 4 b f. With
    checkpointing b h a layer, and one layer in full while it is computed again (Korthikanti et al. 2022, arXiv
    2205.05198, count layers in this way). All weights are taken to train, so that with an adapter it is an upper bound;
    dropout inside the backbone is not counted.
    """
    hidden, layers = int(shape.hidden_size), int(shape.num_hidden_layers)
    layer = _layer_bytes(shape, value_bytes)
    kept = layers * value_bytes * hidden + layer if checkpointing else layers * layer
    return positions * kept


def evaluation_bytes(shape: PreTrainedConfig, positions: int, value_bytes: int) -> int:
    """Estimate the bytes of a pass without gradients: what goes into a layer and comes out of it, and the layer."""
    return positions * (2 * value_bytes * int(shape.hidden_size) + _layer_bytes(shape, value_bytes))


def _layer_bytes(shape: PreTrainedConfig, value_bytes: int) -> int:
    """Return the bytes that one layer makes of one position; the docstring of `activation_bytes` counts them."""
    hidden = int(shape.hidden_size)
    feed_forward = int(getattr(shape, "intermediate_size", None) or 4 * hidden)
    norms = 2 * (FLOAT32 + 2 * value_bytes) * hidden
    return norms + 5 * value_bytes * hidden + 4 * value_bytes * feed_forward
