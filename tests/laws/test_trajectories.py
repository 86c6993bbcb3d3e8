"""Steps are those of plain loops in extended precision, on every engine, model and precision."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import deeplinear as dl
from engines import (
    DESCENT,
    DTYPES,
    ENGINES,
    FIXED,
    FIXED_FLOWS,
    MODELS,
    MOMENTUM,
    RK4,
    Case,
    Method,
    Model,
    cases,
    engines_of,
    gentle_step,
    one_of_each,
    over,
    over_methods,
    rounding,
    variable,
)
from meaning import ITERATIVE
from strategies import (
    EXAMPLES,
    NONLINEAR,
    PROPERTY,
    Problem,
    bent,
    make_problem,
    nonlinear_problems,
    one_run,
    problems,
    random_ensemble,
    random_problem,
    relative_error,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

STEPS = 11
ENDS = sorted({engine.runs - 1 for engine in ENGINES})  # the last run of each


@cache
def step_of(model: Model) -> float:
    """Gentle for the runs that are compared."""
    weights = model.weights(max(engine.runs for engine in ENGINES))
    return gentle_step(model.problem, [layer[[0, *ENDS]] for layer in weights])


@cache
def states(model: Model, method: Method, run: int) -> Array:
    """Of a run after 0 .. STEPS steps, (STEPS + 1, P)."""
    weights = one_run(model.weights(run + 1), run)
    return method.states(model.problem, weights, step_of(model), STEPS)


@over_methods()
@over(cases())
def test_fixed_steps(case: Case, method: Method) -> None:
    """The first run of an ensemble, and the last, which is in another lane."""
    step = step_of(case.model)
    result = case.simulate(case.weights(), method.dynamics(step), **method.length(step, STEPS))
    assert result.engine.item() == case.engine.name
    assert result.weights.dtype == case.dtype
    assert np.all(result.status.values == "completed")
    assert np.all(result.last_step.values == STEPS)
    bound = rounding(case.model.widths, case.dtype, STEPS, method.stages)
    for run in sorted({0, case.engine.runs - 1} if case.model.small else {0}):
        expected = states(case.model, method, run)[-1]
        assert relative_error(result.weights.values[run], expected) <= bound, run


def shapes() -> list[Problem]:
    """Random ones, and some with widths that fit no power of two, and single samples."""
    found = [random_problem(seed, max_depth=10, max_width=8) for seed in range(30)]
    found += [make_problem((17, 33, 5, 1), "plain", 20, 1), make_problem((3, 19, 2), "unit", 9, 2)]
    found += [
        bent(random_problem(seed, max_depth=5, max_width=6), NONLINEAR[seed % len(NONLINEAR)], seed)
        for seed in range(21)
    ]
    large = [make_problem((9, 17, 5, 1), "plain", 21, 1), make_problem((3, 11, 2), "unit", 35, 2)]
    return found + [bent(problem, name) for problem in large for name in NONLINEAR]


@over_methods((DESCENT, RK4))
def test_fixed_steps_of_any_shape(method: Method) -> None:
    """The second of two runs on every engine; Euler's steps are those of descent."""
    for index, problem in enumerate(shapes()):
        weights = random_ensemble(problem, 2, index, low=0.8, high=1.1 if problem.linear else 1.6)
        step = gentle_step(problem, weights)
        expected = method.states(problem, one_run(weights, 1), step, STEPS)[-1]
        for name in engines_of(problem):
            for dtype in DTYPES:
                result = dl.simulate(
                    problem.landscape,
                    weights,
                    method.dynamics(step),
                    dtype=dtype,
                    engine=name,
                    **method.length(step, STEPS),
                )
                assert result.status.values.tolist() == ["completed"] * 2
                bound = rounding(problem.widths, dtype, STEPS, method.stages)
                error = relative_error(result.weights.values[1], expected)
                assert error <= bound, (index, problem.widths, problem.activation, name, dtype)


