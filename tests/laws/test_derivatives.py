"""What a landscape knows of any model: values, derivatives and the ends of the spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accuracy import EXTREMES, TOLERANCE, check_values, close, flat_product, norm, sensitivity
from engines import MODELS, Model
from strategies import (
    PROPERTY,
    Problem,
    bent,
    flat,
    nonlinear_problems,
    problems,
    random_direction,
    random_problem,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

SMALL = [model for model in MODELS if model.small]
over_models = pytest.mark.parametrize("model", SMALL, ids=str)


@over_models
def test_values_of_every_model(model: Model) -> None:
    check_values(model.problem)
    hessian = model.problem.landscape.hessian(model.problem.weights)
    close(hessian, model.problem, lambda objective, w: objective.hessian(w))


@PROPERTY
@given(nonlinear_problems())
def test_values_of_any_problem(problem: Problem) -> None:
    check_values(problem)


def of_any_shape(model: Model, seed: int) -> Problem:
    """Of random widths and samples, with the model's activation, and through what it goes."""
    problem = random_problem(seed, max_depth=5, max_width=6)
    if not model.linear:
        return bent(problem, model.activation, seed)
    return replace(problem, samples=model.samples)


@pytest.mark.parametrize("seed", range(8))
@over_models
def test_finite_differences(model: Model, seed: int) -> None:
    """(R(W + h V) - R(W - h V)) / 2h is gradient . V, and so on for the gradient and H V.

    Central differences with h = 1e-5: the third derivative times h^2, 1e-10, and rounding eps / h,
    2e-11, relative to derivatives of order one along a unit direction; 1e-6 leaves room for larger
    derivatives. Nothing lies within h of a kink of the ReLU.
    """
    problem = of_any_shape(model, seed)
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


@PROPERTY
@given(st.one_of(problems(max_depth=6, max_width=5), nonlinear_problems(5, 5)))
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


@over_models
def test_ends_of_the_spectrum(model: Model) -> None:
    """Of numpy.linalg.eigvalsh on the reference's Hessian, one by one and several at once.

    An eigenvalue lies within the residual, which is at most 1e-10 |H|.
    """
    problem, landscape = model.problem, model.problem.landscape
    spectrum = problem.objective.spectrum(problem.weights)
    size = max(abs(spectrum[0]), abs(spectrum[-1]))
    for which, index in EXTREMES.items():
        found = landscape.sharpness(problem.weights, 1e-10, which=which)
        assert found.converged
        assert abs(found.value - spectrum[index]) <= 1e-9 * size
        several = landscape.eigenvalues(problem.weights, 4, 1e-10, which=which)
        expected = spectrum[::-1][:4] if which == "largest" else spectrum[:4]
        values = [one.value for one in several]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9 * size)
