"""Data that a regression refuses, and data that are drawn."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from deeplinear.regression import Regression, gaussian_regression

ONES = np.ones((3, 2))
X_TAKES = "X must be a two-dimensional array of finite numbers, shape (n, d); got "
Y_TAKES = "y must be a one-dimensional array of finite numbers, shape (n,); got "


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.ones(5), np.ones(5), ValueError, X_TAKES + "shape (5,)."),
        (1.0, [1.0], ValueError, X_TAKES + "shape ()."),
        (np.ones((2, 2, 2)), np.ones(2), ValueError, X_TAKES + "shape (2, 2, 2)."),
        (np.ones((0, 2)), [], ValueError, X_TAKES + "an empty array, shape (0, 2)."),
        (np.ones((2, 0)), [1, 1], ValueError, X_TAKES + "an empty array, shape (2, 0)."),
        (
            [[1.0, 2.0], [3.0]],
            [1, 1],
            ValueError,
            X_TAKES + "list of length 2 with rows of unequal shape.",
        ),
        ([[1.0, np.nan]], [1.0], ValueError, X_TAKES + "nan at index (0, 1)."),
        ([[1.0], [-np.inf]], [1.0, 1.0], ValueError, X_TAKES + "-inf at index (1, 0)."),
        ("data", [1.0], TypeError, X_TAKES + "'data' with dtype <U4."),
        ([["a"]], [1.0], TypeError, X_TAKES + "list of length 1 with dtype <U1."),
        (
            ONES.astype(complex),
            np.ones(3),
            TypeError,
            X_TAKES + "ndarray of shape (3, 2) with dtype complex128.",
        ),
        (
            np.array([[1.0, 2.0], [3.0, "4"], [5.0, 6.0]], object),
            np.ones(3),
            TypeError,
            X_TAKES + "'4' at index (1, 1).",
        ),
        (None, np.ones(3), TypeError, X_TAKES + "None with dtype object."),
        (ONES, np.ones((3, 1)), ValueError, Y_TAKES + "shape (3, 1)."),
        (ONES, [1.0, 2.0, np.inf], ValueError, Y_TAKES + "inf at index (2,)."),
        (ONES, None, TypeError, Y_TAKES + "None with dtype object."),
        (ONES, np.ones(4), ValueError, "y must have one entry per row of X, 3; got 4."),
        (
            1e200 * ONES,
            np.ones(3),
            ValueError,
            "X must be all zero or have its largest magnitude between 1e-60 and 1e+60; "
            "got 1e+200, so rescale the data.",
        ),
        (
            ONES,
            1e-70 * np.ones(3),
            ValueError,
            "y must be all zero or have its largest magnitude between 1e-60 and 1e+60; "
            "got 1e-70, so rescale the data.",
        ),
    ],
)
def test_bad_data(X: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Regression(X, y)


@pytest.mark.parametrize(
    ("X_test", "y_test", "message"),
    [
        (ONES, None, "X_test and y_test must be given together; got X_test alone."),
        (None, [1.0], "X_test and y_test must be given together; got y_test alone."),
        (np.ones((4, 3)), np.ones(4), "X_test must have as many columns as X, 2; got shape (4, 3)"),
        (ONES, np.ones(2), "y_test must have one entry per row of X_test, 3; got 2."),
        (ONES, [np.nan] * 3, "y_test must be a one-dimensional array of finite numbers"),
        (np.ones(3), np.ones(3), "X_test must be a two-dimensional array of finite numbers"),
    ],
)
def test_bad_test_data(X_test: Any, y_test: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Regression(ONES, np.ones(3), X_test, y_test)


@pytest.mark.parametrize(
    ("w", "error", "message"),
    [
        ([1.0, 2.0, 3.0], ValueError, "w must be an array of end-to-end maps, shape (..., 2); got"),
        (1.0, ValueError, "w must be an array of end-to-end maps, shape (..., 2); got shape ()."),
        ([np.nan, 1.0], ValueError, "w must be an array of finite numbers, shape (..., 2); got"),
        (["a", "b"], TypeError, "w must be an array of finite numbers, shape (..., 2); got"),
    ],
)
def test_bad_map(w: Any, error: type[Exception], message: str) -> None:
    regression = Regression(ONES, np.ones(3), ONES, np.ones(3))
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        regression.risk(w)
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        regression.test_risk(w)


@pytest.mark.parametrize(
    ("n", "d", "noise", "n_test"), [(50, 5, 1.0, None), (15, 20, 1.0, 40), (30, 4, 0.0, 7)]
)
def test_gaussian_regression_follows_its_law(
    n: int, d: int, noise: float, n_test: int | None
) -> None:
    regression = gaussian_regression(n=n, d=d, noise=noise, seed=3, n_test=n_test)
    m = n if n_test is None else n_test
    # the draws in the documented order
    rng = np.random.default_rng(3)
    X, w_true, xi = rng.standard_normal((n, d)), rng.standard_normal(d), rng.standard_normal(n)
    X_test, xi_test = rng.standard_normal((m, d)), rng.standard_normal(m)
    y = X @ w_true + noise * xi
    norm = np.linalg.norm(np.linalg.lstsq(X, y, rcond=None)[0])
    np.testing.assert_array_equal(regression.X, X)
    np.testing.assert_array_equal(regression.X_test, X_test)
    # the condition number is below 30, so the norms agree to some 1000 eps
    np.testing.assert_allclose(regression.y, y / norm, rtol=1e-12)
    np.testing.assert_allclose(
        regression.y_test, (X_test @ w_true + noise * xi_test) / norm, rtol=1e-12
    )
    assert np.linalg.norm(regression.minimizer) == pytest.approx(1.0, rel=1e-13)


def test_gaussian_regression_without_noise_recovers_the_direction_of_the_true_map() -> None:
    regression = gaussian_regression(noise=0.0)
    # zero but for rounding of y, some eps squared
    assert regression.minimum_risk <= 1e-28
    assert regression.test_risk_at_minimizer is not None
    assert regression.test_risk_at_minimizer <= 1e-28


def test_gaussian_regression_keeps_its_draws_apart() -> None:
    regression = gaussian_regression(seed=5)
    longer = gaussian_regression(seed=5, n_test=500)
    np.testing.assert_array_equal(regression.y, longer.y)
    np.testing.assert_array_equal(gaussian_regression(seed=5, noise=0.0).X, regression.X)
    assert not np.array_equal(gaussian_regression(seed=6).X, regression.X)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be a positive integer; got 0."),
        ({"d": -1}, ValueError, "d must be a positive integer; got -1."),
        ({"d": 2.0}, TypeError, "d must be a positive integer; got 2.0."),
        ({"n": True}, TypeError, "n must be a positive integer; got True."),
        ({"n": "50"}, TypeError, "n must be a positive integer; got '50'."),
        ({"n_test": 0}, ValueError, "n_test must be a positive integer; got 0."),
        ({"noise": -0.1}, ValueError, "noise must be a non-negative finite number; got -0.1."),
        ({"noise": np.inf}, ValueError, "noise must be a non-negative finite number; got inf."),
        ({"noise": "1"}, TypeError, "noise must be a non-negative finite number; got '1'."),
        ({"seed": -1}, ValueError, "seed must be a non-negative integer; got -1."),
        ({"seed": None}, TypeError, "seed must be a non-negative integer; got None."),
    ],
)
def test_bad_law(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        gaussian_regression(**arguments)


def test_zero_minimizer_cannot_be_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zeros:
        def standard_normal(self, size: Any) -> np.ndarray:
            return np.zeros(size)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Zeros())
    with pytest.raises(ValueError, match="seed must give data whose minimizer is not zero"):
        gaussian_regression()