@settings(PROPERTY, max_examples=min(20, EXAMPLES))
@given(
    st.one_of(problems(max_depth=6, max_width=40), nonlinear_problems()),
    st.sampled_from(ENGINES),
    st.sampled_from(FIXED),
    st.sampled_from(DTYPES),
    st.integers(1, STEPS),
    st.integers(1, 3),
)
def test_fixed_steps_of_any_problem(
    problem: Problem, engine: Any, method: Method, dtype: str, steps: int, team: int
) -> None:
    if not engine.takes(problem):
        engine = ENGINES[0]
    weights = [layer[None] for layer in problem.weights]
    step = gentle_step(problem, weights)
    result = dl.simulate(
        problem.landscape,
        weights,
        method.dynamics(step),
        dtype=dtype,
        engine=engine.name,
        threads=team,
        **method.length(step, steps),
    )
    expected = method.states(problem, problem.weights, step, steps)[-1]
    error = relative_error(result.weights.values[0], expected)
    assert error <= rounding(problem.widths, dtype, steps, method.stages), problem.widths


@over_methods(FIXED_FLOWS)
@over(one_of_each([model for model in MODELS if model.small]))
def test_the_last_step_is_shortened(case: Case, method: Method) -> None:
    """Three steps and a third of one; ten steps of a tenth are not eleven; and less than one.

    The steps are a fifth of the gentle one: 12 of them round as 11 of that.
    """
    size = step_of(case.model) / 5
    bound = rounding(case.model.widths, case.dtype, STEPS, method.stages)
    weights = case.model.weights(1)
    for step, sizes in [
        (size, [size] * 3 + [size / 3]),
        (size, [size] * 10),
        (5 * size, [size]),
    ]:
        time = sum(sizes)
        result = case.simulate(weights, method.dynamics(step), time=time)
        start = one_run(weights, 0)
        expected = case.model.problem.objective.integrate(start, sizes, method.name)[-1]
        assert relative_error(result.weights.values[0], expected) <= bound
        assert result.last_step.item() == len(sizes)
        times = [0.0, *np.cumsum(sizes)]
        np.testing.assert_allclose(result.time.values, times, rtol=1e-12)
        assert result.time.values[-1] == time


# Adaptive steps

# The tolerance of each step, and what is left of the error at the end: the flow's own growth is
# moderate, and a step's error is held at atol + rtol |W|.
TOLERANCES: dict[str, tuple[dict[str, float], float]] = {
    "float64": ({"rtol": 1e-9, "atol": 1e-11}, 1e-7),
    "float32": ({"rtol": 1e-4, "atol": 1e-5}, 2e-3),
}


@cache
def flow_of(model: Model, run: int) -> Array:
    weights = one_run(model.weights(run + 1), run)
    return model.problem.objective.flow(weights, [0.0, flow_time(model)])[-1]


def flow_time(model: Model) -> float:
    return min(1.0, 20 * step_of(model))


@over(cases([model for model in MODELS if model.small and model.smooth]))
def test_dopri5_follows_the_flow(case: Case) -> None:
    """The error at the end is of the size of the tolerance."""
    options, bound = TOLERANCES[case.dtype]
    time = flow_time(case.model)
    flow = dl.GradientFlow("dopri5", **options)
    result = case.simulate(case.weights(), flow, time=time, every=None)
    assert np.all(result.status.values == "completed")
    for run in sorted({0, case.engine.runs - 1}):
        assert relative_error(result.weights.values[run], flow_of(case.model, run)) <= bound


# Precisions


# Of singular vectors and values that may lie close together
UNSTEADY = ("alignment", "rank_one_gap")


@over_methods((DESCENT, MOMENTUM, RK4))
@over(one_of_each([model for model in MODELS if model.small]))
def test_single_precision_agrees_with_double(case: Case, method: Method) -> None:
    """Recorded values too, relative to their largest: R - R(w*) may be small against R.

    30 gentle steps amplify by exp(6) = 400 at most, and records have condition numbers about 10:
    5e-4 is 4000 eps.
    """
    step = step_of(case.model) / 4
    names = [name for name in case.model.records if name not in UNSTEADY]
    double, single = (
        Case(case.engine, case.model, dtype).simulate(
            case.model.weights(5),
            method.dynamics(step),
            record=names,
            every=10,
            **method.length(step, 30),
        )
        for dtype in DTYPES
    )
    for record in names:
        one, other = (
            dataset[variable(record)].values.astype(float) for dataset in (double, single)
        )
        assert other.shape == one.shape
        scale = np.nanmax(np.abs(one))
        if record in ITERATIVE or record == "hessian_trace":  # to the rounding of |H|
            scale = max(scale, np.max(np.abs(double["sharpness"].values)))
        np.testing.assert_allclose(other, one, rtol=0, atol=5e-4 * scale, err_msg=record)
