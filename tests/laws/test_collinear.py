"""Data with collinear columns, huge minimizers, and far more inputs than samples."""

from __future__ import annotations

from functools import cache
from typing import Any

import hypothesis.strategies as st
import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.preprocessing import PolynomialFeatures, scale

import deeplinear as dl
from deeplinear import theory
from engines import DTYPES, NAMES
from exact import Exact, end_to_end
from strategies import PROPERTY

pytestmark = pytest.mark.core

Array = NDArray[Any]


def radial(n: int, d: int) -> tuple[Array, Array]:
    t, c = np.linspace(0, 1, n), np.random.default_rng(7).uniform(0, 1, d)
    return np.exp(-((t[:, None] - c) ** 2) / 0.02), np.sin(6 * t)


def polynomial(n: int, degree: int) -> tuple[Array, Array]:
    t = np.linspace(0, 1, n)
    return np.vander(t, degree + 1), np.cos(5 * t) + 0.1 * np.sin(40 * t)


def copies(noise: float, columns: int = 5) -> tuple[Array, Array]:
    """Gaussian columns, and a copy of the first with noise."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((30, columns))
    return np.column_stack([X, X[:, 0] + noise * rng.standard_normal(30)]), rng.standard_normal(30)


def iris(degree: int) -> tuple[Array, Array]:
    X, y = load_iris(return_X_y=True)
    features = PolynomialFeatures(degree, include_bias=False).fit_transform(X)
    return scale(features), scale(y * 1.0)


def units() -> tuple[Array, Array]:
    X, y = copies(1.0)
    return X * np.array([1e6, 1.0, 1e-5, 1.0, 1e3, 1.0]), y


def few_samples(n: int, d: int, noise: float = 1.0) -> tuple[Array, Array]:
    """With noise, two of the samples are nearly equal."""
    rng = np.random.default_rng(n + d)
    X = rng.standard_normal((n, d))
    X[1] = X[0] + noise * rng.standard_normal(d)
    return X, rng.standard_normal(n)


def sum_of_columns() -> tuple[Array, Array]:
    """The last column is the sum of two, but for rounding, which the numerical rank leaves out."""
    X, y = copies(1.0)
    X[:, -1] = X[:, 0] + np.pi * X[:, 1]
    return X, y


DATA = {
    "Gaussian": lambda: copies(1.0),
    "radial functions": lambda: radial(50, 30),
    "few radial functions": lambda: radial(40, 12),
    "polynomial": lambda: polynomial(40, 11),
    "duplicated": lambda: copies(0.0),
    "sum of columns": sum_of_columns,
    "nearly duplicated": lambda: copies(1e-4),
    "duplicated to rounding": lambda: copies(1e-8),
    "large": lambda: tuple(1e40 * a for a in copies(1e-6)),
    "small": lambda: tuple(1e-40 * a for a in copies(1e-6)),
    "other units": units,
    "few samples": lambda: few_samples(8, 50),
    "few samples, two nearly equal": lambda: few_samples(8, 50, 1e-6),
    "iris": lambda: iris(2),
}


@cache
def of(name: str) -> tuple[Array, Array, Exact]:
    X, y = DATA[name]()
    return X, y, Exact(X, y)


def regression_of(name: str) -> dl.Regression:
    X, y, _ = of(name)
    rng = np.random.default_rng(11)
    X_test = X[rng.permutation(len(X))[: len(X) // 2]] * (1 + 0.01 * rng.standard_normal())
    return dl.Regression(X, y, X_test, y[: len(X_test)])


def within_the_span(X: Array, y: Array) -> float:
    """Bound what a minimum risk that is computed in twice the digits has too much.

    Cosines of u_i and u_j are left at 1e-14 s_j / s_i or less, s_i >= s_j, which is all that w*
    needs. Taken off y one after another, the u_j leave r with u_i . r = -sum_{j > i} cos_ij c_j,
    where |c| <= |y|. The rest of r is orthogonal to all u_i, so that squares add up. Of more
    columns than rows the u_i are orthogonal to twice the digits.
    """
    n, d = X.shape
    cosines = 1e-14 * np.sqrt(d * (d - 1) / 2) if n >= d else 0.0
    return float(max(cosines, 1e-15) ** 2 * np.mean(y**2))


each = pytest.mark.parametrize("name", DATA)
each_precision = pytest.mark.parametrize("dtype", DTYPES)


@each
def test_minimizer_and_bounds(name: str) -> None:
    X, y, exact = of(name)
    regression = regression_of(name)
    # 2 * eps * condition number of C in float64 up to 1e6; beyond, twice the digits
    assert np.count_nonzero(regression.eigenvalues) == exact.rank
    assert np.linalg.norm(regression.minimizer) == pytest.approx(float(exact.norm), rel=1e-9)
    error = np.linalg.norm(regression.minimizer - np.array([float(x) for x in exact.minimizer]))
    assert error <= 1e-9 * float(exact.norm)
    # in float64 y - X w* is rounded by some eps |y|
    least = float(exact.minimum_risk)
    assert regression.minimum_risk == pytest.approx(least, rel=1e-9, abs=within_the_span(X, y))
    curvature = theory.curvature_along_minimizer(regression)
    assert curvature == pytest.approx(float(exact.curvature), rel=1e-9)
    for depth in (1, 2, 10):
        for bound, value in exact.bounds(depth).items():
            assert getattr(theory, bound)(regression, depth) == pytest.approx(
                float(value), rel=1e-9
            ), (bound, depth)


@PROPERTY
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.lists(st.floats(0, 12), min_size=6, max_size=6),
    st.integers(0, 10_000),
)
@example((4, 4), [4.3125, 6.0, 7.359375, 7.0, 0.0, 0.0], 1)  # cosines of 3e-15 are left
def test_minimizers_of_any_condition(
    shape: tuple[int, int], exponents: list[float], seed: int
) -> None:
    n, k = shape[0], min(shape)
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in shape)
    X = U[:, :k] * 10.0 ** -np.array(exponents[:k]) @ V[:, :k].T
    y = rng.standard_normal(n)
    regression, exact = dl.Regression(X, y), Exact(X, y)
    assert np.linalg.norm(regression.minimizer) == pytest.approx(float(exact.norm), rel=1e-9)
    # The residual is off by some eps |X| |w*| up to a condition number of 1000 of X.
    least, off = float(exact.minimum_risk), 8 * 2.0**-52 * float(exact.norm)
    error = off**2 + 2 * off * max(least, 0.0) ** 0.5
    if exact.s[0] > 1.001e3 * exact.s[-1]:
        error = within_the_span(X, y)
    assert regression.minimum_risk == pytest.approx(least, rel=1e-9, abs=error)


def rounding(regression: dl.Regression, weights: list[Array], unit: float) -> tuple[float, float]:
    """What rounding by `unit` makes of F w - c, and of the square root of the test risk.

    A product over d_k terms is off by d_k unit of the sum of their magnitudes; the errors of the
    layers add up, and those of F w and of w come on top.
    """
    size = np.ones(1)
    for layer in reversed(weights):
        size = np.abs(layer).T @ size  # |W_1|^T .. |W_L|^T
    terms = sum(layer.shape[0] + 1 for layer in weights) + regression.d + 2
    X, X_test = regression.X, regression.X_test
    assert X_test is not None
    assert regression.y_test is not None
    errors = []
    for inputs, targets in ((X, regression.y), (X_test, regression.y_test)):
        # of a factor of the inputs, whose entries are sums of theirs
        reach = np.linalg.norm(inputs) * np.linalg.norm(size) + np.linalg.norm(targets)
        errors.append(terms * unit * reach / np.sqrt(len(targets)))
    return errors[0], errors[1]


def risk_error(risk: float, error: float, unit: float) -> float:
    """Of |e|^2 where e is off by `error`."""
    return 2 * np.sqrt(risk) * error + error**2 + 100 * unit * risk


def starts(d: int, runs: int = 3) -> list[Array]:
    rng = np.random.default_rng(d)
    return [0.6 * rng.standard_normal((runs, *shape)) / np.sqrt(d) for shape in ((d, d), (1, d))]


@each
def test_risks_of_maps(name: str) -> None:
    X, y, exact = of(name)
    regression = regression_of(name)
    assert regression.X_test is not None
    assert regression.y_test is not None
    rng = np.random.default_rng(1)
    size = np.linalg.norm(y) / np.linalg.norm(X)
    for w in (*size * rng.standard_normal((4, regression.d)), np.zeros(regression.d)):
        for value, inputs, targets in (
            (regression.risk(w), X, y),
            (regression.test_risk(w), regression.X_test, regression.y_test),
        ):
            with mp.workdps(50):
                residual = mp.matrix(targets.tolist()) - mp.matrix(inputs.tolist()) * mp.matrix(w)
                expected = float(mp.fdot(residual, residual) / len(targets))
            assert value == pytest.approx(expected, rel=1e-9)
    # at the minimizer, rounded as it is, F w* is off by d eps |F| |w*|
    error = regression.d * 2.0**-52 * np.linalg.norm(X) * float(exact.norm) / np.sqrt(len(y))
    at = float(regression.risk(regression.minimizer))
    least = float(exact.minimum_risk)
    assert least - 1e-9 * least - 1e-30 * np.mean(y**2) <= at
    assert at <= least + error**2 + 2 * np.sqrt(least) * error


@each
@each_precision
@pytest.mark.parametrize("engine", NAMES)
def test_runs_and_their_statuses(name: str, dtype: str, engine: str) -> None:
    if name in ("large", "small") and dtype == "float32":
        pytest.skip("squares of these data are beyond float32")
    X, y, exact = of(name)
    regression = regression_of(name)
    network = dl.Network((regression.d, regression.d, 1))
    landscape = dl.Landscape(network, regression)
    unit = 2.0**-53 if dtype == "float64" else 2.0**-24
    height = float(np.linalg.norm(X, 2) / np.linalg.norm(y))
    weights = [layer / np.sqrt(height) for layer in starts(regression.d)]
    rate = 0.2 / landscape.sharpness([layer[0] for layer in weights], 1e-3).value
    mean = float(np.mean(y**2))
    for tolerance in (2.0 * mean, 0.5 * mean, 0.02 * mean):
        data = dl.simulate(
            landscape,
            weights,
            dl.GradientDescent(rate),
            steps=300,
            every=300,
            tolerance=tolerance,
            record=("risk", "test_risk"),
            dtype=dtype,
            engine=engine,
        )
        for run in range(data.sizes["run"]):
            end = data.isel(run=run)
            last = network.unflatten(end.weights)
            w = end_to_end(last)
            excess, risk = float(exact.excess(w)), float(exact.risk(w))
            error, test_error = rounding(regression, last, unit)
            allowed = risk_error(risk, error, unit)
            # exact, and in float64 to 1e-9 where no product of the layers is at work
            recorded = float(end.risk.isel(step=-1))
            assert recorded == pytest.approx(risk, rel=1e-9 * (dtype == "float64"), abs=allowed)
            assert recorded >= float(exact.minimum_risk) * (1 - 1e-9)
            if end.status == "converged":
                assert excess <= tolerance + risk_error(tolerance, error, unit)
            else:
                assert end.status == "completed"
                assert excess >= tolerance - risk_error(tolerance, error, unit)
            expected = float(regression.test_risk([float(x) for x in w]))
            allowed = risk_error(expected, test_error, unit)
            assert float(end.test_risk.isel(step=-1)) == pytest.approx(expected, abs=allowed)


@pytest.mark.parametrize("samples", [None, True])
def test_many_features_of_iris_in_float32(samples: bool | None) -> None:
    X, y = iris(4)
    d = X.shape[1]
    landscape = dl.Landscape(dl.Network((d, d, 1)), dl.Regression(X, y), samples=samples)
    weights = [0.01 * layer for layer in starts(d, 1)]
    data = dl.simulate(
        landscape, weights, dl.GradientDescent(1e-3), steps=20, tolerance=1e-3, dtype="float32"
    )
    assert (data.status == "completed").all()
    expected = [np.mean((y - X @ landscape.end_to_end([w[0] for w in weights])) ** 2)]
    np.testing.assert_allclose(data.risk.isel(step=0), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_with_noise_converges_no_sooner_than_through_the_samples(dtype: str) -> None:
    X, y = copies(1e-4)
    regression = dl.Regression(X, y)
    network = dl.Network((6, 6, 1))
    ends = [
        dl.simulate(
            dl.Landscape(network, regression, samples=samples),
            starts(6),
            dl.GradientDescent(0.05),
            steps=300,
            tolerance=1e-4,
            dtype=dtype,
        )
        for samples in (None, True)
    ]
    assert ends[0].status.values.tolist() == ends[1].status.values.tolist()
    assert (ends[0].status == "completed").all()
    np.testing.assert_allclose(ends[0].risk, ends[1].risk, rtol=1e-3)


@each_precision
@pytest.mark.parametrize("engine", NAMES)
def test_interpolation_to_the_last_digits(dtype: str, engine: str) -> None:
    exact = of("few samples")[2]
    regression = regression_of("few samples")
    network = dl.Network((regression.d, 5, 1))
    landscape = dl.Landscape(network, regression)
    weights = [layer[0] for layer in starts(regression.d)]
    weights = [weights[0][:5], weights[1][:, :5]]
    rate = 0.2 / landscape.sharpness(weights).value
    unit = 2.0**-53 if dtype == "float64" else 2.0**-24
    data = dl.simulate(
        landscape, weights, dl.GradientDescent(rate), steps=5000, dtype=dtype, engine=engine
    )
    # R = |F w - c|^2, which is off by the square of F w's rounding; never below its minimum
    last = network.unflatten(data.weights.isel(run=0))
    error, _ = rounding(regression, last, unit)
    assert (data.risk >= 0).all()
    assert float(data.risk.isel(run=0, step=-1)) <= float(exact.minimum_risk) + error**2


def test_inputs_that_are_zero() -> None:
    regression = dl.Regression(np.zeros((4, 3)), [1.0, 2.0, 3.0, 4.0], np.zeros((2, 3)), [1.0, 1.0])
    network = dl.Network((3, 2, 1))
    landscape = dl.Landscape(network, regression)
    weights = dl.init.Gaussian(1.0).sample(network, 0)
    assert landscape.risk(weights) == pytest.approx(7.5)
    assert landscape.hessian_trace(weights) == 0
    data = dl.simulate(
        landscape, weights, dl.GradientDescent(0.1), steps=3, record=("risk", "test_risk")
    )
    np.testing.assert_allclose(data.test_risk, 1.0)
    np.testing.assert_array_equal(
        data.weights.isel(run=0), np.concatenate([*map(np.ravel, weights)])
    )


@pytest.mark.parametrize("name", ["few samples", "few samples, two nearly equal", "polynomial"])
def test_curvature_is_that_through_the_samples(name: str) -> None:
    X, y, _ = of(name)
    d = X.shape[1]
    regression = dl.Regression(X, y)
    network = dl.Network((d, 6, 1))
    plain, sampled = (dl.Landscape(network, regression, samples=s) for s in (None, True))
    rng = np.random.default_rng(5)
    weights = [0.3 * rng.standard_normal(shape) for shape in ((6, d), (1, 6))]
    direction = [rng.standard_normal(layer.shape) for layer in weights]
    # both are sums of some 100 terms, beside the largest of which they are rounded
    found = plain.hessian_vector_product(weights, direction)
    for one, other in zip(found, sampled.hessian_vector_product(weights, direction), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())
    trace = sampled.hessian_trace(weights)
    assert plain.hessian_trace(weights) == pytest.approx(trace, rel=1e-12)
    assert plain.sharpness(weights).value == pytest.approx(
        sampled.sharpness(weights).value, rel=1e-8
    )


@pytest.mark.parametrize("name", ["few samples", "few samples, two nearly equal", "other units"])
def test_sharpness_at_the_aligned_minimizer(name: str) -> None:
    _, _, exact = of(name)
    regression = regression_of(name)
    network = dl.Network((regression.d, 5, 5, 1))
    at = dl.Landscape(network, regression).sharpness(theory.aligned_minimizer(network, regression))
    assert at.converged
    assert at.value == pytest.approx(float(exact.bounds(3)["aligned_sharpness"]), rel=1e-7)


def test_data_too_large_for_twice_the_digits_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplinear.least_squares._MOST_PRODUCTS", 10)
    X, y = copies(1e-8)
    with pytest.warns(RuntimeWarning, match="X must have fewer entries, or less collinear"):
        assert dl.Regression(X, y).minimum_risk > 0
