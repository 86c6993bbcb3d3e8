"""How exact values of a landscape are, against the reference in extended precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference import Objective, Weights
from strategies import Problem, flat, random_direction

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
