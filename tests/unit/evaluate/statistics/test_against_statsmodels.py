"""The same figures as statsmodels, an independent implementation that the tests alone use."""

from __future__ import annotations

import numpy as np
import pytest

from gazetune.evaluate.statistics import (
    accuracy_interval,
    adjust_benjamini_hochberg,
    adjust_holm,
    equivalence_p,
    paired_difference,
    seeds_needed,
)
from gazetune.evaluate.statistics.bootstrap import group_items

pytest.importorskip("statsmodels")
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.random(500) < 0.8).astype(np.float64), (rng.random(500) < 0.75).astype(np.float64)


@pytest.mark.parametrize(("adjust", "method"), [(adjust_holm, "holm"), (adjust_benjamini_hochberg, "fdr_bh")])
def test_adjusted_p_values(adjust: object, method: str) -> None:
    values = np.random.default_rng(1).random(30) ** 4
    assert adjust(values) == pytest.approx(multipletests(values, method=method)[1])  # type: ignore[operator]


def test_mcnemars_exact_test(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pairs
    table = [[int(((a == x) & (b == y)).sum()) for y in (1, 0)] for x in (1, 0)]
    assert paired_difference(a, b).p == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_wilsons_interval(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    expected = proportion_confint(int(pairs[0].sum()), 500, method="wilson")
    assert accuracy_interval(pairs[0]) == pytest.approx(expected)


@pytest.mark.parametrize("within", [0.02, 0.1])
def test_two_one_sided_tests(pairs: tuple[np.ndarray, np.ndarray], within: float) -> None:
    a, b = pairs
    assert equivalence_p(a, b, within) == pytest.approx(ttost_paired(a, b, -within, within)[0])


def test_standard_errors_that_are_robust_to_prompts(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    prompts = np.random.default_rng(2).integers(0, 60, 500)
    items = pairs[0] - pairs[1]
    fit = OLS(items, np.ones(500)).fit(cov_type="cluster", cov_kwds={"groups": prompts, "df_correction": True})
    found = group_items(items, prompts)
    assert found.mean == pytest.approx(fit.params[0])
    assert found.standard_error == pytest.approx(fit.bse[0], rel=1e-6)


def test_seeds_that_are_needed() -> None:
    for effect in (0.5, 1.0, 2.0):
        expected = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)
        assert seeds_needed(effect, 1.0) == int(np.ceil(expected))
