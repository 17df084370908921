"""Which reply is preferred, from differences of features: fitted on some groups of pairs, scored on the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
PENALTY = 1.0
"""Of the squared weights, beside the sum of the losses: C = 1, the default of scikit-learn's LogisticRegression."""


def divide_into_folds(groups: NDArray[np.str_], folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """Return [n] the fold of each pair: groups stay whole, in a drawn order, and folds hold about as many pairs.

    Raises
    ------
    ValueError
        For fewer groups than folds.

    Examples
    --------
    >>> fold = divide_into_folds(np.array(["a", "a", "b", "c", "d"]), folds=2)
    >>> fold[0] == fold[1], sorted(set(fold.tolist()))
    (np.True_, [0, 1])
    """
    names, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ValueError(f"{folds} folds need as many groups, got {len(names)}")
    fold_of_group = np.zeros(len(names), dtype=np.int64)
    filled = np.zeros(folds)
    order = np.random.default_rng(seed).permutation(len(names))
    # The largest groups go first, so that those after them can even the folds out.
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of_group[group] = int(np.argmin(filled))
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[member]


def predict_margins(features: NDArray[np.float64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return [n] the margin of each pair by a logistic regression on the pairs of the other folds.

    The regression has no constant: chosen and rejected changing places changes the sign of the features and of the
    margin (Bradley and Terry 1952). Features are divided by their root mean square over the pairs that are fitted on.

    Parameters
    ----------
    features
        [n, f] chosen less rejected.
    fold
        [n] of each pair.

    Examples
    --------
    >>> features = np.array([[1.0], [2.0], [1.5], [0.5]])
    >>> (predict_margins(features, np.array([0, 0, 1, 1])) > 0).all()
    np.True_
    """
    margins = np.zeros(len(features))
    for each in np.unique(fold):
        held_out = fold == each
        scale = np.sqrt((features[~held_out] ** 2).mean(axis=0))
        scale = np.where(
            scale > 0, scale, np.inf
        )  # a feature that is the same on both replies of all pairs says nothing
        weights = fit_weights(features[~held_out] / scale)
        margins[held_out] = (features[held_out] / scale) @ weights
    return margins


def fit_weights(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights [f] under which the chosen replies of pairs [n, f] are most likely, with a ridge penalty.

    Newton's steps within a trust region: some ten, where a method that knows no curvature takes hundreds.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    # einsum and not @: the threads of a BLAS take ten times as long for so little, where others use the processors.
    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = np.einsum("nf,f->n", features, weights)
        value = np.logaddexp(0.0, -margins).sum() + 0.5 * PENALTY * (weights**2).sum()
        return float(value), PENALTY * weights - np.einsum("nf,n->f", features, expit(-margins))

    def curvature(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = expit(np.einsum("nf,f->n", features, weights))
        weighted = features * (chance * (1.0 - chance))[:, None]
        return PENALTY * np.eye(len(weights)) + np.einsum("nf,ng->fg", features, weighted)

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, hess=curvature, method="trust-exact")
    return np.asarray(found.x, dtype=np.float64)
