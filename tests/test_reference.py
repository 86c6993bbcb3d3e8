"""The reference against complex steps of its own risk, which needs no derivative by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import Reference, balancedness, minimizer, sharpness_at_minimizer
from strategies import Problem, make_problem, minimizing_weights, random_problem

SEEDS = range(25)
STEP = 1e-30  # f(x + i h) = f(x) + i h f'(x) + O(h^2): nothing cancels, so h may be tiny


def _complex(problem: Problem) -> Reference:
    return Reference(problem.X, problem.y, problem.widths, problem.readout, np.complex128)


def _derivative(problem: Problem, function: Any) -> Any:
    """d function(weights) / dtheta, the parameter on the first axis."""
    reference = _complex(problem)
    vector = reference.flatten(problem.weights)
    rows = []
    for j in range(vector.size):
        shifted = vector.copy()
        shifted[j] += 1j * STEP
        rows.append(np.imag(function(reference, reference.unflatten(shifted))) / STEP)
    return np.array(rows)


def _small(seed: int) -> Problem:
    return random_problem(seed, max_depth=6, max_width=5)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_is_the_derivative_of_the_risk(seed: int) -> None:
    problem = _small(seed)
    expected = _derivative(problem, lambda reference, weights: reference.risk(weights))
    gradient = problem.reference.flatten(problem.reference.gradient(problem.weights))
    np.testing.assert_allclose(
        gradient.astype(float), expected, rtol=0, atol=1e-13 * np.linalg.norm(expected)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_hessian_is_the_derivative_of_the_gradient(seed: int) -> None:
    problem = _small(seed)
    expected = _derivative(
        problem, lambda reference, weights: reference.flatten(reference.gradient(weights))
    )
    hessian = problem.reference.hessian(problem.weights).astype(float)
    scale = np.linalg.norm(expected)
    np.testing.assert_allclose(hessian, expected, rtol=0, atol=1e-13 * scale)
    trace = float(problem.reference.hessian_trace(problem.weights))
    np.testing.assert_allclose(trace, np.trace(expected), rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_hessian_against_finite_differences_of_the_risk(seed: int) -> None:
    """(R(x + h) - 2 R(x) + R(x - h)) / h^2 along one direction, in extended precision."""
    problem = _small(seed)
    reference = problem.reference
    vector = reference.flatten(problem.weights)
    direction = np.random.default_rng(seed).standard_normal(vector.size)
    direction /= np.linalg.norm(direction)
    h = 1e-4

    def risk(shift: float) -> Any:
        return reference.risk(reference.unflatten(vector + shift * direction))

    expected = (risk(h) - 2 * risk(0.0) + risk(-h)) / h**2
    hessian = reference.hessian(problem.weights)
    curvature = direction @ hessian @ direction
    assert abs(curvature - expected) <= 1e-6 * np.linalg.norm(hessian.astype(float))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_minimizer_has_the_spectrum_of_the_small_problem(seed: int) -> None:
    problem = _small(seed)
    weights = minimizing_weights(problem)
    w = problem.reference.end_to_end(weights).astype(float)
    np.testing.assert_allclose(w, minimizer(problem.X, problem.y), rtol=0, atol=1e-13)
    largest = problem.reference.spectrum(weights)[-1]
    assert sharpness_at_minimizer(problem.reference, weights) == pytest.approx(largest, rel=1e-11)


def test_steppers_agree_with_the_flow() -> None:
    problem = make_problem((3, 4, 2, 1), "plain", 6, seed=1)
    exact = problem.reference.flow(problem.weights, [0.0, 0.5])[-1]
    errors = {
        (method, steps): np.linalg.norm(
            problem.reference.integrate(problem.weights, [0.5 / steps] * steps, method)[-1] - exact
        )
        for method in ("euler", "rk4")
        for steps in (100, 200)
    }
    assert errors["euler", 100] / errors["euler", 200] == pytest.approx(2, rel=0.1)
    assert errors["rk4", 100] / errors["rk4", 200] == pytest.approx(16, rel=0.1)


def test_balancedness_of_a_balanced_pair() -> None:
    lower, upper = np.array([[3.0], [4.0]]), np.array([[3.0, 4.0]])
    assert balancedness([lower, upper]) == 0
    assert balancedness([lower]) == 0
    assert balancedness([lower, 2 * upper]) == pytest.approx(75)
