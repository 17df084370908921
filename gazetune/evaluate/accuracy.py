"""Pairwise accuracy of a reward model, from the margins of its preference pairs.

A margin is the reward of the chosen reply minus the reward of the rejected one. Per-item values are float64 throughout,
so that two runs can be compared item by item later (`gazetune.evaluate.statistics.paired_difference`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pair_correctness(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each pair whether the chosen reply got the higher reward.

    Parameters
    ----------
    margins
        [n] rewards of the chosen replies minus rewards of the rejected ones.

    Returns
    -------
    [n] of 1 (right), 0 (wrong), one half (a tie: a coin flip would be right half the time). A NaN margin stays NaN, so
    that a model which produces NaN gets no accuracy instead of a low one.

    Examples
    --------
    >>> pair_correctness(np.array([2.5, -0.1, 0.0]))
    array([1. , 0. , 0.5])
    """
    return (np.sign(np.asarray(margins, dtype=np.float64)) + 1.0) / 2.0


def pair_log_likelihoods(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log sigmoid(margin) of each pair [n], in nats: how likely its label is under the rewards.

    This is the model of Bradley and Terry (1952), Rank analysis of incomplete block designs. It is computed as
    -log(exp(0) + exp(-margin)), which is stable for margins of any size.

    Examples
    --------
    >>> pair_log_likelihoods(np.array([0.0, 3.0, -1000.0])).round(3).tolist()
    [-0.693, -0.049, -1000.0]
    """
    return -np.logaddexp(0.0, -np.asarray(margins, dtype=np.float64))


def pairwise_accuracy(margins: NDArray[np.float64]) -> float:
    """Return the share of pairs that are ranked rightly, ties counting one half.

    Raises
    ------
    ValueError
        For no margins at all.

    Examples
    --------
    >>> pairwise_accuracy(np.array([2.5, -0.1, 0.0, 1.0]))
    0.625
    """
    if len(margins) == 0:
        raise ValueError("an accuracy needs at least one margin, got none")
    return float(pair_correctness(margins).mean())


def bradley_terry_loss(margins: NDArray[np.float64]) -> float:
    """Return the mean of -log sigmoid(margin), in nats (see `pair_log_likelihoods`)."""
    return float(-pair_log_likelihoods(margins).mean())


def summarise_rewards(
    margins: NDArray[np.float64], rewards_chosen: NDArray[np.float64], rewards_rejected: NDArray[np.float64]
) -> dict[str, float]:
    """Return the statistics of one split that are tracked at every evaluation.

    Parameters
    ----------
    margins, rewards_chosen, rewards_rejected
        [n] each.

    Returns
    -------
    `accuracy`, `loss`, and mean and standard deviation (over the pairs, n in the denominator) of the margin and of the
    rewards: `margin_mean`, `margin_std`, `reward_chosen_mean`, ... `reward_rejected_std`.

    Raises
    ------
    ValueError
        For no pairs, or arrays of different lengths.
    """
    if not len(margins) == len(rewards_chosen) == len(rewards_rejected):
        lengths = f"{len(margins)}, {len(rewards_chosen)} and {len(rewards_rejected)}"
        raise ValueError(f"margins and rewards must have one length, got {lengths}")
    result = {"accuracy": pairwise_accuracy(margins), "loss": bradley_terry_loss(margins)}
    columns = {"margin": margins, "reward_chosen": rewards_chosen, "reward_rejected": rewards_rejected}
    for name, values in columns.items():
        values = np.asarray(values, dtype=np.float64)
        result[f"{name}_mean"] = float(values.mean())
        result[f"{name}_std"] = float(values.std())
    return result
