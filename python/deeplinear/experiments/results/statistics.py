"""Summaries of samples with 95 % intervals, and straight lines through them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from deeplinear._support.files import require

__all__ = ["Line", "median_interval", "regression_line", "wilson_interval"]

#: What each interval covers.
LEVEL = 0.95


def median_interval(values: npt.ArrayLike) -> tuple[float, float, float]:
    """Compute the median, and the bounds of its distribution-free 95 % confidence interval.

    Of n sorted values the bounds are number k and number n + 1 - k, with the largest k such that
    ``1 - 2 P(B < k) >= 0.95`` for B binomial of n trials of probability 1/2.

    Parameters
    ----------
    values : array_like, shape (n,)
        The sample.

    Returns
    -------
    median, lower, upper : float
        The bounds are NaN for fewer than six values, all three for none.

    Raises
    ------
    ImportError
        If SciPy is missing.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = len(x)
    if n == 0:
        return math.nan, math.nan, math.nan
    k = _order(n)
    lower, upper = (float(x[k - 1]), float(x[n - k])) if k > 0 else (math.nan, math.nan)
    return float(np.median(x)), lower, upper


@cache
def _order(n: int) -> int:
    """Return the largest k with ``P(B <= k - 1) <= 0.025``, the smallest with ``P(B <= k)`` above.

    ``scipy.stats.quantile_test``, which SciPy has from 1.12 on, takes twenty times as long.
    """
    require("An interval", "scipy")
    from scipy import stats

    return int(stats.binom.ppf((1 - LEVEL) / 2, n, 0.5))


def wilson_interval(successes: int, n: int) -> tuple[float, float, float]:
    """Compute a share, and the bounds of Wilson's 95 % interval of the probability behind it.

    Parameters
    ----------
    successes, n : int
        The share is ``successes / n``.

    Returns
    -------
    share, lower, upper : float
        The share and the bounds.

    Raises
    ------
    ImportError
        If SciPy is missing.
    """
    require("An interval", "scipy")
    from scipy import stats

    found = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return successes / n, float(found.low), float(found.high)


@dataclass(frozen=True)
class Line:
    """A least-squares line ``y = intercept + slope x``, with what is known of its slope.

    Attributes
    ----------
    slope, intercept : float
        Of the line.
    r_squared : float
        Share of the variance of y that the line explains.
    p : float
        Of the hypothesis that the slope is zero, two-sided, by Wald's t test.
    n : int
        Points.
    centre, variance : float
        Mean and variance of x.
    half_width : float
        Of the 95 % confidence interval of the slope.
    """

    slope: float
    intercept: float
    r_squared: float
    p: float
    n: int
    centre: float
    variance: float
    half_width: float

    def band(self, x: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Compute the line at x, and the half width of its 95 % confidence band.

        The line's height at x has the standard error ``s_slope sqrt(var x + (x - mean x)^2)``.
        """
        at = np.asarray(x, dtype=np.float64)
        half = self.half_width * np.sqrt(self.variance + (at - self.centre) ** 2)
        return self.intercept + self.slope * at, half


def regression_line(x: npt.ArrayLike, y: npt.ArrayLike) -> Line | None:
    """Fit a line by least squares; None for fewer than three points, or where all x are equal."""
    require("A regression", "scipy")
    from scipy import stats

    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) < 3 or np.ptp(x) == 0:
        return None
    fit = stats.linregress(x, y)
    return Line(
        slope=float(fit.slope),
        intercept=float(fit.intercept),
        r_squared=float(fit.rvalue**2),
        p=float(fit.pvalue),
        n=len(x),
        centre=float(x.mean()),
        variance=float(x.var()),
        half_width=float(stats.t.ppf((1 + LEVEL) / 2, len(x) - 2) * fit.stderr),
    )
