from __future__ import annotations

import copy
import pickle
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from deeplinear.regression import Regression, gaussian_regression

EPS = np.finfo(np.float64).eps

shapes = st.tuples(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10_000))


def gaussian_data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def least_squares_error(X: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """How far two backward stable least-squares solutions may be apart.

    A perturbation of X and y by a relative c eps moves w by c eps (k |w| + k^2 |r| / |X|), with the
    condition number k of X and the residual r; c = 100 max(n, d) is generous for both solvers.
    """
    s = np.linalg.svd(X, compute_uv=False)
    s = s[s > s[0] * max(X.shape) * EPS]
    k = s[0] / s[-1]
    residual = np.linalg.norm(y - X @ w)
    return float(100 * max(X.shape) * EPS * (k * np.linalg.norm(w) + k**2 * residual / s[0]))


@given(shapes)
def test_second_moments_are_means_over_samples(shape: tuple[int, int, int]) -> None:
    X, y = gaussian_data(*shape)
    regression = Regression(X, y)
    C = sum(np.outer(x, x) for x in X) / len(X)
    b = sum(x * t for x, t in zip(X, y, strict=True)) / len(X)
    # sums of at most 12 terms of order 1: n eps times the mean of the magnitudes, some 10
    np.testing.assert_allclose(regression.covariance, C, rtol=0, atol=1e-13)
    np.testing.assert_allclose(regression.cross_covariance, b, rtol=0, atol=1e-13)
    assert (regression.n, regression.d) == X.shape


@given(shapes)
def test_minimizer_is_the_least_squares_solution_of_least_norm(shape: tuple[int, int, int]) -> None:
    X, y = gaussian_data(*shape)
    expected = np.linalg.lstsq(X, y, rcond=None)[0]
    error = np.linalg.norm(Regression(X, y).minimizer - expected)
    assert error <= least_squares_error(X, y, expected)


@pytest.mark.parametrize(("n", "d", "rank"), [(12, 6, 3), (12, 6, 1), (8, 12, 4), (30, 20, 7)])
def test_minimizer_of_data_of_lower_rank(n: int, d: int, rank: int) -> None:
    # small integers: X has this rank exactly, without rounding
    rng = np.random.default_rng(rank)
    X = (rng.integers(-3, 4, (n, rank)) @ rng.integers(-3, 4, (rank, d))).astype(float)
    y = rng.standard_normal(n)
    regression = Regression(X, y)
    expected = np.linalg.lstsq(X, y, rcond=None)[0]
    error = np.linalg.norm(regression.minimizer - expected)
    assert error <= least_squares_error(X, y, expected)
    assert np.count_nonzero(regression.eigenvalues) == rank
    # the least norm: w* is in the row space of X, so the projector on it changes nothing
    projector = np.linalg.pinv(X) @ X
    np.testing.assert_allclose(
        projector @ regression.minimizer, regression.minimizer, rtol=0, atol=1e-12
    )


@given(shapes)
def test_eigenvalues_are_those_of_the_covariance(shape: tuple[int, int, int]) -> None:
    X, y = gaussian_data(*shape)
    values = Regression(X, y).eigenvalues
    expected = np.linalg.eigvalsh(X.T @ X / len(X))
    # forming C and its eigenvalues each cost a few (n + d) eps |C|
    atol = 20 * sum(X.shape) * EPS * expected[-1]
    np.testing.assert_allclose(values, expected, rtol=0, atol=atol)
    assert np.all(values >= 0)
    assert np.all(np.diff(values) >= 0)


@given(shapes)
def test_risk_is_the_mean_squared_residual(shape: tuple[int, int, int]) -> None:
    X, y = gaussian_data(*shape)
    n, d, seed = shape
    regression = Regression(X, y)
    maps = np.random.default_rng(seed + 1).standard_normal((2, 3, d))
    expected = np.mean((y - maps @ X.T) ** 2, axis=-1)
    # The two agree where X^T (y - X w*) = 0; rounding of w* leaves the error of the least squares,
    # second order in it, and the cross term of the residual with the excess, first order.
    error = least_squares_error(X, y, regression.minimizer)
    largest = np.linalg.norm(X, 2)
    residual = np.linalg.norm(y) + largest * (3 * np.sqrt(d) + np.linalg.norm(regression.minimizer))
    atol = 10 * (largest * error + 10 * sum(X.shape) * EPS * residual) * residual / n
    np.testing.assert_allclose(regression.risk(maps), expected, rtol=0, atol=atol)
    one = regression.risk(maps[1, 2])
    assert isinstance(one, float)
    assert one == pytest.approx(np.asarray(regression.risk(maps))[1, 2], rel=1e-14)
    minimum = regression.risk(regression.minimizer)
    if np.linalg.cond(X) <= 1e3:
        assert minimum == regression.minimum_risk
    else:  # w* is far away, and its rounding has a risk of its own, squared as above
        assert minimum == pytest.approx(regression.minimum_risk, rel=1e-14, abs=atol**2)
    assert np.all(np.asarray(regression.risk(maps)) >= minimum)


def test_risk_is_accurate_near_the_minimizer() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 4))
    regression = Regression(X, X @ np.array([1.0, -2.0, 3.0, 0.5]))
    w = regression.minimizer + 1e-6 * rng.standard_normal(4)
    expected = np.mean((X @ (w - regression.minimizer)) ** 2)  # about 1e-12
    # The condition number is below 3 and the minimal risk some 1e-30: only rounding remains. The
    # residuals y - X w would be off by 1e-16 in 1e-6, a relative 1e-10.
    assert regression.risk(w) == pytest.approx(expected, rel=1e-13)


