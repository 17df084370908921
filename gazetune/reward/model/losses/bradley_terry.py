"""The loss `bradley_terry`: minus the log-likelihood of the label."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from gazetune.reward.model.pair_losses import register_loss


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
