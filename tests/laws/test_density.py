"""The Hessian as an operator, its trace, and densities of its spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

import deeplinear as dl
from strategies import Problem, flat, make_problem, minimizing_weights, relative_error

pytestmark = pytest.mark.core

Array = NDArray[Any]
DEEP = (5,) * 10 + (1,)


def dense(problem: Problem) -> Array:
    return np.asarray(problem.landscape.hessian(problem.weights))


# Operators, traces and densities


@pytest.mark.parametrize("widths", [(12, 3, 9, 7, 1), (70, 40, 1), (9, 5)])
def test_the_operator(widths: tuple[int, ...]) -> None:
    problem = make_problem(widths, "plain" if widths[-1] == 1 else "any", 50, seed=3)
    operator = problem.landscape.hessian_operator(problem.weights)
    if problem.size < 500:
        H = dense(problem)
        norm = np.linalg.norm(H)
        assert operator.shape == H.shape
        block = np.random.default_rng(0).standard_normal((problem.size, 3))
        np.testing.assert_allclose(operator @ block, H @ block, rtol=0, atol=1e-13 * norm)
        np.testing.assert_allclose(operator.T @ block, H @ block, rtol=0, atol=1e-13 * norm)
        np.testing.assert_array_equal(operator @ block[:, :1], (operator @ block[:, 0])[:, None])
        imaginary = operator @ (block[:, 0] + 1j * block[:, 1])
        np.testing.assert_array_equal(imaginary.real, operator @ block[:, 0])
        np.testing.assert_array_equal(imaginary.imag, operator @ block[:, 1])
    scale = problem.landscape.sharpness(problem.weights).value
    for name, which in (("largest", "LA"), ("lowest", "SA")):
        found = problem.landscape.eigenvalues(problem.weights, 3, 1e-10, which=name)
        values = np.sort([one.value for one in found])
        theirs = np.sort(
            eigsh(operator, 3, which=which, tol=1e-11, ncv=40, return_eigenvectors=False)
        )
        np.testing.assert_allclose(values, theirs, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("widths", [DEEP, (30, 20, 40, 1), (40, 6, 5)])
@pytest.mark.parametrize("n", [7, 60])
def test_the_trace_is_the_sum_of_the_eigenvalues(widths: tuple[int, ...], n: int) -> None:
    problem = make_problem(widths, "plain" if widths[-1] == 1 else "unit", n, seed=3)
    compressed = problem.landscape.compressed_hessian(problem.weights)
    values = np.linalg.eigvalsh(compressed)
    trace = problem.landscape.hessian_trace(problem.weights)
    assert abs(trace - values.sum()) <= 1e-13 * np.abs(values).sum()


@pytest.mark.parametrize("kind", ["random", "minimizer", "identity"])
@pytest.mark.parametrize("widths", [DEEP, (12, 3, 9, 7, 1), (3, 2, 1)])
def test_moments_of_the_density(widths: tuple[int, ...], kind: str) -> None:
    """Within six standard deviations of the exact traces.

    For a vector z of random signs z^T A z has the mean tr A and a variance of
    2 (|A|^2 - sum A_ii^2) <= 2 |A|^2. With z projected on the range A = P f(H) P, so
    |A|^2 = tr f(H)^2 on the range; and Gauss quadrature is exact for f = 1, x, x^2.
    """
    problem = make_problem(widths, "plain", 30, seed=3)
    weights = {
        "random": problem.weights,
        "minimizer": minimizing_weights(problem),
        "identity": [np.eye(*layer.shape) for layer in problem.weights],
    }[kind]
    compressed = problem.landscape.compressed_hessian(weights)
    values, vectors = np.linalg.eigvalsh(compressed), 200
    for steps in (3, 500):
        density = problem.landscape.spectral_density(weights, vectors=vectors, steps=steps, seed=1)
        assert density.nodes.shape == density.weights.shape
        assert density.nodes.shape == (vectors, min(steps, len(values)))
        zeros = (problem.size - len(values)) / problem.size
        assert density.zeros == pytest.approx(zeros, abs=1e-15)
        assert np.all(density.weights >= 0)
        assert density.nodes.min() >= values[0] - 1e-12 * np.abs(values).max()
        assert density.nodes.max() <= values[-1] + 1e-12 * np.abs(values).max()
        for power in (0, 1, 2):
            expected = np.sum(values**power) / problem.size if power > 0 else 1.0
            deviation = np.sqrt(2 * np.sum(values ** (2 * power)) / vectors) / problem.size
            moment = density.moment(power)
            assert abs(moment - expected) <= 6 * deviation + 1e-13, (power, steps)


@pytest.mark.parametrize("widths", [(12, 3, 9, 7, 1), (3, 2, 1)])
def test_more_steps_keep_the_first_moments(widths: tuple[int, ...]) -> None:
    check_first_moments(make_problem(widths, "plain", 30, seed=3))


def test_more_steps_keep_the_first_moments_of_a_large_hessian() -> None:
    """|H| is about 1000 here."""
    check_first_moments(make_problem(DEEP, "plain", 30, seed=3))


def check_first_moments(problem: Problem) -> None:
    """Two nodes of a vector give its moments up to the third, and more nodes the same.

    The moments are numbers of the first two Lanczos steps, which come first in any case.
    """
    norm = max(
        abs(problem.landscape.sharpness(problem.weights, which=which).value)
        for which in ("largest", "lowest")
    )
    few, *more = (
        problem.landscape.spectral_density(problem.weights, vectors=3, steps=steps, seed=5)
        for steps in (2, 7, 30, 500)
    )
    for many in more:
        for power in range(4):
            np.testing.assert_allclose(
                (few.weights * few.nodes**power).sum(axis=1),
                (many.weights * many.nodes**power).sum(axis=1),
                rtol=0,
                atol=1e-12 * norm**power,
            )


def test_the_trace_and_the_first_moment() -> None:
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    density = problem.landscape.spectral_density(problem.weights, vectors=400, steps=2)
    values = np.linalg.eigvalsh(problem.landscape.compressed_hessian(problem.weights))
    trace = problem.landscape.hessian_trace(problem.weights)
    deviation = np.sqrt(2 * np.sum(values**2) / 400)
    assert abs(density.moment(1) * problem.size - trace) <= 6 * deviation


def test_the_density_widened() -> None:
    """Its integral is the mass of the nonzero eigenvalues, by the trapezoidal rule on a fine grid
    that reaches ten widths beyond the nodes; there it is exact to exp(-50)."""
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    density = problem.landscape.spectral_density(problem.weights, vectors=4, steps=60)
    width = 0.05 * float(np.ptp(density.nodes))
    low, high = density.nodes.min() - 10 * width, density.nodes.max() + 10 * width
    grid = np.linspace(low, high, 2001)
    curve = density.density(grid, width)
    integral = float(np.sum(curve) * (grid[1] - grid[0]))
    assert integral == pytest.approx(float(density.weights.sum(axis=1).mean()), rel=1e-10)
    assert np.all(curve >= 0)


def test_densities_of_other_seeds_and_of_all_zero_weights() -> None:
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    one, again, other = (
        problem.landscape.spectral_density(problem.weights, vectors=2, steps=5, seed=seed)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.nodes, again.nodes)
    assert not np.any(one.nodes == other.nodes)
    assert not np.any(one.nodes[0] == one.nodes[1])
    nothing = problem.landscape.spectral_density([0 * layer for layer in problem.weights])
    assert nothing.moment(0) == pytest.approx(1, abs=0.1)
    assert nothing.moment(1) == 0


def test_large_networks() -> None:
    """A hundred layers of width 48: against SciPy on Hessian products, and the exact trace."""
    network = dl.Network((48,) * 60 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=100, d=48, noise=1.0, seed=0))
    weights = dl.init.Residual(0.5).sample(network, 0)
    operator = landscape.hessian_operator(weights)
    for name, which in (("largest", "LA"), ("lowest", "SA")):
        found = landscape.sharpness(weights, which=name)
        assert found.converged
        theirs = eigsh(operator, 1, which=which, tol=1e-6, return_eigenvectors=False)[0]
        assert found.value == pytest.approx(theirs, rel=1e-6)
        vector = flat(found.vector)
        assert relative_error(operator @ vector, found.value * vector) <= 1e-8 * (1 + 1e-4)
