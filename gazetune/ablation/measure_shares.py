"""How much each reading measure explains of what the feature masks of a study reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gazetune.config import MEASURES


def share_by_measure(masks: Sequence[Sequence[str]], accuracies: Sequence[float]) -> Mapping[str, float]:
    """Return the share of each measure in what masks explain, the largest first.

    Accuracy is regressed on five indicators, one for each measure, by least squares. A measure's share is the square of
    its coefficient times the variance of its indicator, as a share of their sum. In a grid of all masks the indicators
    are as good as independent, so this is the share of the main effects in the analysis of variance.

    Parameters
    ----------
    masks
        [k] names of the measures that each arm sees.
    accuracies
        [k] mean accuracy of each arm.

    Returns
    -------
    Measure -> share; empty where fewer masks differ than there are measures to tell apart, or none explains anything.

    Examples
    --------
    >>> found = share_by_measure([["FFD"], ["TRT"], ["FFD", "TRT"], ["GPT"]], [0.7, 0.6, 0.8, 0.5])
    >>> [(name, round(share, 2)) for name, share in found.items()]
    [('FFD', 0.8), ('TRT', 0.2), ('GPT', 0.0)]
    """
    seen = [name for name in MEASURES if 0 < sum(name in mask for mask in masks) < len(masks)]
    if len(masks) <= len(seen):
        return {}
    indicators = np.array([[float(name in mask) for name in seen] for mask in masks])
    design = np.column_stack([np.ones(len(masks)), indicators])
    coefficients = np.linalg.lstsq(design, np.asarray(accuracies, dtype=np.float64), rcond=None)[0][1:]
    effects = coefficients**2 * indicators.var(axis=0)
    if not effects.sum() > 0:
        return {}
    shares = dict(zip(seen, (effects / effects.sum()).tolist(), strict=True))
    return dict(sorted(shares.items(), key=lambda entry: -entry[1]))
