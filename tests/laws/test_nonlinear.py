"""Risk, gradient and Hessian of nonlinear networks against formulas and JAX; linear ones beside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import deeplinear as dl
from accuracy import EPS, EXTREMES, TOLERANCE, check_values, close, norm
from activations import in_jax
from strategies import (
    EXAMPLES,
    NONLINEAR,
    PROPERTY,
    Problem,
    bent,
    flat,
    make_problem,
    nonlinear_problems,
    random_direction,
    relative_error,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]


# Values


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize(
    ("widths", "n"),
    [((17, 33, 5, 1), 130), ((2, 40, 3, 1), 31), ((3,) * 25 + (1,), 12), ((5, 5, 5, 1), 1001)],
)
def test_wide_deep_and_many(widths: tuple[int, ...], n: int, activation: str) -> None:
    """Beyond what fits into one block, of samples or of neurons.

    Sums of up to 1001 terms: eps sqrt(1001) = 7e-15 if the roundings are independent.
    """
    check_values(bent(make_problem(widths, "plain", n, seed=2), activation))


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("n", range(1, 18))
def test_every_small_number_of_samples(n: int, activation: str) -> None:
    check_values(bent(make_problem((3, 4, 2, 1), "plain", n, seed=n), activation))


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize(("widths", "readout"), [((4, 5, 3, 1), "plain"), ((3, 4, 4, 2), "any")])
def test_against_jax(widths: tuple[int, ...], readout: str, activation: str) -> None:
    jax = pytest.importorskip("jax", reason="compares with JAX, which is not installed")
    jax.config.update("jax_enable_x64", True)
    problem = bent(make_problem(widths, readout, 11, seed=5), activation)
    p = problem.network.readout_vector
    s = in_jax(jax, activation)

    def risk(weights: list[Any]) -> Any:
        hidden = problem.X
        for layer in weights[:-1]:
            hidden = s(hidden @ layer.T)
        return jax.numpy.mean((hidden @ weights[-1].T @ p - problem.y) ** 2)

    landscape, direction = problem.landscape, random_direction(problem, 1)
    gradient, product = jax.jvp(jax.grad(risk), (problem.weights,), (direction,))
    assert landscape.risk(problem.weights) == pytest.approx(float(risk(problem.weights)), rel=1e-12)
    assert relative_error(flat(landscape.gradient(problem.weights)), flat(gradient)) <= 1e-12
    result = landscape.hessian_vector_product(problem.weights, direction)
    assert relative_error(flat(result), flat(product)) <= 1e-10


@pytest.mark.parametrize("activation", NONLINEAR)
def test_the_order_of_samples_does_not_matter(activation: str) -> None:
    """Every sample twice, in any order: the same mean to the rounding of a sum."""
    problem = bent(make_problem((4, 3, 3, 1), "plain", 9, seed=2), activation)
    order = np.random.default_rng(0).permutation(18)
    doubled = replace(problem, X=np.tile(problem.X, (2, 1))[order], y=np.tile(problem.y, 2)[order])
    for name in ("risk", "hessian"):
        result = getattr(doubled.landscape, name)(problem.weights)
        expected = getattr(problem.landscape, name)(problem.weights)
        assert relative_error(result, expected) <= 1e-13


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("readout", ["plain", "any"])
def test_a_single_layer_is_linear(activation: str, readout: str) -> None:
    """No activation after the last layer, which is the first here."""
    problem = make_problem((4, 1 if readout == "plain" else 3), readout, 9, seed=6)
    bent_ = problem.with_activation(activation)
    for name in ("risk", "hessian", "hessian_trace"):
        result = getattr(bent_.landscape, name)(problem.weights)
        expected = getattr(problem.landscape, name)(problem.weights)
        assert relative_error(result, expected) <= TOLERANCE
    gradient = flat(bent_.landscape.gradient(problem.weights))
    assert relative_error(gradient, flat(problem.landscape.gradient(problem.weights))) <= TOLERANCE


@pytest.mark.parametrize("activation", NONLINEAR)
def test_a_network_that_made_the_targets_has_no_risk(activation: str) -> None:
    """y = f(x): no gradient, and H = 2 J^T J / n, which has no negative eigenvalue."""
    problem = bent(make_problem((3, 4, 4, 1), "plain", 12, seed=4), activation)
    outputs = problem.objective.outputs(problem.weights)
    problem = replace(problem, y=outputs.astype(float))
    landscape = problem.landscape
    size = np.max(np.abs(problem.y))
    # the targets are rounded, and so is f: a residual of some 10 eps each
    assert landscape.risk(problem.weights) <= (32 * EPS * size) ** 2
    spectrum = np.linalg.eigvalsh(landscape.hessian(problem.weights))
    assert spectrum[0] >= -1e-12 * spectrum[-1]
    assert norm(flat(landscape.gradient(problem.weights))) <= 64 * EPS * size * np.sqrt(
        spectrum[-1]
    )


# The Hessian and its extremes


@settings(PROPERTY, max_examples=min(40, EXAMPLES))
@given(nonlinear_problems(max_depth=4, max_width=5))
def test_the_hessian_and_what_follows_from_it(problem: Problem) -> None:
    landscape, weights = problem.landscape, problem.weights
    hessian = landscape.hessian(weights)
    assert hessian.shape == (problem.size, problem.size)
    close(hessian, problem, lambda objective, w: objective.hessian(w))
    size = norm(hessian)
    assert norm(hessian - hessian.T) <= 1e-14 * size

    # the trace is a sum of P entries that may have both signs
    values = np.linalg.eigvalsh(hessian)
    total = float(np.sum(np.abs(np.diagonal(hessian))))
    assert abs(landscape.hessian_trace(weights) - np.sum(values)) <= TOLERANCE * (total + size)

    direction = random_direction(problem, 5)
    product = flat(landscape.hessian_vector_product(weights, direction))
    assert norm(product - hessian @ flat(direction)) <= TOLERANCE * size * norm(flat(direction))

    for which, index in EXTREMES.items():
        found = landscape.sharpness(weights, tolerance=1e-10, which=which)
        case = f"{which}, {problem.activation}, widths {problem.widths}"
        assert found.converged, case
        # an eigenvalue lies within the residual, which is at most 1e-10 |H|
        assert abs(found.value - values[index]) <= 1e-9 * size, case
        vector = flat(found.vector)
        assert norm(vector) == pytest.approx(1, abs=1e-12), case
        residual = norm(hessian @ vector - found.value * vector)
        assert residual <= found.residual + TOLERANCE * size, case


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("widths", [(3, 1), (1, 1, 1), (4, 3, 2, 1), (12, 12, 12, 12, 1)])
def test_extremes_of_the_spectrum(widths: tuple[int, ...], activation: str) -> None:
    """From nothing, and from an eigenvector: the value is the same within the tolerance.

    The largest shape has 444 parameters, so that an iteration has something to do.
    """
    problem = bent(make_problem(widths, "plain", 15, seed=8), activation)
    landscape, weights = problem.landscape, problem.weights
    values = np.linalg.eigvalsh(landscape.hessian(weights))
    size = max(abs(values[0]), abs(values[-1]))
    for which, index in EXTREMES.items():
        found = landscape.sharpness(weights, tolerance=1e-8, which=which)
        assert found.converged
        assert abs(found.value - values[index]) <= 1e-8 * size
        again = landscape.sharpness(weights, tolerance=1e-8, which=which, start=found.vector)
        assert again.converged
        assert abs(again.value - values[index]) <= 1e-8 * size
        assert again.products <= found.products


# A linear network through the samples


@PROPERTY
@given(nonlinear_problems())
def test_the_identity_is_the_linear_path(problem: Problem) -> None:
    """The two paths share nothing before the answer: the moments of the data against the samples.

    1e-10, and 1e-13 of the terms that the linear risk and slope may cancel: |y|^2/n + |C| |w|^2.
    """
    linear = make_problem(
        problem.widths, "plain" if problem.readout is None else "any", len(problem.y), problem.size
    )
    sampled = linear.with_activation("identity", samples=True)
    one, other, weights = linear.landscape, sampled.landscape, linear.weights
    direction = random_direction(linear, 2)
    w = norm(linear.reference.end_to_end(weights))
    size = np.linalg.norm(linear.X, 2) / np.sqrt(len(linear.y))
    terms = np.mean(linear.y**2) + size**2 * w**2
    gradient, hessian = flat(one.gradient(weights)), one.hessian(weights)
    jacobian = norm(linear.reference.jacobian(weights))

    def same(result: Any, expected: Any, scale: float) -> None:
        assert norm(np.subtract(result, expected)) <= 1e-10 * norm(expected) + 1e-13 * scale

    same(other.risk(weights), one.risk(weights), terms)
    slope = jacobian * size * np.sqrt(terms)
    same(flat(other.gradient(weights)), gradient, slope)
    # its second part is the slope times second derivatives of w, at most L of the Jacobian's size
    # for layers of norm one
    curvature = norm(hessian) + linear.depth * slope * (1 + jacobian)
    same(other.hessian(weights), hessian, curvature)
    product = flat(other.hessian_vector_product(weights, direction))
    expected = flat(one.hessian_vector_product(weights, direction))
    same(product, expected, curvature * norm(flat(direction)))
    same(other.hessian_trace(weights), one.hessian_trace(weights), curvature)
    same(other.end_to_end(weights), one.end_to_end(weights), w)
    for which in EXTREMES:
        values = [land.sharpness(weights, 1e-12, which=which).value for land in (other, one)]
        same(*values, 1e3 * curvature)


def test_what_a_linear_network_has_through_the_samples() -> None:
    problem = make_problem((4, 3, 2), "any", 9, seed=1)
    sampled = problem.with_activation("identity", samples=True).landscape
    expected = problem.landscape.end_to_end(problem.weights)
    np.testing.assert_allclose(sampled.end_to_end(problem.weights), expected, rtol=1e-13)
    with pytest.raises(ValueError, match="samples"):
        sampled.compressed_hessian(problem.weights)
    for samples in (None, False):
        landscape = dl.Landscape(problem.network, problem.regression, samples=samples)
        result = landscape.compressed_hessian(problem.weights)
        np.testing.assert_array_equal(result, problem.landscape.compressed_hessian(problem.weights))
        np.testing.assert_array_equal(landscape.end_to_end(problem.weights), expected)