def test_minimum_risk_of_data_without_noise_and_of_fewer_samples_than_inputs() -> None:
    X, y = gaussian_data(4, 9, 3)
    # |y - X w*| is a few eps k(X) |y| with k(X) below 100, here squared
    assert Regression(X, y).minimum_risk <= (1e3 * EPS) ** 2
    assert Regression(X.T, X.T @ y).minimum_risk <= (1e3 * EPS) ** 2
    assert Regression([[1.0], [1.0]], [1.0, 3.0]).minimum_risk == pytest.approx(1.0, rel=1e-14)


@given(shapes)
def test_test_risk_is_the_mean_squared_residual_of_the_test_data(
    shape: tuple[int, int, int],
) -> None:
    n, d, seed = shape
    X, y = gaussian_data(n, d, seed)
    X_test, y_test = gaussian_data(n + 3, d, seed + 1)
    regression = Regression(X, y, X_test, y_test)
    w = np.random.default_rng(seed + 2).standard_normal((5, d))
    expected = np.mean((y_test - w @ X_test.T) ** 2, axis=-1)
    # an identity in w*, so only rounding of its three terms, each at most (|y| + |X| |w|)^2 / n
    maps = np.linalg.norm(w, axis=1).max() + 2 * np.linalg.norm(regression.minimizer)
    size = (np.linalg.norm(y_test) + np.linalg.norm(X_test, 2) * maps) ** 2 / len(y_test)
    atol = 10 * (2 * n + 3 + d) * EPS * size
    np.testing.assert_allclose(regression.test_risk(w), expected, rtol=0, atol=atol)
    assert isinstance(regression.test_risk(w[0]), float)

    # the pieces that make it up
    at_minimizer = np.mean((y_test - X_test @ regression.minimizer) ** 2)
    gradient_half = X_test.T @ X_test @ regression.minimizer - X_test.T @ y_test
    gradient_half /= len(y_test)
    covariance = X_test.T @ X_test / len(y_test)
    assert regression.test_risk_at_minimizer == pytest.approx(at_minimizer, rel=1e-13, abs=atol)
    np.testing.assert_allclose(regression.test_covariance, covariance, rtol=0, atol=1e-13)
    np.testing.assert_allclose(
        regression.test_cross_covariance, X_test.T @ y_test / len(y_test), rtol=0, atol=1e-13
    )
    scale = np.linalg.norm(X_test, 2) ** 2 * maps + np.linalg.norm(X_test, 2) * 10
    np.testing.assert_allclose(
        regression.test_gradient_half, gradient_half, rtol=0, atol=100 * EPS * scale
    )


