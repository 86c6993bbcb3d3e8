"""The reference against complex steps of its own risk, which needs no derivative by hand.

That of nonlinear networks also against differences, textbook formulas, plain loops and JAX.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from activations import in_jax
from reference import (
    ACTIVATIONS,
    NonlinearReference,
    Objective,
    balancedness,
    minimizer,
    sharpness_at_minimizer,
)
from strategies import (
    NONLINEAR,
    Problem,
    bent,
    flat,
    make_problem,
    minimizing_weights,
    random_direction,
    random_problem,
    relative_error,
)

SEEDS = range(25)
STEP = 1e-30  # f(x + i h) = f(x) + i h f'(x) + O(h^2): nothing cancels, so h may be tiny


def _complex(problem: Problem) -> Objective:
    return replace(problem.objective, dtype=np.complex128)


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


# Nonlinear networks


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_of_activations(activation: str) -> None:
    """Each is the complex step of the one before it, to rounding where its terms are added.

    They have the size of z u'^2 <= 60 for the GELU between -8 and 8, and of one elsewhere.
    """
    s, slope, curvature = ACTIVATIONS[activation]
    z = np.concatenate([np.linspace(-8, 8, 401), [1e-300, -1e-12, -0.0, 20, -20, 300, -300]])
    for function, derivative in [(s, slope), (slope, curvature)]:
        result = derivative(z + 0j).real
        expected = function(z + 1j * STEP).imag / STEP
        np.testing.assert_allclose(result, expected, rtol=1e-14, atol=2e-14)
        np.testing.assert_allclose(derivative(z), result, rtol=1e-14, atol=2e-14)


def test_activations_at_zero() -> None:
    """The ReLU has the slope 0 there, whatever the sign of the zero."""
    for zero in (np.zeros(1), -np.zeros(1), np.zeros(1, complex)):
        values = {name: [f(zero).item() for f in fs] for name, fs in ACTIVATIONS.items()}
        assert values["relu"] == [0, 0, 0]
        assert values["tanh"] == [0, 1, 0]
        assert values["gelu"][:2] == [0, 0.5]
        assert values["gelu"][2] == pytest.approx(np.sqrt(2 / np.pi), rel=1e-15)


def test_activations_against_their_textbook_forms() -> None:
    """1 + tanh(u) loses relative accuracy below zero, so that eps |z| remains.

    The exponent 2 u, which is -57 at z = -8, carries its relative rounding into the exponential.
    """
    z = np.linspace(-8, 8, 1001)
    u = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)
    gelu, tanh, relu = (ACTIVATIONS[name] for name in ("gelu", "tanh", "relu"))
    np.testing.assert_allclose(gelu[0](z), z / 2 * (1 + np.tanh(u)), rtol=0, atol=4e-15)
    np.testing.assert_allclose(gelu[0](z), z * expit(2 * u), rtol=4e-14)
    np.testing.assert_allclose(tanh[1](z), np.cosh(z) ** -2, rtol=1e-14)
    np.testing.assert_array_equal(relu[0](z), np.maximum(z, 0))


@pytest.mark.parametrize("size", [1e3, 1e6, 1e150])
def test_activations_of_large_arguments(size: float) -> None:
    with np.errstate(all="ignore"):
        for name, limits in [("gelu", (size, 1, 0)), ("relu", (size, 1, 0)), ("tanh", (1, 0, 0))]:
            for sign in (1, -1):
                z = np.array([sign * size], np.longdouble)
                values = [float(f(z)[0]) for f in ACTIVATIONS[name]]
                odd = [sign, 0, 0]
                assert values == (odd if name == "tanh" else list(limits) if sign > 0 else [0] * 3)


def _bent(seed: int, activation: str, max_depth: int = 4) -> Problem:
    return bent(random_problem(seed, max_depth=max_depth, max_width=5), activation, seed)


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("seed", range(10))
def test_nonlinear_gradient_is_the_derivative_of_the_risk(seed: int, activation: str) -> None:
    problem = _bent(seed, activation)
    expected = _derivative(problem, lambda reference, weights: reference.risk(weights))
    objective = problem.objective
    gradient = objective.flatten(objective.gradient(problem.weights)).astype(float)
    scale = np.linalg.norm(expected)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("seed", range(10))
def test_nonlinear_derivatives_against_differences(seed: int, activation: str) -> None:
    """Central differences in extended precision: h^2 = 1e-10 times a third derivative."""
    problem = _bent(seed, activation)
    objective, h = problem.objective, 1e-5
    vector = objective.flatten(problem.weights)
    direction = objective.flatten(random_direction(problem, seed))
    direction = direction / np.sqrt(direction @ direction)

    def central(function: Any) -> Any:
        ahead, behind = (
            function(objective.unflatten(vector + sign * h * direction)) for sign in (1, -1)
        )
        return (ahead - behind) / (2 * h)

    gradient = objective.flatten(objective.gradient(problem.weights))
    scale = float(np.linalg.norm(gradient.astype(float))) + float(objective.risk(problem.weights))
    assert abs(gradient @ direction - central(objective.risk)) <= 1e-7 * scale

    hessian = objective.hessian(problem.weights)
    difference = central(lambda weights: objective.flatten(objective.gradient(weights)))
    scale = np.linalg.norm(hessian.astype(float))
    assert np.linalg.norm((hessian @ direction - difference).astype(float)) <= 1e-7 * scale
    assert np.linalg.norm((hessian - hessian.T).astype(float)) <= 1e-15 * scale


@pytest.mark.parametrize("seed", range(10))
def test_the_identity_is_the_linear_reference(seed: int) -> None:
    """Through the samples and the chain rule, against matrix products and their Jacobian."""
    problem = random_problem(seed, max_depth=5, max_width=5)
    linear, sampled = problem.reference, problem.with_activation("identity", samples=True).objective
    assert isinstance(sampled, NonlinearReference)
    weights, direction = problem.weights, random_direction(problem, 1)
    for name in ("risk", "hessian", "hessian_trace"):
        assert relative_error(getattr(sampled, name)(weights), getattr(linear, name)(weights)) < (
            1e-15
        )
    assert relative_error(flat(sampled.gradient(weights)), flat(linear.gradient(weights))) < 1e-15
    products = [f.hessian_vector_product(weights, direction) for f in (sampled, linear)]
    assert relative_error(flat(products[0]), flat(products[1])) < 1e-15


@pytest.mark.parametrize("activation", NONLINEAR)
def test_outputs_of_one_sample_after_the_other(activation: str) -> None:
    problem = _bent(3, activation)
    s = ACTIVATIONS[activation][0]
    outputs = []
    for x in problem.X:
        for layer in problem.weights[:-1]:
            x = s(layer @ x)
        outputs.append(problem.objective.samples[2] @ (problem.weights[-1] @ x))
    result = problem.objective.outputs(problem.weights)
    np.testing.assert_allclose(result.astype(float), outputs, rtol=1e-12)


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("seed", range(4))
def test_nonlinear_reference_against_jax(seed: int, activation: str) -> None:
    jax = pytest.importorskip("jax", reason="compares with JAX, which is not installed")
    jax.config.update("jax_enable_x64", True)
    problem = _bent(seed, activation)
    p = np.ones(1) if problem.readout is None else problem.readout
    s = in_jax(jax, activation)

    def risk(weights: list[Any]) -> Any:
        hidden = problem.X
        for layer in weights[:-1]:
            hidden = s(hidden @ layer.T)
        return jax.numpy.mean((hidden @ weights[-1].T @ p - problem.y) ** 2)

    objective, weights = problem.objective, problem.weights
    direction = random_direction(problem, seed)
    gradient, product = jax.jvp(jax.grad(risk), (weights,), (direction,))
    assert relative_error(risk(weights), objective.risk(weights)) <= 1e-12
    assert relative_error(flat(gradient), flat(objective.gradient(weights))) <= 1e-11
    exact = flat(objective.hessian_vector_product(weights, direction))
    assert relative_error(flat(product), exact) <= 1e-10
