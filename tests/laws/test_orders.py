"""Orders of the integrators, and what flow and descent do to W_{k+1}^T W_{k+1} - W_k W_k^T."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deeplinear as dl
from engines import (
    DTYPES,
    EPSILON,
    FIXED_FLOWS,
    MODELS,
    NAMES,
    Case,
    Method,
    cases,
    gentle_step,
    over,
    over_methods,
)
from reference import imbalances
from strategies import Problem, bent, make_problem

Array = NDArray[Any]


@cache
def smooth_problem(kind: str) -> Problem:
    """Rates of order one, so that times of order one are neither trivial nor stiff."""
    if kind == "tanh":
        return bent(make_problem((3, 4, 2, 1), "plain", 7, seed=4), kind)
    problem = make_problem((3, 4, 2, 1), "plain", 8, seed=4)
    return problem.with_activation("identity", samples=kind == "samples" or None)


PATHS = [*((name, "plain") for name in NAMES), ("ensemble", "samples"), ("ensemble", "tanh")]
over_paths = pytest.mark.parametrize(("engine", "kind"), PATHS)


@cache
def exact(kind: str, time: float) -> Array:
    problem = smooth_problem(kind)
    return problem.objective.flow(problem.weights, [0.0, time])[-1]


def final_weights(engine: str, kind: str, dynamics: Any, **length: Any) -> Array:
    problem = smooth_problem(kind)
    options = {"record": ("risk",), "every": None, "engine": engine}
    dataset = dl.simulate(problem.landscape, problem.weights, dynamics, **options, **length)
    assert dataset.status.item() == "completed"
    return np.asarray(dataset.weights.values[0])


def error_of(engine: str, kind: str, flow: Any, time: float) -> float:
    final = final_weights(engine, kind, flow, time=time)
    return float(np.linalg.norm(final - exact(kind, time)))


def slopes(steps: Sequence[float], errors: Sequence[float]) -> list[float]:
    """Of log(error) against log(step), between neighbours."""
    logs = [(np.log(h), np.log(error)) for h, error in zip(steps, errors, strict=True)]
    return [float((e2 - e1) / (h2 - h1)) for (h1, e1), (h2, e2) in pairwise(logs)]


# Steps at which the next order hardly shows, and rounding does not
COARSEST = {1: 0.005, 4: 0.05}


@over_methods(FIXED_FLOWS)
@over_paths
def test_global_order(engine: str, kind: str, method: Method) -> None:
    """The error at a fixed time falls with the order-th power of the step."""
    steps = [COARSEST[method.order] / 2**k for k in range(3)]
    errors = [error_of(engine, kind, method.dynamics(h), 1.0) for h in steps]
    assert slopes(steps, errors) == pytest.approx([method.order] * 2, abs=0.2)


@over_paths
def test_local_order_of_dopri5(engine: str, kind: str) -> None:
    """With a tolerance that accepts anything the first step is the whole flow: error ~ h^6.

    The error of one step falls with one power more than that at a fixed time: order 5. The method
    was chosen to have a small leading coefficient, so the next order is felt: the slope is 6 + c h,
    and two slopes at steps of ratio 2 give 6 without c.
    """
    steps = [0.05, 0.025, 0.0125, 0.00625]
    flows = [dl.GradientFlow("dopri5", step=h, rtol=1e6, atol=1e6) for h in steps]
    errors = [error_of(engine, kind, flow, h) for flow, h in zip(flows, steps, strict=True)]
    measured = slopes(steps, errors)
    assert all(5.5 <= slope <= 7.5 for slope in measured)
    assert 2 * measured[-1] - measured[-2] == pytest.approx(6, abs=0.35)


@over_paths
def test_dopri5_follows_its_tolerance(engine: str, kind: str) -> None:
    """The error at a fixed time is of the size of the tolerance, and falls in proportion to it."""
    tolerances = np.array([1e-4, 1e-6, 1e-8, 1e-10])
    flows = [dl.GradientFlow("dopri5", rtol=tol, atol=tol) for tol in tolerances.tolist()]
    errors = [error_of(engine, kind, flow, 2.0) for flow in flows]
    assert np.all(errors <= 20 * tolerances * np.linalg.norm(exact(kind, 2.0)))
    # The power is 1 with fluctuations; over six decades they average out.
    overall = np.log(errors[-1] / errors[0]) / np.log(tolerances[-1] / tolerances[0])
    assert overall == pytest.approx(1, abs=0.25)


# Linear networks


LINEAR = [path for path in PATHS if smooth_problem(path[1]).linear]
over_linear_paths = pytest.mark.parametrize(("engine", "kind"), LINEAR)


def drift(engine: str, kind: str, dynamics: Any, **length: Any) -> float:
    problem = smooth_problem(kind)
    final = problem.network.unflatten(final_weights(engine, kind, dynamics, **length))
    before, after = imbalances(problem.weights), imbalances(final)
    return max(float(np.linalg.norm(b - a)) for a, b in zip(before, after, strict=True))


@over_methods(FIXED_FLOWS)
@over_linear_paths
def test_the_drift_of_the_invariants_shrinks_with_the_order(
    engine: str, kind: str, method: Method
) -> None:
    steps = [COARSEST[method.order] / 2**k for k in range(3)]
    measured = slopes(steps, [drift(engine, kind, method.dynamics(h), time=1.0) for h in steps])
    assert min(measured) >= method.order - 0.2
    assert max(measured) <= method.order + 1.2  # it may do better on quadratic invariants


@over_linear_paths
def test_flow_conserves_what_gradient_descent_does_not(engine: str, kind: str) -> None:
    tight = dl.GradientFlow(method="dopri5", rtol=1e-10, atol=1e-12)
    assert drift(engine, kind, tight, time=2.0) <= 1e-8
    fine = dl.GradientFlow(method="rk4", step=1e-3)
    assert drift(engine, kind, fine, time=2.0) <= 1e-10
    # The same time in steps of 0.02: each changes the invariants by eta^2 times a product of
    # gradients.
    assert drift(engine, kind, dl.GradientDescent(0.02), steps=100) >= 1e-3


@over(cases([model for model in MODELS if model.linear and model.small]))
def test_what_a_step_of_descent_does_to_the_invariants(case: Case) -> None:
    """W_{k+1}^T W_{k+1} - W_k W_k^T moves by eta^2 (G_{k+1}^T G_{k+1} - G_k G_k^T), exactly.

    The terms of first order cancel: W_{k+1}^T G_{k+1} = G_k W_k^T. So what is left of them is
    rounding, of the weights and of eta G, some 16 eps of |W|^2.
    """
    problem, weights = case.model.problem, case.model.weights(case.engine.runs)
    rate = gentle_step(problem, [layer[-1:] for layer in weights])
    found = case.simulate(weights, dl.GradientDescent(rate), steps=6, record="weights")
    assert np.all(found.last_step.values == 6)
    path = found.recorded_weights.values[-1].astype(np.longdouble)
    for before, after in pairwise(path):
        layers, moved = (problem.reference.unflatten(vector) for vector in (before, after))
        gradient = problem.reference.gradient(layers)
        terms = zip(imbalances(layers), imbalances(moved), imbalances(gradient), strict=True)
        for one, other, second in terms:
            error = np.linalg.norm((other - one - rate**2 * second).astype(float))
            assert error <= 16 * EPSILON[case.dtype] * float(np.sum(before**2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", NAMES)
def test_two_scalar_layers(engine: str, dtype: str) -> None:
    """Q = a^2 - b^2 becomes Q (1 - eta^2 r^2) at every step, r = 2 (a b - y), beyond the edge too.

    Both squares are rounded, by some 8 eps of their size.
    """
    target, rng = 0.7, np.random.default_rng(0)
    landscape = dl.Landscape(dl.Network((1, 1, 1)), dl.Regression([[1.0]], [target]))
    runs = rng.uniform(-2, 2, (2, 30, 1, 1))
    rate = 0.3  # eta times the sharpness, 2 (a^2 + b^2) near a minimizer, is 0.4 to 4.8
    found = dl.simulate(
        landscape, list(runs), dl.GradientDescent(rate), steps=20, record="weights", dtype=dtype,
        engine=engine,
    )  # fmt: skip
    kept = np.flatnonzero(found.status.values == "completed")
    assert len(kept) >= 20
    a, b = np.moveaxis(found.recorded_weights.values[kept].astype(np.longdouble), -1, 0)
    Q, r = a**2 - b**2, 2 * (a * b - target)
    error = np.abs(Q[:, 1:] - Q[:, :-1] * (1 - rate**2 * r[:, :-1] ** 2))
    size = (a**2 + b**2)[:, :-1] * (1 + rate * np.abs(r[:, :-1])) ** 2
    assert np.all(error <= 8 * EPSILON[dtype] * size)
