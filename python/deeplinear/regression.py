"""Least-squares data: the quantities that the risk of a linear map depends on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    FloatArray,
    finite_array,
    non_negative,
    non_negative_integer,
    positive_integer,
    read_only,
)
from deeplinear._support.frozen import Frozen
from deeplinear._support.memory import require_free
from deeplinear.least_squares import WELL_CONDITIONED, Modes, modes

T = TypeVar("T")

# Squares and quotients of data within these magnitudes neither overflow nor underflow.
_SMALLEST, _LARGEST = 1e-60, 1e60


def _data(names: tuple[str, str], X: object, y: object) -> tuple[FloatArray, FloatArray]:
    """Check a pair of inputs (n, d) and targets (n,), and copy it."""
    inputs = finite_array(names[0], X, 2, "(n, d)")
    targets = finite_array(names[1], y, 1, "(n,)")
    if len(targets) != len(inputs):
        raise ValueError(
            f"{names[1]} must have one entry per row of {names[0]}, {len(inputs)}; "
            f"got {len(targets)}."
        )
    for name, array in zip(names, (inputs, targets), strict=True):
        largest = float(np.abs(array).max())
        if largest != 0 and not _SMALLEST <= largest <= _LARGEST:
            raise ValueError(
                f"{name} must be all zero or have its largest magnitude between {_SMALLEST:g} "
                f"and {_LARGEST:g}; got {largest:g}, so rescale the data."
            )
    return read_only(inputs), read_only(targets)


class Regression(Frozen):
    """A linear least-squares problem, ``R(w) = |y - X w|^2 / n`` (the mean, no factor 1/2).

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row. Nothing is added or centred: an intercept is a column of ones.
    y : array_like, shape (n,)
        Targets, one output per sample.
    X_test : array_like, shape (m, d), optional
        Inputs of held-out data.
    y_test : array_like, shape (m,), optional
        Targets of held-out data; given together with `X_test`.

    Attributes
    ----------
    X, y, X_test, y_test : ndarray
        Read-only float64 copies of the data; the test data are None if not given.

    Raises
    ------
    TypeError
        If an array holds something else than real numbers.
    ValueError
        If an array has the wrong shape, is empty or not finite, if the test data are not given
        together, or if the data are so large or small (beyond 1e60 or 1e-60) that squares would
        leave the range of float64.

    Notes
    -----
    The numerical rank is that of `numpy.linalg.pinv`: singular values of X up to
    ``max(n, d) * eps`` times the largest count as zero. By the same measure, a projection of y on
    the range of X that is zero but for rounding gives the minimizer zero.

    Where columns are nearly collinear (a condition number of X above 1000), the decomposition of X
    is computed in some 32 digits, and risks are computed from it instead of from the distance to
    the minimizer, which is far away there.

    An object does not change, and all its arrays are read-only.
    """

    X: FloatArray
    y: FloatArray
    X_test: FloatArray | None
    y_test: FloatArray | None

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        X_test: npt.ArrayLike | None = None,
        y_test: npt.ArrayLike | None = None,
    ) -> None:
        inputs, targets = _data(("X", "y"), X, y)
        self.__dict__.update(X=inputs, y=targets, X_test=None, y_test=None)
        if X_test is None and y_test is None:
            return
        if X_test is None or y_test is None:
            given = "y_test" if X_test is None else "X_test"
            raise ValueError(f"X_test and y_test must be given together; got {given} alone.")
        test_inputs, test_targets = _data(("X_test", "y_test"), X_test, y_test)
        if test_inputs.shape[1] != self.d:
            raise ValueError(
                f"X_test must have as many columns as X, {self.d}; got shape {test_inputs.shape}."
            )
        self.__dict__.update(X_test=test_inputs, y_test=test_targets)

    def __reduce__(self) -> tuple[object, ...]:
        return Regression, (self.X, self.y, self.X_test, self.y_test)

    def __repr__(self) -> str:
        test = "" if self.y_test is None else f", n_test={len(self.y_test)}"
        return f"Regression(n={self.n}, d={self.d}{test})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """Number of inputs."""
        return int(self.X.shape[1])

    @cached_property
    @np.errstate(over="ignore", under="ignore")
    def covariance(self) -> FloatArray:
        """``C = X^T X / n``, shape (d, d)."""
        return read_only(self.X.T @ self.X / self.n)

    @cached_property
    @np.errstate(over="ignore", under="ignore")
    def cross_covariance(self) -> FloatArray:
        """``b = X^T y / n``, shape (d,)."""
        return read_only(self.X.T @ self.y / self.n)

    @cached_property
    def _modes(self) -> Modes:
        return modes(self.X, self.y)

    @property
    def _well_conditioned(self) -> bool:
        """Whether C is well conditioned on its range, singular or not: then w* is not far away."""
        return self._modes.condition <= WELL_CONDITIONED

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues of C, ascending, shape (d,); exactly zero beyond the numerical rank."""
        s = self._modes.singular_values
        values = np.zeros(self.d)
        values[self.d - len(s) :] = s[::-1] ** 2 / self.n
        return read_only(values)

    @cached_property
    def minimizer(self) -> FloatArray:
        """The minimizer ``w*`` of R, of least norm where C is singular, shape (d,)."""
        return read_only(self._modes.minimizer)

    @cached_property
    def minimum_risk(self) -> float:
        """The least risk, R at the minimizer."""
        return self._modes.minimum_risk

    @cached_property
    @np.errstate(over="ignore", under="ignore")
    def _factor(self) -> tuple[FloatArray, FloatArray]:
        """``F = diag(s) V^T / sqrt(n)`` (r, d) and ``U^T y / sqrt(n)`` (r,), one zero row at least.

        ``R(w) = R(w*) + |F w - c|^2`` and ``C = F^T F``, to the numerical rank.
        """
        found, root = self._modes, np.sqrt(self.n)
        if len(found.target) == 0:
            return np.zeros((1, self.d)), np.zeros(1)
        return found.singular_values[:, None] * found.right / root, found.target / root

    @cached_property
    @np.errstate(over="ignore", under="ignore")
    def _test_factor(self) -> tuple[FloatArray, FloatArray, float]:
        """F_t, c_t and r with the test risk ``|F_t w - c_t|^2 + r``, of d rows at most."""
        assert self.X_test is not None
        assert self.y_test is not None
        both = np.column_stack([self.X_test, self.y_test]) / np.sqrt(len(self.y_test))
        d = self.d
        if len(both) <= d:
            return both[:, :d].copy(), both[:, d].copy(), 0.0
        R = np.linalg.qr(both)[1]
        return R[:d, :d].copy(), R[:d, d].copy(), float(R[d, d] ** 2)

    @cached_property
    @np.errstate(over="ignore", under="ignore")
    def _excess_of_zero(self) -> float:
        """``R(0) - R(w*) = w*^T C w*``."""
        if self._by_modes:
            return float((self._factor[1] ** 2).sum())
        w = self.minimizer
        return float(w @ self.covariance @ w)

    @property
    def _condition(self) -> float:
        """The condition number of C, infinite where C is singular."""
        found = self._modes
        return found.condition if len(found.target) == self.d else np.inf

    @property
    def _by_modes(self) -> bool:
        """Whether the factor F takes the place of C, which is not accurate enough, or larger.

        The excess risk by C is off by some ``d eps |C| |w - w*|^2``: at most ``d eps`` times the
        condition number of C, relative to it.
        """
        return self._condition > WELL_CONDITIONED

    def _of_test_data(self, compute: Callable[[FloatArray, FloatArray], T]) -> T | None:
        if self.X_test is None or self.y_test is None:
            return None
        with np.errstate(over="ignore", under="ignore"):
            return compute(self.X_test, self.y_test)

    @cached_property
    def test_covariance(self) -> FloatArray | None:
        """``C_test``, the covariance of the test inputs, shape (d, d); None without test data."""
        return self._of_test_data(lambda X, y: read_only(X.T @ X / len(X)))

    @cached_property
    def test_cross_covariance(self) -> FloatArray | None:
        """``b_test = X_test^T y_test / m``, shape (d,); None without test data."""
        return self._of_test_data(lambda X, y: read_only(X.T @ y / len(X)))

    @cached_property
    def test_risk_at_minimizer(self) -> float | None:
        """Mean squared error of the minimizer on the test data; None without test data."""
        return self._of_test_data(lambda X, y: float(np.mean((y - X @ self.minimizer) ** 2)))

    @cached_property
    def test_gradient_half(self) -> FloatArray | None:
        """``C_test w* - b_test``, half the test risk's gradient at ``w*``, shape (d,), or None."""
        # from the residual: C_test w* - b_test would cancel
        return self._of_test_data(lambda X, y: read_only(X.T @ (X @ self.minimizer - y) / len(X)))

    def _maps(self, w: npt.ArrayLike) -> FloatArray:
        """Check end-to-end maps, (..., d)."""
        maps = finite_array("w", w, None, f"(..., {self.d})")
        if maps.ndim == 0 or maps.shape[-1] != self.d:
            raise ValueError(
                f"w must be an array of end-to-end maps, shape (..., {self.d}); "
                f"got shape {maps.shape}."
            )
        return maps

    @np.errstate(over="ignore", under="ignore")
    def risk(self, w: npt.ArrayLike) -> float | FloatArray:
        """Risk of end-to-end maps, ``R(w) = R(w*) + (w - w*)^T C (w - w*)``.

        The second term is computed by itself, so that it is accurate near the minimizer.

        Parameters
        ----------
        w : array_like, shape (..., d)
            End-to-end maps.

        Returns
        -------
        float or ndarray, shape (...)
            The mean squared error on the data; a float for one map.
        """
        # (w - w*)^T C (w - w*) = |diag(s) Vt (w - w*)|^2 / n = |diag(s) Vt w - c|^2 / n, which is
        # never negative; the second form where w* is too far away for the first
        maps, found = self._maps(w), self._modes
        root = (found.singular_values[:, None] * found.right).T
        if self._well_conditioned:
            errors = (maps - self.minimizer) @ root
        else:
            errors = maps @ root - found.target
        values = self.minimum_risk + (errors**2).sum(axis=-1) / self.n
        return values if values.ndim else float(values)

    @np.errstate(over="ignore", under="ignore")
    def test_risk(self, w: npt.ArrayLike) -> float | FloatArray:
        """Mean squared error of end-to-end maps on the test data.

        Parameters
        ----------
        w : array_like, shape (..., d)
            End-to-end maps.

        Returns
        -------
        float or ndarray, shape (...)
            ``|y_test - X_test w|^2 / m``; a float for one map.

        Raises
        ------
        ValueError
            If there are no test data.
        """
        if self.X_test is None:
            raise ValueError("test_risk needs X_test and y_test; this Regression has none.")
        maps, (factor, target, offset) = self._maps(w), self._test_factor
        values = offset + ((maps @ factor.T - target) ** 2).sum(axis=-1)
        return values if values.ndim else float(values)


