"""Intervals and regression lines, held against their definitions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from deeplinear.experiments.results.statistics import (
    median_interval,
    regression_line,
    wilson_interval,
)


def covered(k: int, n: int) -> Fraction:
    """Return how likely the median lies from value number k to number n + 1 - k of n."""
    return 1 - Fraction(2 * sum(math.comb(n, j) for j in range(k)), 2**n)


@pytest.mark.parametrize("n", [6, 7, 8, 9, 20, 21, 80, 1000])
def test_median_interval_is_the_narrowest_that_covers(n):
    values = np.random.default_rng(n).standard_normal(n)
    median, lower, upper = median_interval(values)
    x = np.sort(values)
    k = int(np.searchsorted(x, lower)) + 1
    assert (x[k - 1], x[n - k]) == (lower, upper)
    assert median == np.median(values)
    assert covered(k, n) >= Fraction(95, 100) > covered(k + 1, n)


@pytest.mark.parametrize("n", range(6))
def test_median_interval_of_few_values(n):
    median, lower, upper = median_interval([1.0, 2.0, 4.0, 5.0, 9.0][:n])
    assert math.isnan(lower)
    assert math.isnan(upper)
    assert math.isnan(median) if n == 0 else median == [1, 1.5, 2, 3, 4][n - 1]


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (1, 20), (13, 80), (20, 20), (1, 1)])
def test_wilson_interval(successes, n):
    """A bound p is where the share is z standard deviations of p away: (s - p)^2 = z^2 p q / n."""
    share, lower, upper = wilson_interval(successes, n)
    assert share == successes / n
    assert 0 <= lower <= share <= upper <= 1
    z = stats.norm.ppf(0.975)
    for p in (lower, upper):
        assert (share - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / n, rel=1e-9, abs=1e-15)
    assert (lower == 0) == (successes == 0)
    assert (upper == 1) == (successes == n)
    assert upper - lower > 0


def test_the_regression_line_is_that_of_textbooks():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = 2 * x + 1 + rng.normal(size=40)
    line = regression_line(x, y)
    design = np.stack([np.ones(40), x], axis=1)
    beta = np.linalg.solve(design.T @ design, design.T @ y)
    np.testing.assert_allclose([line.intercept, line.slope], beta, rtol=1e-12)
    residuals = y - design @ beta
    variance = residuals @ residuals / 38
    at = np.array([1.0, 0.7])
    half = stats.t.ppf(0.975, 38) * np.sqrt(variance * at @ np.linalg.inv(design.T @ design) @ at)
    np.testing.assert_allclose(line.band([0.7]), ([at @ beta], [half]), rtol=1e-12)
    t = beta[1] / np.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1])
    assert line.p == pytest.approx(2 * stats.t.sf(abs(t), 38), rel=1e-9)
    assert line.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, rel=1e-12)
    assert regression_line([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert regression_line([1.0, 2.0], [1.0, 2.0]) is None
