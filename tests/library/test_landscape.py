"""Values of the risk and its derivatives against the reference's explicit matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import deeplinear as dl
from strategies import (
    PROPERTY,
    Problem,
    flat,
    make_problem,
    minimizing_weights,
    problems,
    random_direction,
    random_problem,
    relative_error,
)

pytestmark = pytest.mark.core

SHAPES = 240  # random shapes: depth 1..12, widths 1..9, half plain and half with a readout
TOLERANCE = 1e-12
EPS = np.finfo(float).eps


def slope_rounding(problem: Problem) -> float:
    """Rounding of dR/dw = 2 (C w - b): its two terms may cancel, their rounding does not.

    Each is a sum of d products that were themselves sums over n samples, so eps (|C| |w| + |b|)
    times a modest factor, 16 here; where dR/dw is small against its terms no arithmetic of the same
    precision does better, because C and b themselves are rounded.
    """
    C, b = problem.X.T @ problem.X / len(problem.y), problem.X.T @ problem.y / len(problem.y)
    w = np.linalg.norm(problem.reference.end_to_end(problem.weights).astype(float))
    return float(16 * EPS * 2 * (np.linalg.norm(C, 2) * w + np.linalg.norm(b)))


def risk_rounding(problem: Problem) -> float:
    """The same for R = |y|^2/n - 2 b.w + w.C w, with terms up to (|y| + |X| |w|)^2/n."""
    w = np.linalg.norm(problem.reference.end_to_end(problem.weights).astype(float))
    norm = np.linalg.norm(problem.y) + np.linalg.norm(problem.X, 2) * w
    return float(16 * EPS * norm**2 / len(problem.y))


def gradient_rounding(problem: Problem) -> float:
    """The gradient is J^T dR/dw."""
    jacobian = problem.reference.jacobian(problem.weights).astype(float)
    return float(np.linalg.norm(jacobian, 2)) * slope_rounding(problem)


def curvature_rounding(problem: Problem) -> float:
    """J^T C J does not cancel, and the second part is linear in dR/dw (bounded by its size at |g|).

    Its blocks are top middle (bottom g): with g replaced by its rounding they are below
    L |top| |middle| |bottom| for each pair of layers.
    """
    reference, weights, depth = problem.reference, problem.weights, problem.depth

    def norm(upper: int, lower: int) -> float:
        return float(np.linalg.norm(reference.product(weights, upper, lower).astype(float)))

    p = 1.0 if problem.readout is None else float(np.linalg.norm(problem.readout))
    pairs = [
        p * norm(depth, upper + 1) * norm(upper - 1, lower + 1) * norm(lower - 1, 1)
        for upper in range(1, depth + 1)
        for lower in range(1, upper)
    ]
    return float(np.linalg.norm(pairs)) * slope_rounding(problem) if pairs else 0.0


def all_shapes() -> Iterator[Problem]:
    return (random_problem(seed) for seed in range(SHAPES))


def check(quantity: Callable[[Problem], tuple[Any, Any, float]]) -> None:
    """|result - expected| <= TOLERANCE |expected| + rounding, of every random shape."""
    for seed, problem in enumerate(all_shapes()):
        result, expected, rounding = quantity(problem)
        error = relative_error(result, expected)
        norm = float(np.linalg.norm(np.asarray(expected, dtype=float).ravel()))
        assert error <= TOLERANCE + rounding / max(norm, 1e-300), (
            f"seed {seed}, widths {problem.widths}, readout {problem.readout}: error {error:.2g}"
        )


def test_end_to_end() -> None:
    check(
        lambda problem: (
            problem.landscape.end_to_end(problem.weights),
            problem.reference.end_to_end(problem.weights),
            0.0,
        )
    )


def test_risk() -> None:
    check(
        lambda problem: (
            problem.landscape.risk(problem.weights),
            problem.reference.risk(problem.weights),
            risk_rounding(problem),
        )
    )


def test_gradient() -> None:
    check(
        lambda problem: (
            flat(problem.landscape.gradient(problem.weights)),
            problem.reference.flatten(problem.reference.gradient(problem.weights)),
            gradient_rounding(problem),
        )
    )


def test_hessian_and_its_products_and_trace() -> None:
    """One dense reference Hessian per shape, for all three."""
    for seed, problem in enumerate(all_shapes()):
        landscape, weights = problem.landscape, problem.weights
        expected = problem.reference.hessian(weights)
        direction = random_direction(problem, seed)
        vector = problem.reference.flatten(direction)
        hessian = landscape.hessian(weights)
        product = flat(landscape.hessian_vector_product(weights, direction))
        norm = float(np.linalg.norm(expected.astype(float)))
        rounding = curvature_rounding(problem)
        case = f"seed {seed}, widths {problem.widths}, readout {problem.readout}"

        assert hessian.shape == (problem.size, problem.size), case
        assert relative_error(hessian, expected) <= TOLERANCE + rounding / norm, case
        # H V has rounding errors of the size of |H| |V|, which V may leave no part of
        scale = max(
            float(np.linalg.norm((expected @ vector).astype(float))),
            1e-2 * norm * float(np.linalg.norm(vector.astype(float))) / np.sqrt(problem.size),
        )
        error = np.linalg.norm((product - expected @ vector).astype(float))
        assert error <= TOLERANCE * scale + rounding * np.linalg.norm(flat(direction)), case
        trace = problem.reference.hessian_trace(weights)  # a sum of terms of one sign
        assert relative_error(landscape.hessian_trace(weights), trace) <= TOLERANCE, case


@PROPERTY
@given(problems())
def test_derivatives_of_any_problem(problem: Problem) -> None:
    """The same as above, over shapes that hypothesis looks for and shrinks."""
    landscape, weights, reference = problem.landscape, problem.weights, problem.reference
    gradient = reference.flatten(reference.gradient(weights))
    error = np.linalg.norm((flat(landscape.gradient(weights)) - gradient).astype(float))
    norm = np.linalg.norm(gradient.astype(float))
    assert error <= TOLERANCE * norm + gradient_rounding(problem)

    direction = random_direction(problem, 0)
    hessian = reference.hessian(weights).astype(float)
    product = flat(landscape.hessian_vector_product(weights, direction))
    bound = TOLERANCE * np.linalg.norm(hessian) + curvature_rounding(problem)
    error = np.linalg.norm(product - hessian @ flat(direction))
    assert error <= bound * np.linalg.norm(flat(direction))


@pytest.mark.parametrize("seed", range(10))
def test_the_hessian_is_symmetric_and_has_the_trace(seed: int) -> None:
    problem = random_problem(seed, max_depth=6, max_width=6)
    hessian = problem.landscape.hessian(problem.weights)
    assert relative_error(hessian, hessian.T) <= 1e-14
    trace = problem.landscape.hessian_trace(problem.weights)
    assert trace == pytest.approx(np.trace(hessian), rel=TOLERANCE, abs=1e-13)


@pytest.mark.parametrize("widths", [(3, 1), (3, 2, 1), (3, 2, 4, 1), (1, 1, 1, 1, 1)])
def test_derivatives_at_zero_weights(widths: tuple[int, ...]) -> None:
    """w = 0: one layer has gradient -2 b and H = 2 C; with two the gradient alone is zero."""
    problem = make_problem(widths, "plain", 8, seed=3)
    landscape = problem.landscape
    zero = [np.zeros_like(layer) for layer in problem.weights]
    b = problem.X.T @ problem.y / 8
    assert landscape.risk(zero) == pytest.approx(np.mean(problem.y**2), rel=1e-14)
    np.testing.assert_array_equal(landscape.end_to_end(zero), 0)
    gradient, hessian = flat(landscape.gradient(zero)), landscape.hessian(zero)
    if problem.depth == 1:
        np.testing.assert_allclose(gradient, -2 * b, rtol=1e-13)
        np.testing.assert_allclose(hessian, 2 * problem.X.T @ problem.X / 8, rtol=0, atol=1e-13)
    else:
        np.testing.assert_array_equal(gradient, 0)
    if problem.depth == 2:
        expected = problem.reference.hessian(zero).astype(float)
        np.testing.assert_allclose(hessian, expected, rtol=0, atol=1e-13)
    if problem.depth > 2:
        np.testing.assert_array_equal(hessian, 0)


@pytest.mark.parametrize("readout", ["plain", "unit", "any"])
def test_a_minimizer_has_no_gradient(readout: str) -> None:
    problem = make_problem((4, 5, 3, 1 if readout == "plain" else 3), readout, 12, seed=5)
    at = problem.with_weights(minimizing_weights(problem))
    landscape = at.landscape
    assert landscape.risk(at.weights) == pytest.approx(at.regression.minimum_risk, rel=1e-13)
    assert np.linalg.norm(flat(landscape.gradient(at.weights))) <= gradient_rounding(at)


def test_the_samples_enter_through_their_moments_alone() -> None:
    """R depends on X^T X / n, X^T y / n and |y|^2 / n: every sample twice, in any order."""
    problem = make_problem((4, 3, 1), "plain", 9, seed=2)
    order = np.random.default_rng(0).permutation(18)
    doubled = dl.Regression(np.tile(problem.X, (2, 1))[order], np.tile(problem.y, 2)[order])
    landscape = dl.Landscape(problem.network, doubled)
    for name in ("risk", "gradient", "hessian"):
        result = getattr(landscape, name)(problem.weights)
        expected = getattr(problem.landscape, name)(problem.weights)
        if name == "gradient":
            result, expected = flat(result), flat(expected)
        assert relative_error(result, expected) <= 1e-13


def test_unflatten_is_layer_by_layer_and_row_by_row() -> None:
    network = dl.Network((3, 2, 4, 1))
    vector = np.arange(2 * 18.0).reshape(2, 18)
    layers = network.unflatten(vector)
    assert [layer.shape for layer in layers] == [(2, 2, 3), (2, 4, 2), (2, 1, 4)]
    np.testing.assert_array_equal(flat(layers), vector)
    np.testing.assert_array_equal(network.unflatten(vector[1])[0], [[18, 19, 20], [21, 22, 23]])
