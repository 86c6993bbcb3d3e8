"""Activations, one value at a time, and numbers at and beyond the ends of the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deeplinear as dl
from accuracy import EPS, EXTREMES, check_values, norm
from engines import DTYPES
from reference import NonlinearReference
from strategies import NONLINEAR, Problem, bent, flat, make_problem

pytestmark = pytest.mark.core

Array = NDArray[Any]


# One neuron: widths (1, 1, 1), x = 1, f = v s(z)


def one_neuron(activation: str, target: float, z: float, v: float) -> Problem:
    weights = [np.array([[z]]), np.array([[v]])]
    return Problem(np.ones((1, 1)), np.array([target]), (1, 1, 1), None, weights, activation)


extended = pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= EPS, reason="needs extended precision to compare with"
)


def arguments(largest: float) -> Array:
    """Both signs of tiny to large numbers, and many of order one."""
    sizes = np.concatenate(
        [[1e-300, 1e-200, 1e-100, 1e-30, 1e-12, 1e-8, 1e-5, 1e-3], np.linspace(0.013, largest, 200)]
    )
    return np.concatenate([-sizes[::-1], sizes])


def steepness(activation: str, z: Array) -> Array:
    """|d log s / d log z| + 1, about: how roundings of the argument grow into those of s."""
    if activation != "gelu":
        return np.ones_like(z)
    return 1 + np.abs(1.6 * (z + 0.044715 * z**3)) * (z < 0)


@extended
@pytest.mark.parametrize("activation", NONLINEAR)
def test_values_of_activations(activation: str) -> None:
    """Relative errors of 8 eps, times the growth of roundings of the exponent 2 u for the GELU.

    v is a power of two that makes f of order one, so that the risk f^2 neither rounds in a second
    way nor underflows. GELU(z) underflows below z = -21.
    """
    z = arguments(20.0)
    s = NonlinearReference(np.ones((1, 1)), np.zeros(1), (1, 1, 1), activation=activation)
    exact = np.array([s.outputs([np.array([[x]]), np.ones((1, 1))])[0] for x in z])
    for x, value, factor in zip(z, exact, steepness(activation, z), strict=True):
        v = 2.0 ** -np.round(np.log2(float(abs(value)))) if value else 1.0
        problem = one_neuron(activation, 0.0, x, v)
        risk = problem.landscape.risk(problem.weights)
        error = abs(np.sqrt(np.longdouble(risk)) - abs(value * v))
        assert error <= 8 * EPS * factor * abs(value * v), x


@extended
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", NONLINEAR)
def test_values_of_activations_in_an_ensemble(activation: str, dtype: str) -> None:
    """The same as a record of the start, all arguments at once, in both precisions."""
    eps = float(np.finfo(dtype).eps)
    z = arguments(20.0 if dtype == "float64" else 9.0).astype(dtype).astype(float)
    z = z[np.abs(z) > 1e-36] if dtype == "float32" else z
    s = NonlinearReference(np.ones((1, 1)), np.zeros(1), (1, 1, 1), activation=activation)
    exact = np.array([s.outputs([np.array([[x]]), np.ones((1, 1))])[0] for x in z])
    sizes = np.where(exact == 0, 1, np.abs(exact)).astype(float)
    v = 2.0 ** -np.round(np.log2(sizes))
    problem = one_neuron(activation, 0.0, 0.0, 0.0)
    dataset = dl.simulate(
        problem.landscape,
        [z[:, None, None], v[:, None, None]],
        dl.GradientDescent(1e-30),
        steps=1,
        dtype=dtype,
        record=("risk",),
    )
    f = np.sqrt(dataset["risk"].values[:, 0].astype(float))
    expected = np.abs(exact * v).astype(float)
    bound = 8 * eps * steepness(activation, z) * expected
    worst = np.argmax(np.abs(f - expected) - bound)
    assert np.all(np.abs(f - expected) <= bound), (z[worst], f[worst], expected[worst])


@extended
@pytest.mark.parametrize("activation", NONLINEAR)
def test_slopes_and_curvatures_of_activations(activation: str) -> None:
    """R = (s(z) + 2^60)^2: dR/dz = 2^61 s'(z), d^2R/dz^2 = 2^61 s''(z), but for 2^-60 of s.

    Absolute errors: they are of order one, and sums of such. The logistic q of the GELU is rounded,
    by up to eps where it is close to one, before it is multiplied with z 2 u' and z (2 u')^2. From
    |z| = 8 on it is one or of the order of e^-49, which leaves 1 or 0 alone.
    """
    for z in arguments(20.0):
        problem = one_neuron(activation, -(2.0**60), z, 1.0)
        slope = problem.landscape.gradient(problem.weights)[0].item()
        curvature = problem.landscape.hessian(problem.weights)[0, 0]
        exact = problem.objective.gradient(problem.weights)[0].item()
        exact_curvature = problem.objective.hessian(problem.weights)[0, 0]
        growth = 0.0
        if activation == "gelu" and abs(z) < 8:
            growth = 1.6 * (1 + 3 * 0.044715 * z * z)
        bound = 8 * EPS * (1 + abs(z) * growth) * 2.0**61
        assert abs(slope - exact) <= bound, z
        bound = 8 * EPS * (2 + abs(z) * growth**2) * 2.0**61
        assert abs(curvature - exact_curvature) <= bound, z
        if activation == "tanh" and abs(z) < 1e-3:  # s'' = -2 z (1 + O(z^2)) is small, not rounded
            assert abs(curvature - exact_curvature) <= 8 * EPS * abs(exact_curvature) + 4


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("size", [1e3, 1e6, 1e50, 1e100, 1e150])
@pytest.mark.parametrize("sign", [1, -1])
def test_large_arguments(activation: str, size: float, sign: int) -> None:
    """s(z) is z, 0, 1 or -1 exactly, so s' is 1 or 0, and s'' is 0; v = 1/|z|, y = 1/2.

    R = (v s - y)^2 has the gradient 2 (f - y) (v s', s) and the Hessian
    2 ((v s')^2, (2 f - y) s'; (2 f - y) s', s^2), which are finite. Where they vanish, what may be
    left comes from the smallest exponential that is a normal number, 1e-304, times at most 1e6.
    """
    z, v, y = sign * size, 1 / size, 0.5
    slope = float(sign > 0 and activation != "tanh")
    s = float(sign) if activation == "tanh" else z * slope
    f = v * s
    problem = one_neuron(activation, y, z, v)
    landscape, weights = problem.landscape, problem.weights
    assert landscape.risk(weights) == pytest.approx((f - y) ** 2, rel=1e-15)
    expected = [2 * (f - y) * v * slope, 2 * (f - y) * s]
    np.testing.assert_allclose(flat(landscape.gradient(weights)), expected, rtol=1e-14, atol=1e-290)
    mixed = 2 * (2 * f - y) * slope
    hessian = np.array([[2 * (v * slope) ** 2, mixed], [mixed, 2 * s**2]])
    np.testing.assert_allclose(landscape.hessian(weights), hessian, rtol=1e-14, atol=1e-290)
    product = flat(landscape.hessian_vector_product(weights, [np.ones((1, 1))] * 2))
    np.testing.assert_allclose(product, hessian.sum(axis=1), rtol=1e-14, atol=1e-290)
    assert landscape.hessian_trace(weights) == pytest.approx(
        np.trace(hessian), rel=1e-14, abs=1e-290
    )
    if size <= 1e50:  # the squares of larger products overflow
        for which, index in EXTREMES.items():
            found = landscape.sharpness(weights, which=which)
            values = np.linalg.eigvalsh(hessian)
            assert found.converged
            assert abs(found.value - values[index]) <= 1e-8 * np.max(np.abs(values)) + 1e-290


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("activation", NONLINEAR)
def test_an_argument_of_zero(activation: str, zero: float) -> None:
    """s(0) = 0, s'(0) = 1/2, 1 or 0, s''(0) = sqrt(2/pi), 0 or 0; v = 3, y = 1, f - y = -1."""
    slope = {"gelu": 0.5, "tanh": 1.0, "relu": 0.0}[activation]
    curvature = np.sqrt(2 / np.pi) if activation == "gelu" else 0.0
    problem = one_neuron(activation, 1.0, zero, 3.0)
    landscape, weights = problem.landscape, problem.weights
    assert landscape.risk(weights) == 1
    np.testing.assert_array_equal(flat(landscape.gradient(weights)), [-6 * slope, 0])
    expected = [[18 * slope**2 - 6 * curvature, -2 * slope], [-2 * slope, 0]]
    np.testing.assert_allclose(landscape.hessian(weights), expected, rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("activation", NONLINEAR)
def test_a_layer_of_zeros(activation: str, layer: int) -> None:
    """Every argument above it is exactly zero, the kink of the ReLU among them."""
    problem = bent(make_problem((3, 4, 3, 1), "plain", 7, seed=3), activation)
    weights = list(problem.weights)
    weights[layer] = np.zeros_like(weights[layer])
    problem = problem.with_weights(weights)
    check_values(problem)
    assert problem.landscape.risk(weights) == pytest.approx(np.mean(problem.y**2), rel=1e-14)
    expected = problem.objective.hessian(weights).astype(float)
    hessian = problem.landscape.hessian(weights)
    assert norm(hessian - expected) <= 1e-13 * (norm(expected) + 1e-300)
    if activation == "relu" and layer < 2:  # f = 0 for all weights nearby, or so the slopes say
        np.testing.assert_array_equal(flat(problem.landscape.gradient(weights)), 0)


def test_a_relu_that_is_off_everywhere() -> None:
    """All arguments of the first layer are negative: the risk does not feel any weight."""
    X = np.abs(np.random.default_rng(0).standard_normal((7, 3))) + 0.1
    weights = [-np.ones((4, 3)), np.ones((2, 4)), np.ones((1, 2))]
    problem = Problem(X, np.arange(7.0), (3, 4, 2, 1), None, weights, "relu")
    landscape = problem.landscape
    assert landscape.risk(weights) == np.mean(np.arange(7.0) ** 2)
    np.testing.assert_array_equal(flat(landscape.gradient(weights)), 0)
    np.testing.assert_array_equal(landscape.hessian(weights), 0)
    for which in EXTREMES:
        found = landscape.sharpness(weights, which=which)
        assert (found.value, found.converged) == (0, True)


# Numbers beyond the range


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_overflow_is_not_hidden(activation: str) -> None:
    """h = (inf, inf), and 2 h_1 - h_2 = NaN: an activation must not make a number of it again."""
    weights = [np.full((2, 2), 1e308), np.array([[2.0, -1.0]]), np.ones((1, 1))]
    problem = Problem(np.ones((1, 2)), np.ones(1), (2, 2, 1, 1), None, weights, activation)
    assert not np.isfinite(problem.landscape.risk(weights))
    found = problem.landscape.sharpness(weights)
    assert not found.converged
    assert np.isnan(found.value)
    dataset = dl.simulate(problem.landscape, weights, dl.GradientDescent(0.1), steps=3)
    assert dataset.status.item() == "diverged"
    assert np.isnan(dataset["risk"].values[0, -1])


def test_an_argument_that_is_not_a_number_is_not_hidden() -> None:
    """z = 1e310 - 5e309: inf - inf. The exact f is tanh(5e309) = 1; NaN is right too, 0 is not."""
    weights = [np.array([[1e300, -5e299]]), np.ones((1, 1))]
    problem = Problem(np.full((1, 2), 1e10), np.zeros(1), (2, 1, 1), None, weights, "tanh")
    risk = problem.landscape.risk(weights)
    assert risk == 1 or not np.isfinite(risk)
