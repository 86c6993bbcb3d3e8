"""The singular modes of least-squares data, in as many digits as the data need."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from deeplinear import _core
from deeplinear._support.checks import FloatArray

__all__ = ["Modes", "modes"]

#: The largest condition number of C up to which float64 is enough: the minimizer, and the excess
#: risk computed from C and the distance to it, are off by a relative eps times the condition
#: number, here 2e-10.
WELL_CONDITIONED = 1e6

#: Beyond so many products, k^2 m, twice the digits would take more than some seconds.
_MOST_PRODUCTS = 5e8


@dataclass(frozen=True)
class Modes:
    """``X = U diag(s) V^T``, cut to the numerical rank r, and what follows from it.

    Attributes
    ----------
    singular_values : ndarray, shape (r,)
        ``s``, descending.
    right : ndarray, shape (r, d)
        ``V^T``, orthonormal rows.
    target : ndarray, shape (r,)
        ``c = U^T y``.
    minimizer : ndarray, shape (d,)
        ``w* = V diag(1/s) c``, the least-squares minimizer of least norm.
    minimum_risk : float
        ``|y - X w*|^2 / n``.
    """

    singular_values: FloatArray
    right: FloatArray
    target: FloatArray
    minimizer: FloatArray
    minimum_risk: float

    @property
    def condition(self) -> float:
        """The condition number of C on its range, ``(s_1 / s_r)^2``; 1 where X is zero."""
        s = self.singular_values
        return float((s[0] / s[-1]) ** 2) if len(s) else 1.0


def modes(X: FloatArray, y: FloatArray) -> Modes:
    """Decompose data; in twice the digits of float64 where these are lost to collinear columns.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)

    Returns
    -------
    Modes
        Singular values up to ``max(n, d) * eps`` times the largest count as zero. By the same
        measure, a projection of y on the range of X that is zero but for rounding gives the
        minimizer zero.

    Warns
    -----
    RuntimeWarning
        If the data are too large for twice the digits, and need them.
    """
    found = _decompose(X, y)
    if found.condition > WELL_CONDITIONED and _is_too_large(X):
        warnings.warn(
            f"X must have fewer entries, or less collinear columns, for a minimizer to all digits: "
            f"of shape {X.shape}, with a condition number of {found.condition**0.5:.0e}, it leaves "
            "few digits to the minimizer and to the bounds that follow from its norm.",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def _is_too_large(X: FloatArray) -> bool:
    return bool(min(X.shape) ** 2 * max(X.shape) > _MOST_PRODUCTS)


@np.errstate(over="ignore", under="ignore")
def _decompose(X: FloatArray, y: FloatArray) -> Modes:
    n, d = X.shape
    rounding = max(n, d) * float(np.finfo(np.float64).eps)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    rank = int(np.count_nonzero(s > s[0] * rounding))
    target = U[:, :rank].T @ y
    minimizer = Vt[:rank].T @ (target / s[:rank])
    risk = float(np.mean((y - X @ minimizer) ** 2))
    found = Modes(s[:rank], Vt[:rank], target, minimizer, risk)
    if found.condition > WELL_CONDITIONED and _is_too_large(X):
        # not from X w*, whose terms cancel
        risk = float(np.mean((y - U[:, :rank] @ target) ** 2))
        found = Modes(s[:rank], Vt[:rank], target, minimizer, risk)
    elif found.condition > WELL_CONDITIONED:
        found = _precise(X, y, Vt if n >= d else U.T, rounding)
    if np.linalg.norm(found.target) <= rounding * np.linalg.norm(y):
        zero, risk = np.zeros(d), float(np.mean(y**2))
        found = Modes(found.singular_values, found.right, 0 * found.target, zero, risk)
    return found


def _precise(X: FloatArray, y: FloatArray, start: FloatArray, rounding: float) -> Modes:
    """Decompose data in twice the digits, from the vectors of the shorter side in float64.

    The minimizer needs left singular vectors that are orthogonal to 1e-14, and no more. What k of
    them leave of y's part in their span makes the least risk too large by ``1e-28 k^2 / 2
    mean(y^2)`` at most.
    """
    n, d = X.shape
    # powers of two, which round nothing
    scale, height = (2.0 ** np.ceil(np.log2(np.abs(a).max() or 1.0)) for a in (X, y))
    columns = np.ascontiguousarray((X.T if n >= d else X) / scale)
    s, right, target, minimizer, rank, rest = _core.least_squares_modes(
        columns, y / height, np.ascontiguousarray(start), n >= d, rounding
    )
    return Modes(
        scale * s[:rank],
        right[:rank],
        height * target[:rank],
        height / scale * minimizer,
        height**2 * rest / n,
    )