def test_test_risk_of_a_perfect_fit_is_not_negative() -> None:
    for seed in range(50):
        X, y = gaussian_data(20, 4, seed)
        X_test, w = gaussian_data(4, 30, seed + 100)[0].T, np.arange(4.0) + seed
        risk = Regression(X, y, X_test, X_test @ w).test_risk(w)
        # cancellation of terms of order |w|^2 <= 1e4, some 100 eps each
        assert 0 <= risk <= 1e6 * EPS


def test_without_test_data() -> None:
    regression = Regression([[1.0]], [1.0])
    assert regression.X_test is None
    assert regression.y_test is None
    assert regression.test_covariance is None
    assert regression.test_cross_covariance is None
    assert regression.test_risk_at_minimizer is None
    assert regression.test_gradient_half is None
    with pytest.raises(ValueError, match="test_risk needs X_test and y_test"):
        regression.test_risk([1.0])


def test_zero_data() -> None:
    regression = Regression(np.zeros((3, 2)), [1.0, 2.0, 3.0])
    assert regression.minimizer.tolist() == [0.0, 0.0]
    assert regression.eigenvalues.tolist() == [0.0, 0.0]
    assert regression.minimum_risk == pytest.approx(14 / 3, rel=1e-15)
    assert Regression([[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0]).minimizer.tolist() == [0.0, 0.0]


def test_targets_orthogonal_to_the_inputs_but_for_rounding_give_zero() -> None:
    X, y = gaussian_data(30, 4, 0)
    Q = np.linalg.qr(X)[0]
    for _ in range(2):
        y = y - Q @ (Q.T @ y)
    assert np.linalg.norm(X.T @ y) > 0
    assert Regression(X, y).minimizer.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda X: X.tolist(),
        lambda X: X.astype(int),
        lambda X: X.astype(np.float32),
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X[::-1][::-1],
    ],
    ids=["fortran", "list", "int", "float32", "rows", "columns", "reversed"],
)
def test_other_layouts_and_types_are_converted(convert: Any) -> None:
    X = np.array([[1.0, 2.0], [3.0, 5.0], [-1.0, 4.0]])
    y = np.array([1, 2, 4])
    regression = Regression(convert(X), y, convert(X), list(y))
    for array in (regression.X, regression.y, regression.X_test, regression.y_test):
        assert array is not None
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
    np.testing.assert_array_equal(regression.X, X)
    np.testing.assert_array_equal(regression.minimizer, Regression(X, y).minimizer)


def test_arrays_are_read_only_copies() -> None:
    X, y = gaussian_data(5, 2, 0)
    regression = Regression(X, y, X.copy(), y.copy())
    before = regression.X.copy()
    X[:] = 0
    np.testing.assert_array_equal(regression.X, before)
    names = ["X", "y", "X_test", "y_test", "covariance", "cross_covariance", "minimizer"]
    names += ["eigenvalues", "test_covariance", "test_cross_covariance", "test_gradient_half"]
    for name in names:
        with pytest.raises(ValueError, match="read-only"):
            getattr(regression, name)[0] = 1.0
        with pytest.raises(AttributeError, match=name):
            setattr(regression, name, before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_copies_are_equal_and_read_only(duplicate: Any) -> None:
    regression = gaussian_regression(n=8, d=3)
    again = duplicate(regression)
    np.testing.assert_array_equal(again.minimizer, regression.minimizer)
    np.testing.assert_array_equal(again.X_test, regression.X_test)
    assert not again.X.flags.writeable
    assert repr(again) == "Regression(n=8, d=3, n_test=8)"
