"""Summaries of samples with 95 % intervals, and straight lines through them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeplinear._support.files import require

__all__ = ["Line", "median_interval", "regression_line", "wilson_interval"]


def median_interval(values: npt.ArrayLike) -> tuple[float, float, float]:
    """Compute the median, and the bounds of its distribution-free 95 % confidence interval.

    Parameters
    ----------
    values : array_like, shape (n,)
        The sample.

    Returns
    -------
    median, lower, upper : float
        The bounds are NaN for fewer than six values, all three for none.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = len(x)
    if n == 0:
        return math.nan, math.nan, math.nan
    k, tail = 0, 0.0  # P(B < k)
    while 1 - 2 * (tail + math.comb(n, k) / 2**n) >= 0.95:
        tail += math.comb(n, k) / 2**n
        k += 1
    lower, upper = (float(x[k - 1]), float(x[n - k])) if k > 0 else (math.nan, math.nan)
    return float(np.median(x)), lower, upper


def wilson_interval(successes: int, n: int) -> tuple[float, float, float]:
    """Compute a share, and the bounds of Wilson's 95 % interval of the probability behind it."""
    z = 1.959963984540054
    share, spread = successes / n, z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return share, max(centre - half, 0.0), min(centre + half, 1.0)


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
    centre, spread, deviation, quantile : float
        What the 95 % confidence band is made of: the mean of x, the sum of its squared deviations,
        the standard deviation of y about the line, and Student's quantile.
    """

    slope: float
    intercept: float
    r_squared: float
    p: float
    n: int
    centre: float
    spread: float
    deviation: float
    quantile: float

    def band(self, x: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Compute the line at x, and the half width of its 95 % confidence band."""
        at = np.asarray(x, dtype=np.float64)
        root = np.sqrt(1 / self.n + (at - self.centre) ** 2 / self.spread)
        return self.intercept + self.slope * at, self.quantile * self.deviation * root


def regression_line(x: npt.ArrayLike, y: npt.ArrayLike) -> Line | None:
    """Fit a line by least squares; None for fewer than three points, or where all x are equal."""
    require("A regression", "scipy")
    from scipy import stats

    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) < 3 or np.ptp(x) == 0:
        return None
    fit = stats.linregress(x, y)
    residuals = y - fit.intercept - fit.slope * x
    return Line(
        slope=float(fit.slope),
        intercept=float(fit.intercept),
        r_squared=float(fit.rvalue**2),
        p=float(fit.pvalue),
        n=len(x),
        centre=float(x.mean()),
        spread=float(((x - x.mean()) ** 2).sum()),
        deviation=float(np.sqrt((residuals**2).sum() / (len(x) - 2))),
        quantile=float(stats.t.ppf(0.975, len(x) - 2)),
    )
