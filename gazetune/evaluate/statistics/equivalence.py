"""Whether two runs are shown to be as good as each other, which a test that finds no difference does not show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.statistics.bootstrap import group_items
from gazetune.evaluate.statistics.paired import Groups, item_differences


def equivalence_p(
    scores_a: NDArray[np.float64], scores_b: NDArray[np.float64], within: float, groups: Groups = None
) -> float:
    """Return the p of two one-sided t-tests that the mean difference lies within -`within` and `within`.

    A p of at most 0.05 shows that there is no difference as large as `within` (Schuirmann 1987, Journal of
    Pharmacokinetics and Biopharmaceutics 15:657-680).

    Parameters
    ----------
    scores_a, scores_b
        [n] each: correctness or another score of item i.
    within
        The largest difference that does not matter, in units of the scores; for accuracies 0.02 is two points.
    groups
        [n], the prompt of each item; the standard error is robust to such groups.

    Raises
    ------
    ValueError
        For fewer than two groups, different numbers of items, NaN, or `within` not above 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.random(2000), rng.random(2000)
    >>> equivalence_p(a, b, 0.1) < 0.001, equivalence_p(a, b, 0.001) > 0.1
    (True, True)
    """
    if not within > 0:
        raise ValueError(f"within must be above 0, got {within}")
    items = group_items(item_differences(scores_a, scores_b), groups)
    count = len(items.sums)
    if count < 2:
        raise ValueError(f"an equivalence test needs at least two items (or prompts), got {count}")
    from scipy import stats

    nearest = within - abs(items.mean)  # to the nearer end; the other one-sided p is smaller
    if items.standard_error == 0.0:
        return 0.0 if nearest > 0 else 1.0
    return float(stats.t.sf(nearest / items.standard_error, count - 1))
