"""What the mathematics says in closed form: minimizers, catapult, balanced starts, one mode."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

import deeplinear as dl
from reference import minimizer, sharpness_at_minimizer
from strategies import make_problem, minimizing_weights

Array = NDArray[Any]


# Regression


@pytest.mark.parametrize(("n", "d"), [(12, 4), (4, 4), (3, 7), (1, 1), (1, 5)])
def test_regression(n: int, d: int) -> None:
    rng = np.random.default_rng([n, d])
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    regression = dl.Regression(X, y)
    w = minimizer(X, y)
    C = X.T @ X / n
    np.testing.assert_allclose(regression.covariance, C, rtol=0, atol=1e-14 * np.linalg.norm(C))
    np.testing.assert_allclose(regression.minimizer, w, rtol=0, atol=1e-11 * np.linalg.norm(w))
    values = np.linalg.eigvalsh(C)
    np.testing.assert_allclose(regression.eigenvalues, values, rtol=0, atol=1e-13 * values[-1])
    assert np.all(np.diff(regression.eigenvalues) >= 0)
    minimum = np.mean((y - X @ w) ** 2)
    assert regression.minimum_risk == pytest.approx(minimum, rel=1e-10, abs=1e-13)


def test_gaussian_regression() -> None:
    regression = dl.gaussian_regression(n=50, d=5, noise=1.0, seed=3)
    assert np.linalg.norm(regression.minimizer) == pytest.approx(1, rel=1e-12)
    assert regression.covariance.shape == (5, 5)
    again = dl.gaussian_regression(n=50, d=5, noise=1.0, seed=3)
    other = dl.gaussian_regression(n=50, d=5, noise=1.0, seed=4)
    np.testing.assert_array_equal(again.covariance, regression.covariance)
    assert not np.array_equal(other.covariance, regression.covariance)
    exact = dl.gaussian_regression(n=50, d=5, noise=0.0, seed=3)
    assert exact.minimum_risk == pytest.approx(0, abs=1e-25)


# Minimizers: bounds, and exact values


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 10, 20])
@pytest.mark.parametrize(("n", "d"), [(20, 5), (6, 8), (9, 1)])
@pytest.mark.parametrize("readout", ["plain", "unit"])
def test_the_aligned_minimizer_has_its_exact_sharpness(
    depth: int, n: int, d: int, readout: str
) -> None:
    """2 |w*|^(2-2/L) lambda_max(C + (L-1) C^(1/2) v v^T C^(1/2)), v = w*/|w*|."""
    widths = (d, *(2 + k % 5 for k in range(depth - 1)), 1 if readout == "plain" else 3)
    problem = make_problem(widths, readout, n, seed=depth)
    regression = problem.regression
    weights = dl.theory.aligned_minimizer(problem.network, regression)

    w = minimizer(problem.X, problem.y)
    norm = float(np.linalg.norm(w))
    v = w / norm
    # C^(1/2) v v^T C^(1/2) and X v v^T X^T / n have the same spectrum, and so have the sums
    G = problem.X @ problem.X.T / n
    Xv = problem.X @ v / np.sqrt(n)
    power = norm ** (2 - 2 / depth)
    expected = 2 * power * np.linalg.eigvalsh(G + (depth - 1) * np.outer(Xv, Xv))[-1]

    assert dl.theory.aligned_sharpness(regression, depth) == pytest.approx(expected, rel=1e-10)
    found = dl.Landscape(problem.network, regression).sharpness(weights, tolerance=1e-12)
    assert found.value == pytest.approx(expected, rel=1e-10)

    # The bounds on every minimizer and on the flattest one
    a, largest = Xv @ Xv, np.linalg.eigvalsh(G)[-1]
    lower = 2 * depth * a * power
    upper = 2 * power * np.sqrt(depth * (largest**2 + (depth - 1) * a**2))
    assert dl.theory.sharpness_lower_bound(regression, depth) == pytest.approx(lower, rel=1e-10)
    assert dl.theory.sharpness_upper_bound(regression, depth) == pytest.approx(upper, rel=1e-10)
    small = dl.theory.small_scale_sharpness_bound(regression, depth)
    assert small == pytest.approx(8 * depth * largest * power, rel=1e-10)
    critical = dl.theory.critical_learning_rate(regression, depth)
    assert critical == pytest.approx(2 / lower, rel=1e-10)
    assert lower * (1 - 1e-9) <= found.value <= upper * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_minimizer_has_the_sharpness_of_a_small_problem(seed: int) -> None:
    """2 lambda_max(C^(1/2) M C^(1/2)), M = sum_k |u_k|^2 A_k^T A_k; above 2 L a |w*|^(2-2/L)."""
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, 8))
    widths = (4, *(int(width) for width in rng.integers(1, 7, depth - 1)), 1)
    problem = make_problem(widths, "plain", int(rng.integers(2, 15)), seed)
    weights = minimizing_weights(problem)
    sharpness = problem.landscape.sharpness(weights, tolerance=1e-12).value
    expected = sharpness_at_minimizer(problem.reference, weights)
    assert sharpness == pytest.approx(expected, rel=1e-10)
    bound = dl.theory.sharpness_lower_bound(problem.regression, depth)
    assert sharpness >= bound * (1 - 1e-9)


# Two layers, one sample


def catapult_recursion(f: float, kappa: float, rate: float, steps: int) -> tuple[Array, Array]:
    """f' = f (1 - 2 eta kappa + 4 eta^2 f^2), kappa' = kappa + 4 eta f^2 (eta kappa - 2)."""
    fs, kappas = np.empty(steps + 1, np.longdouble), np.empty(steps + 1, np.longdouble)
    eta = np.longdouble(rate)
    fs[0], kappas[0] = f, kappa
    for t in range(steps):
        fs[t + 1] = fs[t] * (1 - 2 * eta * kappas[t] + 4 * eta**2 * fs[t] ** 2)
        kappas[t + 1] = kappas[t] + 4 * eta * fs[t] ** 2 * (eta * kappas[t] - 2)
    return fs, kappas


def two_layers(width: int) -> list[Array]:
    """|W_1| = 2 and W_2 nearly orthogonal to it: f = W_2 W_1 = 0.02."""
    rng = np.random.default_rng(width)
    lower, upper = rng.standard_normal((width, 1)), rng.standard_normal((1, width))
    lower *= 2 / np.linalg.norm(lower)
    upper += (0.02 - upper @ lower) * lower.T / 4
    return [lower, upper]


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("ratio", [0.1, 0.45, 0.9, 1.1, 1.4, 1.8])
def test_the_catapult(width: int, ratio: float) -> None:
    """50 steps with eta kappa = ratio at the start: quiet below 1, up and down again above it.

    While f grows its relative error stays, since f and its error grow by the same factor; then it
    decays. So the error is a few roundings of the products of the layers, relative to max |f|:
    double against extended precision differ by less than 5e-14 in all of these cases.
    """
    regression = dl.Regression([[1.0]], [0.0])
    landscape = dl.Landscape(dl.Network((1, width, 1)), regression)
    weights = two_layers(width)
    f = float((weights[1] @ weights[0]).item())
    kappa = float(sum(np.sum(layer**2) for layer in weights))
    rate = ratio / kappa
    fs, kappas = catapult_recursion(f, kappa, rate, 50)
    size = float(np.max(np.abs(fs)))
    if ratio < 1:
        assert size == abs(f)
    else:
        assert size > 1.05 * abs(f)
        assert rate * kappas[-1] < 1

    descent = dl.GradientDescent(learning_rate=rate)
    dataset = dl.simulate(landscape, weights, descent, steps=50, record=("risk", "distance"))
    assert dataset.status.item() == "completed"
    for name in ("risk", "distance"):  # R = f^2 = |w - 0|^2
        values = np.sqrt(dataset[name].values[0])
        np.testing.assert_allclose(values, np.abs(fs).astype(float), rtol=0, atol=1e-12 * size)
    lower, upper = landscape.network.unflatten(dataset["weights"].values[0])
    assert abs(float((upper @ lower).item() - fs[-1])) <= 1e-12 * size
    assert np.sum(lower**2) + np.sum(upper**2) == pytest.approx(float(kappas[-1]), rel=1e-12)


@pytest.mark.parametrize("ratio", [2.5, 4.0])
def test_above_the_catapult_is_divergence(ratio: float) -> None:
    landscape = dl.Landscape(dl.Network((1, 3, 1)), dl.Regression([[1.0]], [0.0]))
    weights = two_layers(3)
    rate = ratio / float(sum(np.sum(layer**2) for layer in weights))
    dataset = dl.simulate(landscape, weights, dl.GradientDescent(rate), steps=2000)
    assert dataset.status.item() == "diverged"
    assert dataset.last_step.item() < 2000


# Balanced starts


def test_a_balanced_start_stays_balanced() -> None:
    """Recorded along the flow: rank-one layers of one norm with aligned vectors."""
    problem = make_problem((4, 3, 5, 1), "plain", 10, seed=3)
    aligned = dl.theory.aligned_minimizer(problem.network, problem.regression)
    weights = [0.5 * layer for layer in aligned]
    flow = dl.GradientFlow(method="dopri5", rtol=1e-10, atol=1e-12)
    dataset = dl.simulate(
        problem.landscape, weights, flow, time=3.0, record=("balancedness", "risk"), every=0.5
    )
    assert np.all(dataset["balancedness"].values <= 1e-8)
    assert np.all(np.diff(dataset["risk"].values[0]) < 0)


# One mode


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_the_mode_equation(depth: int, method: str) -> None:
    """sigma' = 2 L sigma^(2-2/L) (sigma* - sigma) for C = I and a balanced aligned start.

    The end-to-end map is sigma w*/|w*| at all times, so `distance` is (sigma - sigma*)^2.
    """
    rng = np.random.default_rng(depth)
    n, d, start = 12, 3, 0.2
    X = np.sqrt(n) * np.linalg.qr(rng.standard_normal((n, d)))[0]
    y = X @ rng.standard_normal(d) + 0.3 * rng.standard_normal(n)
    w = X.T @ y / n
    target = float(np.linalg.norm(w))
    units = [w / target]
    for width in [4] * (depth - 1) + [1]:
        direction = rng.standard_normal(width)
        units.append(direction / np.linalg.norm(direction))
    units[-1] = np.ones(1)
    size = start ** (1 / depth)
    weights = [size * np.outer(left, right) for right, left in pairwise(units)]

    times = np.linspace(0.0, 2.0, 9)
    expected = solve_ivp(
        lambda _, sigma: 2 * depth * sigma ** (2 - 2 / depth) * (target - sigma),
        (0.0, 2.0),
        [start],
        method="DOP853",
        t_eval=times,
        rtol=1e-13,
        atol=1e-14,
    ).y[0]

    network = dl.Network((d, *[4] * (depth - 1), 1))
    landscape = dl.Landscape(network, dl.Regression(X, y))
    if method == "rk4":  # 25 steps of 0.01 are one interval; the error is C h^4, about 1e-8 C
        flow, every, error = dl.GradientFlow(method="rk4", step=0.01), 25, 1e-5
    else:
        flow, every, error = dl.GradientFlow(method="dopri5", rtol=1e-10, atol=1e-12), 0.25, 1e-7
    dataset = dl.simulate(landscape, weights, flow, time=2.0, record=("distance",), every=every)
    np.testing.assert_allclose(dataset["time"].values, times, rtol=0, atol=1e-12)
    # the solver's dense output is exact to about 1e-9
    measured = np.sqrt(dataset["distance"].values[0])
    np.testing.assert_allclose(measured, np.abs(target - expected), rtol=0, atol=error * target)
    final = landscape.end_to_end(network.unflatten(dataset["weights"].values[0]))
    np.testing.assert_allclose(final, expected[-1] * w / target, rtol=0, atol=error * target)
