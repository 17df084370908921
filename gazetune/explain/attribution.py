"""Which reading measures and words moved a reward: everything else of the conversation stays as it is.

measures of the text --------> reward
measures at their mean ------> reward that gaze says nothing for
the way between the two -----> how much each measure of each unit adds (integrated gradients)
measures given to others ----> what the reward is when words have each other's measures (shuffled)

The mean is that of the training split, by which the model standardises; where it does not, it is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.reward.data.gaze_chat_encoder import Chat
from gazetune.reward.saved.reward_scorer import RewardScorer

STEPS = 64
"""Points on the way from the mean to the measures of a text."""
SHUFFLES = 20


@dataclass(frozen=True)
class Attribution:
    """What moved the reward of one conversation with U units of gaze; F measures of the model's mask."""

    reward: float
    at_mean: float
    """The reward with every measure of every unit at its mean: what the text alone gives."""
    left_out: dict[str, float]
    """Measure -> the reward less that with this measure at its mean. Measures overlap, so these have no sum."""
    units: NDArray[np.float64]
    """[U, F] what each measure of each unit adds between `at_mean` and `reward`, by integrated gradients."""
    values: NDArray[np.float64]
    """[U, F] the measures, in their own units."""
    features: tuple[str, ...]
    messages: NDArray[np.int32]
    """[U] index of the message that each unit is part of."""
    spans: NDArray[np.int32]
    """[U, 2] character offsets of each unit into its message."""
    shuffled: NDArray[np.float64]
    """[shuffles] rewards with the measures of the units in another order, drawn at random."""

    @property
    def residual(self) -> float:
        """What the units leave unexplained; near 0 when the steps are many enough."""
        return self.reward - self.at_mean - float(self.units.sum())


def attribute_reward(
    scorer: RewardScorer, chat: Chat, steps: int = STEPS, shuffles: int = SHUFFLES, seed: int = 0
) -> Attribution:
    """Return what gaze adds to the reward of a conversation that ends with an assistant's reply.

    Integrated gradients (Sundararajan et al., ICML 2017, arXiv 1703.01365) along the straight line from the mean of the
    measures to those of the text, by the midpoint rule.

    Parameters
    ----------
    steps
        Points on that line; one forward and one backward pass each.
    shuffles
        Orders that the units' measures are given in.
    seed
        Draws the orders.

    Raises
    ------
    InputError
        For a model that sees no gaze, a conversation without words in its scope, and as `RewardScorer.score`.
    """
    model = scorer.model
    typical = model.fusion.typical_measures()
    if typical is None:
        raise InputError(
            f"fusion.kind '{model.config.fusion.kind}': this model sees no gaze, so no measure moves its reward; "
            "accepted: a model with gaze"
        )
    split, (aligned,) = scorer.encode_chats([chat])
    if not len(aligned.unit_index):
        raise InputError("the conversation has no words that the model sees gaze on; accepted: a reply with words")
    columns = model.feature_columns
    values = torch.from_numpy(split.values[aligned.unit_index]).clone()
    mean = values.clone()
    mean[:, columns] = typical.float().cpu()

    def reward_of(units: Tensor) -> Tensor:
        batch = split.batch_single_texts(np.zeros(len(units), dtype=np.int64), model.layout)
        batch = replace(batch, units=units.reshape(-1, len(MEASURES))).to(model.head.weight.device)
        rewards: Tensor = model(batch)
        return rewards.float().cpu()

    longest = int(split.text_lengths(model.layout).max())
    at_once = max(1, model.config.train.eval_tokens // longest)
    with _weights_at_rest(model):
        changed = _changed_measures(values, mean, columns, shuffles, seed)
        rewards = _reward_each(reward_of, changed, at_once)
        gradients = _mean_gradient(reward_of, mean, values - mean, steps, at_once)
    features = tuple(MEASURES[column] for column in columns)
    effects = (values - mean).numpy().astype(np.float64) * gradients
    return Attribution(
        reward=float(rewards[0]),
        at_mean=float(rewards[1]),
        left_out={name: float(rewards[0] - rewards[2 + at]) for at, name in enumerate(features)},
        units=effects[:, columns],
        values=values.numpy().astype(np.float64)[:, columns],
        features=features,
        messages=aligned.unit_message,
        spans=aligned.unit_spans,
        shuffled=rewards[2 + len(features) :],
    )


@contextmanager
def _weights_at_rest(model: torch.nn.Module) -> Iterator[None]:
    """Turn dropout and the gradients of weights off, and afterwards on again where they were."""
    was_training = model.training
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for weight in trained:
            weight.requires_grad_(True)


def _changed_measures(values: Tensor, mean: Tensor, columns: Sequence[int], shuffles: int, seed: int) -> Tensor:
    """Return [n, U, 5]: as they are, all at the mean, each measure at its mean, then the shuffled ones."""
    generator = np.random.default_rng(seed)
    changed = [values, mean]
    for column in columns:
        without = values.clone()
        without[:, column] = mean[:, column]
        changed.append(without)
    changed += [values[torch.from_numpy(generator.permutation(len(values)))] for _ in range(shuffles)]
    return torch.stack(changed)


def _reward_each(reward_of: Callable[[Tensor], Tensor], units: Tensor, at_once: int) -> NDArray[np.float64]:
    """Return the rewards [n] for measures [n, U, 5]."""
    with torch.no_grad():
        return torch.cat([reward_of(part) for part in units.split(at_once)]).numpy().astype(np.float64)


def _mean_gradient(
    reward_of: Callable[[Tensor], Tensor], start: Tensor, way: Tensor, steps: int, at_once: int
) -> NDArray[np.float64]:
    """Return the mean gradient [U, 5] of the reward at the middles of `steps` equal parts of the way from `start`."""
    total = torch.zeros_like(start, dtype=torch.float64)
    shares = (torch.arange(steps) + 0.5) / steps
    for part in shares.split(at_once):
        units = (start + part[:, None, None] * way).requires_grad_(True)
        (gradient,) = torch.autograd.grad(reward_of(units).sum(), units)
        total += gradient.double().sum(dim=0)
    return (total / steps).numpy()
