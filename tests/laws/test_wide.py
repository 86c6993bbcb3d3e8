"""The wide engine: updates that wait, slabs of every size, and the steps of the ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
import reference
from engines import DTYPES, EPSILON, FIXED, assert_same_bits, rounding, variable
from large_layers import METHODS, gentle_step, problem_of, simulate
from meaning import ITERATIVE, At, meaning
from strategies import Problem, one_run, relative_error, with_test_data

pytestmark = pytest.mark.core

Array = NDArray[Any]

STAGES = {method.name: method.stages for method in FIXED if not method.momentum}
STEPS = 11  # odd, and no multiple of the steps that are written at once: 1, 2 or 4

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


@pytest.mark.parametrize("readout", ["plain", "unit"])
@pytest.mark.parametrize("widths", SHAPES)
def test_updates_are_written_early_and_late(widths: tuple[int, ...], readout: str) -> None:
    """Every number of steps from 1 to 11: updates are folded early, late and at the end alone."""
    if readout == "unit" and widths not in SHAPES[:4]:
        pytest.skip("enough readouts")
    problem = problem_of(widths, readout)
    step = gentle_step(problem)
    for method, stages in STAGES.items():
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
                assert error <= rounding(problem.widths, dtype, steps, stages), (
                    method,
                    dtype,
                    steps,
                )
        # both engines round, each by as much
        for dtype in DTYPES[: 2 if widths in SHAPES[:3] else 1]:
            wide = simulate(problem, method, step, STEPS, dtype=dtype)
            narrow = simulate(problem, method, step, STEPS, dtype=dtype, engine="ensemble")
            assert narrow.engine.item() == "ensemble"
            error = relative_error(wide.weights.values, narrow.weights.values)
            assert error <= 2 * rounding(problem.widths, dtype, STEPS, stages), (method, dtype)


def test_a_shorter_last_step_of_large_layers() -> None:
    problem = problem_of((65, 64, 129, 1))
    step = gentle_step(problem)
    flow = dl.GradientFlow("rk4", step=step)
    result = dl.simulate(problem.landscape, problem.weights, flow, time=3.25 * step, engine="wide")
    assert result.last_step.item() == 4
    start = trajectory(problem, problem.weights, step, 3, 4)[-1]
    last = trajectory(problem, problem.reference.unflatten(start), 0.25 * step, 1, 4)[-1]
    assert relative_error(result.weights.values[0], last) <= rounding(
        problem.widths, "float64", 4, 4
    )


@pytest.mark.parametrize("widths", [(3, 4, 3, 1), (40, 130, 70, 33, 1), (200, 1)])
@pytest.mark.parametrize("readout", ["plain", "unit"])
def test_dopri5_takes_the_steps_of_the_ensemble(widths: tuple[int, ...], readout: str) -> None:
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


def test_dopri5_of_large_layers_in_single_precision() -> None:
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


# Records that need no dense Hessian
OF_LAYERS = (
    *("risk", "test_risk", "distance", "layer_norm", "rank_one_gap", "alignment", "balancedness"),
    *("end_to_end", "weights"),
)


@pytest.mark.parametrize("method", ["descent", "rk4"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", [(3, 4, 3, 1), (65, 64, 129, 1), (110, 130, 90, 1)])
def test_records_while_updates_wait(widths: tuple[int, ...], dtype: str, method: str) -> None:
    """At the weights of a run that ends there; the two differ in when updates were folded."""
    problem = problem_of(widths)
    landscape, tests = with_test_data(problem)
    step, names = gentle_step(problem), (*ITERATIVE[:2], *OF_LAYERS)
    result = dl.simulate(
        landscape,
        problem.weights,
        METHODS[method].dynamics(step),
        engine="wide",
        every=2,
        dtype=dtype,
        record=names,
        **METHODS[method].length(step, 5),
    )
    # Values recorded in the steps' precision, from weights that are equal up to rounding; their
    # condition numbers are of the order 10. Eigenvalues are recorded to a residual of 1e-8.
    error = 1e3 * EPSILON[dtype]
    for slot, steps in enumerate((0, 2, 4, 5)):
        weights = [layer.astype(dtype) for layer in problem.weights]
        if steps > 0:
            vector = simulate(problem, method, step, steps, dtype=dtype).weights.values[0]
            weights = problem.network.unflatten(vector)
        layers = [layer.astype(float) for layer in weights]
        scale = max(1.0, landscape.risk(layers))
        for name in names:
            if name in ITERATIVE:  # of matrices that are too large for the reference
                which = "largest" if name == "sharpness" else "lowest"
                expected = np.array(landscape.sharpness(layers, 1e-10, which=which).value)
            else:
                expected = meaning(name, At(problem, tests, layers))
            size = scale if name in ("risk", "test_risk", "distance") else 1.0
            size = max(size, float(np.max(np.abs(expected), initial=0)))
            np.testing.assert_allclose(
                result[variable(name)].values[0, slot],
                expected,
                rtol=0,
                atol=max(error, 1e-8) * size,
                err_msg=name,
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["descent", "rk4", "dopri5"])
def test_recording_writes_updates_and_changes_nothing(method: str, dtype: str) -> None:
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

    names = (*ITERATIVE[:2], *(name for name in OF_LAYERS if name != "test_risk"))
    bare = run((), None)
    full = run(names, 1)
    for record, every in [(names, 1), (names, 3), (("risk",), 1), (("sharpness",), 4), ((), 2)]:
        other = run(record, every)
        assert_same_bits(bare, other, ())
        axis = "step" if method == "descent" else "time"
        places = [int(np.argmin(np.abs(full[axis].values - place))) for place in other[axis].values]
        for name in record:
            expected, found = full[variable(name)].values[:, places], other[variable(name)].values
            if name in ITERATIVE:  # iterations from another first guess
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
def test_a_flow_converges_where_the_ensemble_does(method: str) -> None:
    problem = problem_of((4, 35, 3, 1))
    flow = dl.GradientFlow(method, step=0.01)
    arguments: dict[str, Any] = {"time": 60.0, "tolerance": 1e-6, "every": None}
    wide = dl.simulate(problem.landscape, problem.weights, flow, engine="wide", **arguments)
    narrow = dl.simulate(problem.landscape, problem.weights, flow, engine="ensemble", **arguments)
    assert wide.status.item() == "converged"
    assert wide.last_step.item() == narrow.last_step.item()
    assert wide["risk"].values[0, -1] <= problem.regression.minimum_risk + 1e-6 * (1 + 1e-6)


def test_a_flow_of_large_layers_diverges() -> None:
    problem = problem_of((65, 64, 129, 1))
    step = 100 * gentle_step(problem)
    result = simulate(problem, "rk4", step, 50, record=("risk", "sharpness"))
    assert result.status.item() == "diverged"
    last = result.last_step.item()
    assert last < 50
    assert np.all(np.isfinite(result["risk"].values[0, :last]))
    assert np.all(np.isnan(result["risk"].values[0, last + 1 :]))
