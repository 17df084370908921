"""Losses of a preference pair. Another one joins with `@register_loss("name")` in a file of its own.

A registered loss knows the rewards, the pair's margin and the label smoothing. Which margin a pair has, and the term
that centres the rewards, are the same for every loss and are added by `create_loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from gazetune.config import LossConfig
from gazetune.errors import InputError, did_you_mean


class PairLoss(Protocol):
    """What a registered loss is: rewards [n] and margins ([n] or one for all) in, losses [n] out."""

    def __call__(
        self, chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the loss of each pair."""
        ...


ConfiguredLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""`(chosen[n], rejected[n], scores[n]) -> losses[n]`; `scores` are the pairs' differences of scores, or None."""

_LOSSES: dict[str, PairLoss] = {}


def register_loss(name: str) -> Callable[[PairLoss], PairLoss]:
    """Return a decorator that registers a loss under `name` (the value of `loss.kind`)."""

    def add_loss(function: PairLoss) -> PairLoss:
        _LOSSES[name] = function
        return function

    return add_loss


def find_loss(name: str) -> PairLoss:
    """Return the loss registered under `name`.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in _LOSSES:
        raise InputError(f"loss.kind: unknown loss '{name}'; {did_you_mean(name, _LOSSES)}")
    return _LOSSES[name]


def create_loss(config: LossConfig) -> ConfiguredLoss:
    """Return the loss that a config's `loss` section describes.

    It is the registered loss with its margin (Touvron et al. 2023, Llama 2, eq. 2) plus `center` times the square of
    r_chosen + r_rejected. The second term fixes the level of the rewards (Eisenstein et al. 2023, arXiv 2312.09244).
    The mean over pairs is the loss of TRL's `RewardTrainer`, with `center` as its `center_rewards_coefficient`.

    Raises
    ------
    InputError
        For an unknown `loss.kind`.
    ValueError
        From the returned function: `loss.margin` is `score` and no scores were given.
    """
    loss = find_loss(config.kind)

    def compute_losses(chosen: Tensor, rejected: Tensor, scores: Tensor | None) -> Tensor:
        losses = loss(chosen, rejected, _margin_of_pairs(config, chosen, scores), config.label_smoothing)
        return losses + config.center * (chosen + rejected) ** 2 if config.center else losses

    return compute_losses


def _margin_of_pairs(config: LossConfig, chosen: Tensor, scores: Tensor | None) -> Tensor | float:
    if config.margin == "none":
        return 0.0
    if config.margin != "score":
        return config.margin
    if scores is None:
        raise ValueError("loss.margin is score, but the batch has no scores")
    return scores.to(chosen)


def check_scores(config: LossConfig, source: str, scores: NDArray[np.float32]) -> None:
    """Refuse `loss.margin: score` for training pairs without scores.

    Parameters
    ----------
    config
        The loss section.
    source
        `data.source`, as the line names it.
    scores
        [n] differences of scores of the training pairs, NaN where a pair has none.

    Raises
    ------
    InputError
        When the margin is the score and a pair has none.
    """
    missing = np.flatnonzero(np.isnan(scores))
    if config.margin == "score" and len(missing):
        raise InputError(
            f"loss.margin: score needs a score difference for every pair, and {len(missing)} of the {len(scores)} "
            f"training pairs of data.source '{source}' have none (first: pair {missing[0] + 1}); "
            f"accepted: none, a number >= 0, or data with scores"
        )


@register_loss("bradley_terry")
def bradley_terry(
    chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, label_smoothing: float = 0.0
) -> Tensor:
    """Minus the log-likelihood of the label under sigmoid(r_chosen - r_rejected - margin) (Bradley & Terry 1952).

    With label smoothing e the label is taken to be wrong with probability e: -(1 - e) logsigmoid(d) - e logsigmoid(-d)
    with d = r_chosen - r_rejected - margin (conservative DPO, Mitchell 2023, with d for DPO's logits).

    Parameters
    ----------
    chosen, rejected
        [n] rewards.
    margin
        [n], or one for all pairs.
    label_smoothing
        In [0, 0.5).

    Returns
    -------
    [n] losses in nats, finite wherever the difference is.

    Examples
    --------
    >>> import torch
    >>> bradley_terry(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 0.0]))
    tensor([0.6931, 0.1269])
    """
    difference = chosen - rejected - margin
    losses = -logsigmoid(difference)
    # logsigmoid(-d) = logsigmoid(d) - d, so smoothing adds a line to the loss.
    return losses + label_smoothing * difference if label_smoothing else losses
