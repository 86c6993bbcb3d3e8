"""The wide engine, whose threads share a run's layers, against plain loops and the ensemble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import deeplinear as dl
import reference
from strategies import (
    EVERYTHING,
    EXAMPLES,
    PROPERTY,
    WITHOUT_TEST_DATA,
    Problem,
    flat,
    make_problem,
    one_run,
    problems,
    random_direction,
    relative_error,
    some_runs,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

STEPS = 11  # odd, and no multiple of the steps that are written at once: 1, 2 or 4
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
DTYPES = list(EPSILON)

# Widths below, at and above a register, a slab of 32 rows and the widths from which a write is of
# 2 steps (about 48 parameters per number of a vector) or 4 (96); layers of one slab and many,
# passed over one by one or in pairs (rows of 96 to 255 numbers in float64), one of which is left,
# and pairs of 37 and 38 rows.
SHAPES = [
    (3, 4, 3, 1),
    (40, 130, 70, 33, 1),
    (9,) * 12 + (1,),
    (200, 1),
    (65, 64, 129, 1),
    (1, 150, 1),
    (110, 260, 90, 1),
    (130, 100, 97, 1),
    (60, 150, 150, 1),
]


def problem_of(widths: tuple[int, ...], readout: str = "plain") -> Problem:
    """n below d where d is large: the covariance is singular there."""
    last = widths[-1] if readout == "plain" else 5
    return make_problem((*widths[:-1], last), readout, min(2 * widths[0] + 3, 50), seed=1)


def gentle_step(problem: Problem) -> float:
    """0.2 / |H| at the start; an error in it would only make the steps longer or shorter."""
    largest = problem.landscape.sharpness(problem.weights, tolerance=1e-3).value
    lowest = problem.landscape.sharpness(problem.weights, 1e-3, which="lowest").value
    return float(0.2 / max(largest, -lowest))


def rounding(dtype: str, steps: int, stages: int) -> float:
    """Of the weights, relative to their norm.

    A step rounds the weights once where its update is folded into them, by eps / 2. Its gradient is
    rounded by some sqrt(width) eps < 15 eps, and by as much again where it takes waiting updates
    into account, but comes with a factor eta: eta |gradient| <= eta |H| |W| is at most 0.2 |W|. So
    7 eps a stage is enough; with eta |H| <= 0.2 a deviation grows by exp(0.2) per step, and the
    sum over the steps is at most (exp(0.2 steps) - 1) / (exp(0.2) - 1) times that of one.
    In double precision that is below 1e-12 per step for all that is tested here.
    """
    growth = (np.exp(0.2 * steps) - 1) / (np.exp(0.2) - 1)
    error = float(7 * stages * growth * EPSILON[dtype])
    assert dtype == "float32" or error <= 1e-12 * steps
    return error


def chain(problem: Problem, layers: list[Array]) -> tuple[list[Array], list[Array]]:
    """u_0..u_L and v_0..v_L in extended precision; the gradient of layer k is u_k v_{k-1}^T."""
    X, y, p = problem.reference.samples
    u = [p]
    for layer in layers[::-1]:
        u.insert(0, layer.T @ u[0])
    v = [2 * (X.T @ (X @ u[0] - y)) / len(y)]
    for layer in layers:
        v.append(layer @ v[-1])
    return u, v


def trajectory(problem: Problem, weights: Any, step: float, steps: int, stages: int) -> Array:
    """The states after 0..steps steps, (steps + 1, P).

    The reference's own integrators, on gradients that don't need its Jacobian (d, P).
    """
    longs = problem.reference

    def slope(vector: Array) -> Array:
        u, v = chain(problem, longs.unflatten(vector))
        outer = [np.outer(left, right) for left, right in zip(u[1:], v, strict=False)]
        return -longs.flatten(outer)

    stepper = reference._euler if stages == 1 else reference._rk4
    states = [longs.flatten(weights)]
    for _ in range(steps):
        states.append(stepper(slope, states[-1], np.longdouble(step)))
    return np.stack(states)


def test_the_trajectory_is_that_of_the_reference() -> None:
    problem = problem_of((5, 4, 6, 3), "any")
    for stages, method in ((1, "euler"), (4, "rk4")):
        mine = trajectory(problem, problem.weights, 0.01, 5, stages)
        theirs = problem.reference.integrate(problem.weights, [0.01] * 5, method)
        assert relative_error(mine, theirs) <= 1e-17


FIXED: dict[str, tuple[int, Callable[[float], Any]]] = {
    "descent": (1, lambda step: dl.GradientDescent(step)),
    "euler": (1, lambda step: dl.GradientFlow("euler", step=step)),
    "rk4": (4, lambda step: dl.GradientFlow("rk4", step=step)),
}


def simulate(
    problem: Problem, method: str, step: float, steps: int, weights: Any = None, **options: Any
) -> xr.Dataset:
    length: dict[str, Any] = {"steps": steps} if method == "descent" else {"time": steps * step}
    arguments: dict[str, Any] = {"engine": "wide", **length}
    return dl.simulate(
        problem.landscape,
        problem.weights if weights is None else weights,
        FIXED[method][1](step),
        **(arguments | options),
    )


@pytest.mark.parametrize("readout", ["plain", "unit"])
@pytest.mark.parametrize("widths", SHAPES)
def test_fixed_steps(widths: tuple[int, ...], readout: str) -> None:
    """Every number of steps from 1 to 11: updates are folded early, late and at the end alone."""
    if readout == "unit" and widths not in SHAPES[:4]:
        pytest.skip("enough readouts")
    problem = problem_of(widths, readout)
    step = gentle_step(problem)
    for method, (stages, _) in FIXED.items():
        expected = trajectory(problem, problem.weights, step, STEPS, stages)
        for dtype in DTYPES:
            every = dtype == "float64" and method == "descent"
            for steps in range(1, STEPS + 1) if every else (3, STEPS):
                result = simulate(problem, method, step, steps, dtype=dtype)
                assert result.engine.item() == "wide"
                assert result.status.item() == "completed"
                assert result.last_step.item() == steps
                assert result.weights.dtype == dtype
                error = relative_error(result.weights.values[0], expected[steps])
                assert error <= rounding(dtype, steps, stages), (method, dtype, steps)
        # both engines round, each by as much
        for dtype in DTYPES[: 2 if widths in SHAPES[:3] else 1]:
            wide = simulate(problem, method, step, STEPS, dtype=dtype)
            narrow = simulate(problem, method, step, STEPS, dtype=dtype, engine="ensemble")
            assert narrow.engine.item() == "ensemble"
            error = relative_error(wide.weights.values, narrow.weights.values)
            assert error <= 2 * rounding(dtype, STEPS, stages), (method, dtype)


@settings(PROPERTY, max_examples=min(20, EXAMPLES))
@given(
    problems(max_depth=6, max_width=40),
    st.sampled_from(list(FIXED)),
    st.sampled_from(DTYPES),
    st.integers(1, STEPS),
    st.sampled_from([1, 2, 3]),
)
def test_any_problem(problem: Problem, method: str, dtype: str, steps: int, threads: int) -> None:
    step, stages = gentle_step(problem), FIXED[method][0]
    result = simulate(problem, method, step, steps, dtype=dtype, threads=threads)
    expected = trajectory(problem, problem.weights, step, steps, stages)[-1]
    error = relative_error(result.weights.values[0], expected)
    assert error <= rounding(dtype, steps, stages), problem.widths


def test_a_shorter_last_step() -> None:
    problem = problem_of((65, 64, 129, 1))
    step = gentle_step(problem)
    flow = dl.GradientFlow("rk4", step=step)
    result = dl.simulate(problem.landscape, problem.weights, flow, time=3.25 * step, engine="wide")
    assert result.last_step.item() == 4
    start = trajectory(problem, problem.weights, step, 3, 4)[-1]
    last = trajectory(problem, problem.reference.unflatten(start), 0.25 * step, 1, 4)[-1]
    assert relative_error(result.weights.values[0], last) <= rounding("float64", 4, 4)


@pytest.mark.parametrize("widths", [(3, 4, 3, 1), (40, 130, 70, 33, 1), (200, 1)])
@pytest.mark.parametrize("readout", ["plain", "unit"])
def test_dopri5(widths: tuple[int, ...], readout: str) -> None:
    """As many steps as the ensemble takes, to the same weights; and these near the flow's.

    The error of a step is estimated from other sums than in the ensemble, to some 1e-13 of the
    weights against a tolerance of 1e-6 of them: relative to it 1e-7, which the next step size
    feels to the power 0.2, and the error, which goes with its fifth power, just as much.
    """
    problem = problem_of(widths, readout)
    time = 20 * gentle_step(problem)
    results = [
        dl.simulate(
            problem.landscape,
            problem.weights,
            dl.GradientFlow("dopri5", rtol=1e-6, atol=1e-9),
            time=time,
            every=time / 3,
            engine=engine,
        )
        for engine in ("wide", "ensemble")
    ]
    wide, narrow = results
    assert wide.status.item() == "completed"
    assert wide.last_step.item() == narrow.last_step.item()
    assert relative_error(wide.weights.values, narrow.weights.values) <= 1e-9
    for name in ("risk", "distance"):
        np.testing.assert_allclose(wide[name].values, narrow[name].values, rtol=1e-7)
    # rk4 with steps of 0.02 / |H| is exact to about 0.02^4 / 120 per unit of |H| time: 1e-8
    step = time / 1000
    exact = trajectory(problem, problem.weights, step, 1000, 4)[-1]
    assert relative_error(wide.weights.values[0], exact) <= 1e-5


def test_dopri5_in_single_precision() -> None:
    problem = problem_of((40, 130, 70, 33, 1))
    time = 20 * gentle_step(problem)
    flow = dl.GradientFlow("dopri5", rtol=1e-4, atol=1e-6)
    wide = dl.simulate(
        problem.landscape, problem.weights, flow, time=time, dtype="float32", engine="wide"
    )
    exact = trajectory(problem, problem.weights, time / 200, 200, 4)[-1]
    assert wide.status.item() == "completed"
    assert relative_error(wide.weights.values[0], exact) <= 1e-3


# What is recorded


def with_test_data(problem: Problem) -> dl.Landscape:
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((9, problem.widths[0])), rng.standard_normal(9)
    regression = dl.Regression(problem.X, problem.y, X, y)
    return dl.Landscape(problem.network, regression)


def quantities(landscape: dl.Landscape, weights: list[Array]) -> dict[str, Any]:
    regression = landscape.regression
    assert regression.X_test is not None
    assert regression.y_test is not None
    w = landscape.end_to_end(weights)
    return {
        "risk": landscape.risk(weights),
        "test_risk": np.mean((regression.y_test - regression.X_test @ w) ** 2),
        "distance": np.sum((w - regression.minimizer) ** 2),
        "sharpness": landscape.sharpness(weights, 1e-10).value,
        "lowest_eigenvalue": landscape.sharpness(weights, 1e-10, which="lowest").value,
        "layer_norm": reference.layer_norm(weights),
        "rank_one_gap": reference.rank_one_gap(weights),
        "alignment": reference.alignment(weights),
        "balancedness": reference.balancedness(weights),
    }


@pytest.mark.parametrize("method", ["descent", "rk4"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", [(3, 4, 3, 1), (65, 64, 129, 1), (110, 130, 90, 1)])
def test_records_are_those_of_the_weights(widths: tuple[int, ...], dtype: str, method: str) -> None:
    """At the weights of a run that ends there; the two differ in when updates were folded."""
    problem = problem_of(widths)
    landscape, step = with_test_data(problem), gentle_step(problem)
    options: dict[str, Any] = {"dtype": dtype, "record": EVERYTHING}
    result = dl.simulate(
        landscape,
        problem.weights,
        FIXED[method][1](step),
        engine="wide",
        every=2,
        **({"steps": 5} if method == "descent" else {"time": 5 * step}),
        **options,
    )
    # Values recorded in the steps' precision, from weights that are equal up to rounding; their
    # condition numbers are of the order 10. Eigenvalues are recorded to a residual of 1e-8.
    error = 1e3 * EPSILON[dtype]
    for slot, steps in enumerate((0, 2, 4, 5)):
        weights = [layer.astype(dtype) for layer in problem.weights]
        if steps > 0:
            vector = simulate(problem, method, step, steps, dtype=dtype).weights.values[0]
            weights = problem.network.unflatten(vector)
        expected = quantities(landscape, [layer.astype(float) for layer in weights])
        scale = max(1.0, float(expected["risk"]))
        for name in EVERYTHING:
            values = result[name].values[0, slot]
            size = scale if name in ("risk", "test_risk", "distance") else 1.0
            size = max(size, float(np.max(np.abs(expected[name]), initial=0)))
            np.testing.assert_allclose(
                values, expected[name], rtol=0, atol=max(error, 1e-8) * size, err_msg=name
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["descent", "rk4", "dopri5"])
def test_recording_is_only_looking(method: str, dtype: str) -> None:
    problem = problem_of((65, 64, 129, 1))
    step = gentle_step(problem)

    def run(record: tuple[str, ...], every: int | None) -> xr.Dataset:
        if method != "dopri5":
            return simulate(
                problem, method, step, STEPS, record=record, every=every, dtype=dtype, threads=2
            )
        return dl.simulate(
            problem.landscape,
            problem.weights,
            dl.GradientFlow("dopri5", rtol=1e-4),
            time=STEPS * step,
            every=None if every is None else every * step,
            record=record,
            dtype=dtype,
            engine="wide",
        )

    names = WITHOUT_TEST_DATA
    bare = run((), None)
    full = run(names, 1)
    for record, every in [(names, 1), (names, 3), (("risk",), 1), (("sharpness",), 4), ((), 2)]:
        other = run(record, every)
        assert_same_bits(bare, other, ())
        axis = "step" if method == "descent" else "time"
        places = [int(np.argmin(np.abs(full[axis].values - place))) for place in other[axis].values]
        for name in record:
            expected, found = full[name].values[:, places], other[name].values
            if name in ("sharpness", "lowest_eigenvalue"):  # iterations from another first guess
                np.testing.assert_allclose(found, expected, rtol=1e-7)
            else:
                assert np.array_equal(found, expected), (name, every)


# How runs end


@pytest.mark.parametrize("dtype", DTYPES)
def test_runs_one_after_another_end_as_in_the_ensemble(dtype: str) -> None:
    """Runs that converge, diverge and complete, in one call with a leading axis."""
    problem = problem_of((4, 35, 3, 1))
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.3, 3.0, 14)
    weights = [np.stack([s * layer for s in scales]) for layer in problem.weights]
    options: dict[str, Any] = {"tolerance": 1e-3, "dtype": dtype, "every": 7}
    record = ("risk", "distance", "layer_norm")
    both = [
        simulate(problem, "descent", 0.02, 60, weights, engine=engine, record=record, **options)
        for engine in ("wide", "ensemble")
    ]
    wide, narrow = both
    assert set(wide.status.values.tolist()) == {"completed", "converged", "diverged"}
    # A run diverges by squaring its size at every step, and passes the tolerance by a share that
    # is large beside the rounding: the steps are the same.
    np.testing.assert_array_equal(wide.status.values, narrow.status.values)
    np.testing.assert_array_equal(wide.last_step.values, narrow.last_step.values)
    kept = wide.status.values != "diverged"
    # 60 steps: 1e5 eps is 1e4 times the rounding of one
    error = 1e5 * EPSILON[dtype]
    for name in record:
        one, other = wide[name].values[kept], narrow[name].values[kept]
        np.testing.assert_allclose(one, other, rtol=0, atol=error * np.max(np.abs(other)))
        assert np.array_equal(np.isnan(wide[name].values), np.isnan(narrow[name].values))
    for run in np.flatnonzero(wide.status.values == "converged"):
        last = problem.network.unflatten(wide.weights.values[run].astype(float))
        excess = problem.landscape.risk(last) - problem.regression.minimum_risk
        assert excess <= 1e-3 * (1 + 1e-3)
    for run in range(len(scales)):
        alone = simulate(
            problem, "descent", 0.02, 60, one_run(weights, run), record=record, **options
        )
        assert_same_bits(alone, wide.isel(run=[run]), record)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_flow_converges(method: str) -> None:
    problem = problem_of((4, 35, 3, 1))
    flow = dl.GradientFlow(method, step=0.01)
    arguments: dict[str, Any] = {"time": 60.0, "tolerance": 1e-6, "every": None}
    wide = dl.simulate(problem.landscape, problem.weights, flow, engine="wide", **arguments)
    narrow = dl.simulate(problem.landscape, problem.weights, flow, engine="ensemble", **arguments)
    assert wide.status.item() == "converged"
    assert wide.last_step.item() == narrow.last_step.item()
    assert wide["risk"].values[0, -1] <= problem.regression.minimum_risk + 1e-6 * (1 + 1e-6)


def test_a_flow_with_too_large_a_step_diverges() -> None:
    problem = problem_of((65, 64, 129, 1))
    step = 100 * gentle_step(problem)
    result = simulate(problem, "rk4", step, 50, record=("risk", "sharpness"))
    assert result.status.item() == "diverged"
    last = result.last_step.item()
    assert last < 50
    assert np.all(np.isfinite(result["risk"].values[0, :last]))
    assert np.all(np.isnan(result["risk"].values[0, last + 1 :]))


# Bits


def assert_same_bits(one: xr.Dataset, other: xr.Dataset, names: tuple[str, ...]) -> None:
    for name in (*names, "weights", "status", "last_step", "out_of_range_layer"):
        first, second = one[name].values, other[name].values
        same = np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert same, f"{name} differs"


THREADS = (2, 3, 8)
# So many weights in a layer that 8 threads share it, on average; of the last in float64, layers
# whose slabs are added up in pairs, which 3 and 8 threads split
SHARED = [(70, 260, 90, 1), (60, 600, 1), (100, 130, 260, 150, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["descent", "rk4", "dopri5"])
@pytest.mark.parametrize("widths", SHARED)
def test_any_number_of_threads(widths: tuple[int, ...], method: str, dtype: str) -> None:
    problem = problem_of(widths)
    step = gentle_step(problem)
    record = ("risk", "distance", "sharpness")

    def run(threads: int) -> xr.Dataset:
        options: dict[str, Any] = {"record": record, "dtype": dtype, "threads": threads}
        if method != "dopri5":
            return simulate(problem, method, step, 5, every=3, **options)
        flow = dl.GradientFlow("dopri5", rtol=1e-4)
        options |= {"time": 5 * step, "every": 2 * step, "engine": "wide"}
        return dl.simulate(problem.landscape, problem.weights, flow, **options)

    one = run(1)
    for threads in THREADS if dtype == "float64" else (3,):
        assert_same_bits(one, run(threads), record)


def test_any_neighbours() -> None:
    """Runs in another order, in parts, alone, on teams of any size."""
    problem = problem_of((60, 70, 90, 1))
    rng = np.random.default_rng(4)
    weights = [layer * (1 + 0.1 * rng.standard_normal((7, 1, 1))) for layer in problem.weights]
    step = gentle_step(problem)
    record = ("risk", "sharpness")

    def run(some: Any, threads: int) -> xr.Dataset:
        return simulate(problem, "descent", step, 5, some, record=record, every=2, threads=threads)

    whole = run(weights, 1)
    for threads in (2, 3, 8):
        assert_same_bits(whole, run(weights, threads), record)
    order = [3, 0, 6, 5, 1, 2, 4]
    assert_same_bits(whole.isel(run=order), run(some_runs(weights, order), 3), record)
    for part in (slice(0, 2), slice(2, 7), slice(4, 5)):
        assert_same_bits(whole.isel(run=part), run(some_runs(weights, part), 2), record)


@pytest.mark.parametrize("widths", SHARED)
def test_a_landscape_with_any_number_of_threads(widths: tuple[int, ...]) -> None:
    problem = problem_of(widths)
    weights, direction = problem.weights, random_direction(problem, 5)

    def everything(threads: int) -> list[Array]:
        landscape = dl.Landscape(problem.network, problem.regression, threads=threads)
        sharpness = landscape.sharpness(weights)
        several = landscape.eigenvalues(weights, 3, which="lowest")
        density = landscape.spectral_density(weights, vectors=2, steps=9)
        return [
            np.array(landscape.risk(weights)),
            landscape.end_to_end(weights),
            flat(landscape.gradient(weights)),
            flat(landscape.hessian_vector_product(weights, direction)),
            np.array([sharpness.value, sharpness.residual, sharpness.products]),
            flat(sharpness.vector),
            np.array([[one.value, one.residual] for one in several]),
            density.nodes,
            density.weights,
            np.array(landscape.hessian_trace(weights)),
        ]

    one = everything(1)
    for threads in THREADS:
        for first, second in zip(one, everything(threads), strict=True):
            np.testing.assert_array_equal(first, second)


def test_the_place_in_memory_does_not_matter() -> None:
    """Weights at any offset from a line of the cache give the same bits."""
    problem = problem_of((65, 64, 129, 1))
    vector, step = flat(problem.weights), gentle_step(problem)
    one = simulate(problem, "rk4", step, 3, overwrite_weights=False)
    for offset in range(1, 8):
        memory = np.zeros(len(vector) + offset)
        memory[offset:] = vector
        layers = problem.network.unflatten(memory[offset:])
        other = simulate(problem, "rk4", step, 3, layers, overwrite_weights=True)
        assert_same_bits(one, other, ("risk",))
        assert problem.landscape.risk(problem.weights) == problem.landscape.risk(
            problem.network.unflatten(np.concatenate([np.zeros(offset), vector])[offset:])
        )


# Memory of the weights


@pytest.mark.parametrize("engine", ["wide", "ensemble"])
@pytest.mark.parametrize("method", ["descent", "rk4"])
def test_overwriting_the_weights(engine: str, method: str) -> None:
    problem = problem_of((65, 64, 129, 1))
    step, vector = gentle_step(problem), flat(problem.weights)
    kept = simulate(problem, method, step, 3, engine=engine)

    def run(layers: Any, overwrite: bool = True, **options: Any) -> xr.Dataset:
        options |= {"overwrite_weights": overwrite, "engine": engine}
        return simulate(problem, method, step, 3, layers, **options)

    memory = vector.copy()
    shared = run(problem.network.unflatten(memory))
    assert_same_bits(kept, shared, ("risk", "distance"))
    assert np.shares_memory(shared.weights.values, memory)
    np.testing.assert_array_equal(memory, kept.weights.values[0])

    memory = vector.copy()
    run(problem.network.unflatten(memory), overwrite=False)
    np.testing.assert_array_equal(memory, vector)

    memory.setflags(write=False)
    locked = run(problem.network.unflatten(memory))
    assert_same_bits(kept, locked, ("risk",))
    np.testing.assert_array_equal(memory, vector)

    apart = [layer.copy() for layer in problem.weights]
    assert_same_bits(kept, run(apart), ("risk",))
    np.testing.assert_array_equal(flat(apart), vector)

    memory = vector.copy()
    single = run(problem.network.unflatten(memory), dtype="float32")
    np.testing.assert_array_equal(memory, vector)
    assert not np.shares_memory(single.weights.values, memory)

    singles = problem.network.unflatten(vector.astype(np.float32))
    run(singles)
    np.testing.assert_array_equal(flat(singles), vector.astype(np.float32))

    stacked = np.stack([vector, 0.9 * vector])
    before = stacked.copy()
    run(problem.network.unflatten(stacked))
    np.testing.assert_array_equal(stacked, before)

    lists = [layer.tolist() for layer in problem.weights]
    assert_same_bits(kept, run(lists), ("risk",))


def test_layers_that_are_read_only_are_not_overwritten() -> None:
    problem = problem_of((3, 4, 3, 1))
    memory = flat(problem.weights)
    layers = problem.network.unflatten(memory)
    for layer in layers:
        layer.flags.writeable = False
    simulate(problem, "descent", 0.01, 3, layers, overwrite_weights=True)
    np.testing.assert_array_equal(memory, flat(problem.weights))


def test_the_engine_is_chosen_by_the_network_alone() -> None:
    for widths, name in (((255, 255, 1), "ensemble"), ((256, 256, 1), "wide")):
        problem = make_problem(widths, "plain", 5, seed=1)
        for runs in (1, 3):
            weights = [np.stack([layer] * runs) for layer in problem.weights]
            result = dl.simulate(
                problem.landscape, weights, dl.GradientDescent(1e-3), steps=1, every=None
            )
            assert result.engine.item() == name


def test_a_sweep_on_the_wide_engine() -> None:
    """A cell is the run from its own sample, to the bit."""
    problem = problem_of((20, 40, 30, 1))
    result = dl.sweep(
        problem.landscape,
        dl.init.Residual([0.1, 0.4]),
        dl.GradientDescent([0.001, 0.002]),
        seeds=2,
        steps=5,
        engine="wide",
        progress=False,
        threads=3,
    )
    assert result.engine.item() == "wide"
    for scale in (0.1, 0.4):
        for rate in (0.001, 0.002):
            weights = dl.init.Residual(scale).sample(problem.network, 1)
            alone = simulate(problem, "descent", rate, 5, weights, every=None, threads=1)
            cell = result.sel(scale=scale, learning_rate=rate, seed=1)
            np.testing.assert_array_equal(cell.weights.values, alone.weights.values[0])
            np.testing.assert_array_equal(cell["risk"].values, alone["risk"].values[0])


def test_the_samples_have_no_wide_engine() -> None:
    problem = replace(problem_of((3, 4, 3, 1)), samples=True)
    result = dl.simulate(problem.landscape, problem.weights, dl.GradientDescent(0.01), steps=2)
    assert result.engine.item() == "ensemble"
    with pytest.raises(ValueError, match="engine"):
        simulate(problem, "descent", 0.01, 2)


def test_a_run_that_no_step_is_short_enough_for_leaves_nothing_to_the_next() -> None:
    """It ends with a rejected step, whose norms of the weights would make the next one's too long.

    At 1e40 times the weights the risk is finite, some 1e240, and the error of any step is not.
    """
    problem = problem_of((12, 40, 33, 1))
    weights = [np.stack([1e40 * layer, layer]) for layer in problem.weights]

    def run(some: list[Array]) -> xr.Dataset:
        flow = dl.GradientFlow("dopri5", rtol=1e-8, atol=1e-12)
        time = 20 * gentle_step(problem)
        return dl.simulate(problem.landscape, some, flow, time=time, engine="wide", threads=1)

    both, alone = run(weights), run(some_runs(weights, slice(1, 2)))
    assert list(both.status.values) == ["diverged", "completed"]
    assert_same_bits(both.isel(run=slice(1, 2)), alone, ("risk",))
