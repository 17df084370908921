"""Losses of a preference pair. Another one joins by a file `losses/NAME.py` with `@register_loss("NAME")`.

A registered loss knows the rewards, the pair's margin and the label smoothing. Which margin a pair has, and the term
that centres the rewards, are the same for every loss and are added by `create_loss`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from gazetune.config import LossConfig
from gazetune.config.file_names import names_of_files
from gazetune.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


class PairLoss(Protocol):
    """What a registered loss is: rewards [n] and margins ([n] or one for all) in, losses [n] out."""

    def __call__(
        self, chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the loss of each pair."""
        ...


ConfiguredLoss = Callable[["Tensor", "Tensor", "Tensor | None"], "Tensor"]
"""`(chosen[n], rejected[n], scores[n]) -> losses[n]`; `scores` are the pairs' differences of scores, or None."""

_LOSSES: dict[str, PairLoss] = {}


def register_loss(name: str) -> Callable[[PairLoss], PairLoss]:
    """Return a decorator that registers a loss under `name` (the value of `loss.kind`)."""

    def add_loss(function: PairLoss) -> PairLoss:
        _LOSSES[name] = function
        return function

    return add_loss


def check_loss_kind(name: str) -> None:
    """Raise `InputError` when `name` is no registered loss. Imports no loss."""
    names = list(dict.fromkeys([*names_of_files("reward/model/losses"), *_LOSSES]))
    if name not in names:
        raise InputError(f"loss.kind: unknown loss '{name}'; {did_you_mean(name, names)}")


def find_loss(name: str) -> PairLoss:
    """Return the loss registered under `name`.

    Raises
    ------
    InputError
        When there is none.
    """
    check_loss_kind(name)
    if name not in _LOSSES:
        importlib.import_module(f"gazetune.reward.model.losses.{name}")
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
