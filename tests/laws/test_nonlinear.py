"""Risk, gradient and Hessian of nonlinear networks against the reference, formulas and JAX."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import deeplinear as dl
from reference import NonlinearReference, Objective, Weights
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
    random_problem,
    relative_error,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

EPS = np.finfo(float).eps
TOLERANCE = 1e-12
EXTREMES = {"largest": -1, "lowest": 0}


def norm(values: Any) -> float:
    return float(np.linalg.norm(np.asarray(values).astype(float)))


def sensitivity(problem: Problem, quantity: Callable[[Objective, Weights], Any]) -> float:
    """How far a quantity moves when every entry of weights, readout and data is wrong by 16 eps.

    Each dot product is exact for factors that are wrong by eps for each of its terms, at most 9
    here, and each value of an activation for weights above it that are wrong by some eps. So no
    arithmetic of this precision promises less than a deviation of this size, which is more than
    1e-12 of the quantity where it is what remains of larger terms.
    """
    objective = problem.objective
    exact = quantity(objective, problem.weights)
    rng = np.random.default_rng(0)

    def wrong(array: Array) -> Array:
        return array * (1 + 16 * EPS * rng.uniform(-1, 1, array.shape).astype(np.longdouble))

    largest = 0.0
    for _ in range(3):
        other = replace(
            objective,
            X=wrong(objective.X),
            y=wrong(objective.y),
            readout=wrong(objective.samples[2]),
        )
        weights = [wrong(layer) for layer in problem.weights]
        largest = max(largest, norm(quantity(other, weights) - exact))
    return largest


def close(result: Any, problem: Problem, quantity: Callable[[Objective, Weights], Any]) -> None:
    expected = quantity(problem.objective, problem.weights)
    error = norm(np.asarray(result).ravel() - np.asarray(expected).ravel())
    bound = TOLERANCE * norm(expected)
    if error > bound:
        bound += sensitivity(problem, quantity)
    assert error <= bound, f"{problem.activation}, widths {problem.widths}, n {len(problem.y)}"


def flat_gradient(objective: Objective, weights: Weights) -> Array:
    return objective.flatten(objective.gradient(weights))


def flat_product(direction: Weights) -> Callable[[Any, Weights], Array]:
    return lambda objective, weights: objective.flatten(
        objective.hessian_vector_product(weights, direction)
    )


def check_values(problem: Problem) -> None:
    """Risk, gradient, and a product with the Hessian."""
    landscape, weights = problem.landscape, problem.weights
    close(landscape.risk(weights), problem, lambda objective, w: objective.risk(w))
    gradient = landscape.gradient(weights)
    assert [layer.shape for layer in gradient] == problem.network.shapes
    close(flat(gradient), problem, flat_gradient)
    direction = random_direction(problem, 3)
    product = landscape.hessian_vector_product(weights, direction)
    assert [layer.shape for layer in product] == problem.network.shapes
    close(flat(product), problem, flat_product(direction))


# Values


@PROPERTY
@given(nonlinear_problems())
def test_any_problem(problem: Problem) -> None:
    check_values(problem)


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
@pytest.mark.parametrize("seed", range(8))
def test_finite_differences(seed: int, activation: str) -> None:
    """(R(W + h V) - R(W - h V)) / 2h is gradient . V, and so on for the gradient and H V.

    Central differences with h = 1e-5: the third derivative times h^2, 1e-10, and rounding eps / h,
    2e-11, relative to derivatives of order one along a unit direction; 1e-6 leaves room for larger
    derivatives. Nothing lies within h of a kink of the ReLU.
    """
    problem = bent(random_problem(seed, max_depth=5, max_width=6), activation, seed)
    landscape, h = problem.landscape, 1e-5
    direction = random_direction(problem, seed)
    size = norm(flat(direction))
    direction = [layer / size for layer in direction]

    def moved(sign: float) -> list[Array]:
        return [w + sign * h * v for w, v in zip(problem.weights, direction, strict=True)]

    gradient = flat(landscape.gradient(problem.weights))
    slope = (landscape.risk(moved(1)) - landscape.risk(moved(-1))) / (2 * h)
    scale = norm(gradient) + landscape.risk(problem.weights)
    assert abs(gradient @ flat(direction) - slope) <= 1e-6 * scale

    product = flat(landscape.hessian_vector_product(problem.weights, direction))
    difference = flat(landscape.gradient(moved(1))) - flat(landscape.gradient(moved(-1)))
    scale = norm(landscape.hessian(problem.weights))
    assert norm(product - difference / (2 * h)) <= 1e-6 * scale


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize(("widths", "readout"), [((4, 5, 3, 1), "plain"), ((3, 4, 4, 2), "any")])
def test_against_jax(widths: tuple[int, ...], readout: str, activation: str) -> None:
    jax = pytest.importorskip("jax", reason="compares with JAX, which is not installed")
    jax.config.update("jax_enable_x64", True)
    problem = bent(make_problem(widths, readout, 11, seed=5), activation)
    p = problem.network.readout_vector
    s = {"gelu": jax.nn.gelu, "tanh": jax.numpy.tanh, "relu": jax.nn.relu}[activation]

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


@PROPERTY
@given(nonlinear_problems(max_depth=5, max_width=5))
def test_the_hessian_product_is_linear_and_symmetric(problem: Problem) -> None:
    """a . H b = b . H a and H (2 a - b) = 2 H a - H b, to the rounding of H a and H b."""
    landscape, weights = problem.landscape, problem.weights
    first, second = random_direction(problem, 1), random_direction(problem, 2)
    both = [2 * a - b for a, b in zip(first, second, strict=True)]
    along = [flat(landscape.hessian_vector_product(weights, v)) for v in (first, second, both)]
    size = norm(problem.objective.hessian(weights)) if problem.size < 60 else norm(along)
    scale = size * norm(flat(first)) * norm(flat(second))
    rounding = sensitivity(problem, flat_product(first)) + sensitivity(
        problem, flat_product(second)
    )
    bound = TOLERANCE * scale + rounding * (norm(flat(first)) + norm(flat(second)))
    assert abs(flat(second) @ along[0] - flat(first) @ along[1]) <= bound
    assert norm(2 * along[0] - along[1] - along[2]) <= 10 * TOLERANCE * scale + 4 * rounding


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


# Activations, one value at a time: widths (1, 1, 1), x = 1, f = v s(z)


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
@pytest.mark.parametrize("dtype", ["float64", "float32"])
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
def test_derivatives_of_activations(activation: str) -> None:
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


# The interface


def refused(error: type[Exception] | tuple[type[Exception], ...], name: str, call: Any) -> None:
    """In one line that names the argument."""
    with pytest.raises(error, match=rf"\b({name})\b") as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > len(name) + 10


@pytest.mark.parametrize("activation", NONLINEAR)
def test_what_only_linear_networks_have(activation: str) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 9, seed=1), activation)
    landscape, weights = problem.landscape, problem.weights
    linear = "linear|identity|activation"
    refused(ValueError, linear, lambda: landscape.end_to_end(weights))
    refused(ValueError, linear, lambda: landscape.compressed_hessian(weights))
    minimizer = dl.theory.aligned_minimizer
    refused(ValueError, "network", lambda: minimizer(problem.network, problem.regression))


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize(
    "method",
    ["risk", "gradient", "hessian", "sharpness", "hessian_trace"],
)
def test_weights_that_do_not_fit(method: str, activation: str) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 9, seed=1), activation)
    call, weights = getattr(problem.landscape, method), problem.weights
    nan = [np.where(layer == layer.flat[1], np.nan, layer) for layer in weights]
    for bad in (weights[:1], [*weights, weights[-1]], [layer.T for layer in weights], nan, [], 3.0):
        refused((ValueError, TypeError), "weights", lambda bad=bad: call(bad))


@pytest.mark.parametrize(
    ("activation", "error"),
    [
        ("sine", ValueError),
        ("GELU", ValueError),
        ("", ValueError),
        (None, TypeError),
        (3, TypeError),
    ],
)
def test_unknown_activations(activation: Any, error: type[Exception]) -> None:
    refused(error, "activation", lambda: dl.Network((3, 4, 1), activation=activation))
    with pytest.raises(error, match=r"'gelu'.*'tanh'.*'relu'"):
        dl.Network((3, 4, 1), activation=activation)


@pytest.mark.parametrize("activation", NONLINEAR)
def test_nonlinear_networks_need_their_samples(activation: str) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 9, seed=1), activation)
    network, regression = problem.network, problem.regression
    refused(ValueError, "samples", lambda: dl.Landscape(network, regression, samples=False))
    risks = [
        dl.Landscape(network, regression, samples=samples).risk(problem.weights)
        for samples in (None, True)
    ]
    assert risks[0] == risks[1]


@pytest.mark.parametrize("samples", ["yes", 1, 0, 1.0, "auto"])
def test_samples_is_a_truth_value(samples: Any) -> None:
    problem = make_problem((3, 4, 1), "plain", 9, seed=1)
    make = dl.Landscape
    refused(
        (TypeError, ValueError),
        "samples",
        lambda: make(problem.network, problem.regression, samples=samples),
    )


@pytest.mark.parametrize("activation", NONLINEAR)
def test_networks_know_their_activation(activation: str) -> None:
    network = dl.Network((3, 4, 1), activation=activation)
    assert network.activation == activation
    assert network == dl.Network((3, 4, 1), activation=activation)
    assert network != dl.Network((3, 4, 1))
    assert hash(network) == hash(dl.Network((3, 4, 1), activation=activation))
    assert activation in repr(network)
    assert pickle.loads(pickle.dumps(network)) == network


@pytest.mark.parametrize(
    ("activation", "samples"), [("gelu", None), ("tanh", True), ("identity", True)]
)
def test_landscapes_come_back_from_a_file(activation: str, samples: bool | None) -> None:
    problem = make_problem((3, 4, 1), "plain", 9, seed=1).with_activation(activation, samples)
    landscape = problem.landscape
    again = pickle.loads(pickle.dumps(landscape))
    assert again.network == landscape.network
    assert again.risk(problem.weights) == landscape.risk(problem.weights)
    for name in ("end_to_end", "compressed_hessian"):
        if name == "end_to_end" and activation == "identity":
            continue
        with pytest.raises(ValueError, match=r"linear|identity|activation|samples"):
            getattr(again, name)(problem.weights)