@np.errstate(over="ignore", under="ignore")
def gaussian_regression(
    n: int = 50, d: int = 5, noise: float = 1.0, seed: int = 0, n_test: int | None = None
) -> Regression:
    """Draw a regression with Gaussian inputs, noise and true map, scaled to ``|minimizer| = 1``.

    ``X`` is standard Gaussian and ``y = (X w_true + noise * xi) / |w*|``, with ``w_true`` and
    ``xi`` standard Gaussian and ``w*`` the least-squares minimizer before the division. The test
    data follow the same law, with the same ``w_true`` and the same division.

    Parameters
    ----------
    n : int, default 50
        Number of samples, at least 1.
    d : int, default 5
        Number of inputs, at least 1.
    noise : float, default 1.0
        Standard deviation of the noise before the division, from zero to 1e59.
    seed : int, default 0
        Seed of `numpy.random.default_rng`, zero or above. The draws come in the order X (n, d),
        w_true (d,), noise (n,), X_test (n_test, d), test noise (n_test,), whatever `noise` is: the
        training data do not depend on `n_test`, and X and w_true not on `noise`.
    n_test : int, optional
        Number of test samples, at least 1; None takes `n`.

    Returns
    -------
    Regression
        With test data.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or if the minimizer is zero and cannot be scaled.
    MemoryError
        If the data do not fit the memory.

    Notes
    -----
    The data of the experiments of Marion and Chizat, "Deep linear networks for regression are
    implicitly regularized towards flat minima", NeurIPS 2024.
    """
    n = positive_integer("n", n)
    d = positive_integer("d", d)
    noise = non_negative("noise", noise)
    if noise > 1e59:  # or the targets leave the range of a Regression
        raise ValueError(f"noise must be at most 1e+59; got {noise:g}.")
    seed = non_negative_integer("seed", seed)
    n_test = n if n_test is None else positive_integer("n_test", n_test)
    what = f"{n:,} and {n_test:,} samples of {d:,} inputs"
    require_free(
        "n, n_test and d must give data that fit the memory", what, (n + n_test) * (d + 1.0)
    )

    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    w_true = rng.standard_normal(d)
    y = X @ w_true + noise * rng.standard_normal(n)
    X_test = rng.standard_normal((n_test, d))
    y_test = X_test @ w_true + noise * rng.standard_normal(n_test)

    norm = float(np.linalg.norm(Regression(X, y).minimizer))
    if norm == 0:
        raise ValueError(
            f"seed must give data whose minimizer is not zero, to scale it to norm 1; got {seed}."
        )
    return Regression(X, y / norm, X_test, y_test / norm)
