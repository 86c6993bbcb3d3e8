"""Trajectories of ensembles against plain loops, and how runs end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
from strategies import (
    Problem,
    flat,
    make_problem,
    minimizing_weights,
    one_run,
    random_ensemble,
    random_problem,
    relative_error,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

STEPS = 12
# A step rounds the weights, by eps; the gradient's own rounding, some 10 eps, comes with a factor
# eta that makes it smaller still. Every step here has eta |H| <= 0.2 at the start, so that a
# deviation grows by at most exp(12 * 0.2) = 11 over all of them: 12 * 11 = 132 eps, relative to the
# weights, is 3e-14 in double and 1.6e-5 in single precision.
ROUNDING = {"float64": 132 * 2.0**-52, "float32": 132 * 2.0**-23}
DTYPES = ["float64", "float32"]


def gentle_step(problem: Problem, weights: list[Array]) -> float:
    """0.2 / |H|, the largest of all runs."""
    spectra = [problem.reference.spectrum(one_run(weights, r)) for r in range(len(weights[0]))]
    return float(0.2 / max(np.max(np.abs(spectrum)) for spectrum in spectra))


def cases() -> list[Problem]:
    """Random shapes, and some with widths that fit no power of two."""
    problems = [random_problem(seed, max_depth=10, max_width=8) for seed in range(30)]
    wide = [make_problem((17, 33, 5, 1), "plain", 20, 1), make_problem((3, 19, 2), "unit", 9, 2)]
    return problems + wide


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_descent(dtype: str) -> None:
    for index, problem in enumerate(cases()):
        weights = random_ensemble(problem, 3, index, low=0.8, high=1.1)
        rate = gentle_step(problem, weights)
        dataset = dl.simulate(
            problem.landscape,
            weights,
            dl.GradientDescent(learning_rate=rate),
            steps=STEPS,
            dtype=dtype,
        )
        assert dataset.status.values.tolist() == ["completed"] * 3
        assert dataset.last_step.values.tolist() == [STEPS] * 3
        for run in range(3):
            expected = problem.reference.gradient_descent(one_run(weights, run), rate, STEPS)
            error = relative_error(dataset["weights"].values[run], expected[-1])
            assert error <= ROUNDING[dtype], (index, problem.widths)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_fixed_step_flow(method: str, dtype: str) -> None:
    """RK4 has four evaluations per step: four times the rounding."""
    for index, problem in enumerate(cases()):
        weights = random_ensemble(problem, 2, index, low=0.8, high=1.1)
        step = gentle_step(problem, weights)
        flow = dl.GradientFlow(method=method, step=step)
        dataset = dl.simulate(problem.landscape, weights, flow, time=STEPS * step, dtype=dtype)
        assert dataset.status.values.tolist() == ["completed"] * 2
        assert dataset.last_step.values.tolist() == [STEPS] * 2
        for run in range(2):
            expected = problem.reference.integrate(one_run(weights, run), [step] * STEPS, method)
            error = relative_error(dataset["weights"].values[run], expected[-1])
            assert error <= 4 * ROUNDING[dtype], (index, problem.widths)


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_the_last_step_is_shortened(method: str) -> None:
    """0.03 + 0.03 + 0.03 + 0.01 is exactly the time, and ten steps of 0.01 are not eleven."""
    problem = make_problem((3, 4, 2, 1), "plain", 8, seed=8)
    for step, sizes in [(0.03, [0.03] * 3 + [0.01]), (0.01, [0.01] * 10), (0.5, [0.1])]:
        flow = dl.GradientFlow(method=method, step=step)
        dataset = dl.simulate(problem.landscape, problem.weights, flow, time=sum(sizes))
        expected = problem.reference.integrate(problem.weights, sizes, method)[-1]
        assert relative_error(dataset["weights"].values[0], expected) <= 1e-13
        assert dataset.last_step.item() == len(sizes)
        times = [0.0, *np.cumsum(sizes)]
        np.testing.assert_allclose(dataset["time"].values, times, rtol=0, atol=1e-12)
        assert dataset["time"].values[-1] == sum(sizes)


@pytest.mark.parametrize("seed", range(6))
def test_dopri5(seed: int) -> None:
    """The error at the end is of the size of the tolerance; the flow's own growth is moderate."""
    problem = random_problem(seed, max_depth=6, max_width=5)
    weights = random_ensemble(problem, 2, seed, low=0.7, high=1.0)
    flow = dl.GradientFlow(method="dopri5", rtol=1e-9, atol=1e-11)
    dataset = dl.simulate(problem.landscape, weights, flow, time=1.0, every=None)
    assert dataset.status.values.tolist() == ["completed"] * 2
    for run in range(2):
        expected = problem.reference.flow(one_run(weights, run), [0.0, 1.0])[-1]
        assert relative_error(dataset["weights"].values[run], expected) <= 1e-7


def test_dopri5_in_single_precision() -> None:
    problem = make_problem((3, 4, 2, 1), "plain", 8, seed=4)
    flow = dl.GradientFlow(method="dopri5", rtol=1e-4, atol=1e-5)
    dataset = dl.simulate(problem.landscape, problem.weights, flow, time=1.0, dtype="float32")
    assert dataset.status.item() == "completed"
    expected = problem.reference.flow(problem.weights, [0.0, 1.0])[-1]
    assert relative_error(dataset["weights"].values[0], expected) <= 2e-3


@pytest.mark.parametrize(
    "dynamics", [dl.GradientDescent(0.01), dl.GradientFlow(method="rk4", step=0.01)], ids=str
)
def test_single_precision_agrees_with_double(dynamics: Any) -> None:
    """Recorded values too: relative to their largest, since R - R(w*) may be small against R."""
    problem = make_problem((4, 5, 3, 1), "plain", 10, seed=9)
    weights = random_ensemble(problem, 5, 1, low=0.6, high=0.9)
    steps = isinstance(dynamics, dl.GradientDescent)
    length: dict[str, Any] = {"steps": 30} if steps else {"time": 0.3}
    names = ("risk", "distance", "sharpness", "layer_norm", "balancedness")
    datasets = [
        dl.simulate(
            problem.landscape, weights, dynamics, record=names, every=10, dtype=dtype, **length
        )
        for dtype in DTYPES
    ]
    for name in (*names, "weights"):
        double, single = (dataset[name].values.astype(float) for dataset in datasets)
        assert single.shape == double.shape
        scale = np.max(np.abs(double))
        np.testing.assert_allclose(single, double, rtol=0, atol=5e-4 * scale, err_msg=name)


# How runs end


def mixed_runs() -> tuple[Problem, list[Array]]:
    """40 runs from scales 0.1 to 3: some diverge at learning rate 0.1, some get to a minimizer."""
    problem = make_problem((3, 4, 3, 1), "plain", 10, seed=8)
    return problem, random_ensemble(problem, 40, seed=5, low=0.1, high=3.0)


RATE, TOLERANCE = 0.1, 1e-4


def simulate_mixed(steps: int, **options: Any) -> xr.Dataset:
    problem, weights = mixed_runs()
    arguments: dict[str, Any] = {"record": ("risk", "layer_norm"), "tolerance": TOLERANCE}
    return dl.simulate(
        problem.landscape,
        weights,
        dl.GradientDescent(RATE),
        steps=steps,
        **(arguments | options),
    )


def test_statuses_and_last_steps() -> None:
    problem, weights = mixed_runs()
    dataset = simulate_mixed(40)
    status, last = dataset.status.values, dataset.last_step.values
    assert set(status.tolist()) == {"completed", "converged", "diverged"}
    minimum = problem.regression.minimum_risk
    for run in range(len(status)):
        with np.errstate(all="ignore"):
            states = problem.reference.gradient_descent(one_run(weights, run), RATE, 40)
            layers = [problem.reference.unflatten(state) for state in states]
            excess = np.array([float(problem.reference.risk(w)) - minimum for w in layers])
        end = int(last[run])
        if status[run] == "completed":
            assert end == 40
            assert np.all(excess > TOLERANCE * (1 - 1e-6))
        elif status[run] == "converged":  # at the first step where it may be said
            assert excess[end] <= TOLERANCE * (1 + 1e-6)
            assert np.all(excess[:end] > TOLERANCE * (1 - 1e-6))
        else:
            assert 0 < end <= 40
            assert not excess[-1] < 1e6  # NaN, infinite or enormous


def test_records_after_the_end_of_a_run() -> None:
    """A diverged run has no values (NaN); a converged one keeps its last to the end."""
    dataset = simulate_mixed(40)
    steps = dataset["step"].values
    for run, status in enumerate(dataset.status.values):
        end = int(dataset.last_step.values[run])
        for name in ("risk", "layer_norm"):
            values = dataset[name].isel(run=run).transpose("step", ...).values
            if status == "diverged":
                assert np.all(np.isnan(values[steps > end]))
                assert np.all(np.isfinite(values[steps < end]))
            else:
                assert np.all(np.isfinite(values))
            if status == "converged":
                after = values[steps >= end]
                np.testing.assert_array_equal(after, np.broadcast_to(after[0], after.shape))
    converged = dataset.isel(run=np.flatnonzero(dataset.status.values == "converged"))
    excess = converged["risk"].isel(step=-1).values - mixed_runs()[0].regression.minimum_risk
    assert np.all(excess <= TOLERANCE * (1 + 1e-6))


def test_converged_runs_keep_the_weights_of_their_last_step() -> None:
    problem, weights = mixed_runs()
    dataset = simulate_mixed(40)
    runs = np.flatnonzero(dataset.status.values == "converged")[:5]
    for run in runs:
        end = int(dataset.last_step.values[run])
        if end == 0:
            continue
        alone = dl.simulate(
            problem.landscape, one_run(weights, run), dl.GradientDescent(RATE), steps=end
        )
        assert alone.status.item() == "completed"
        np.testing.assert_array_equal(alone["weights"].values[0], dataset["weights"].values[run])


def test_a_coarse_grid_does_not_change_how_runs_end() -> None:
    """Convergence is looked for at every step, not at the recorded ones."""
    fine, coarse = simulate_mixed(40), simulate_mixed(40, every=25)
    assert coarse["step"].values.tolist() == [0, 25, 40]
    for name in ("status", "last_step", "weights"):
        np.testing.assert_array_equal(fine[name].values, coarse[name].values)
    for run, status in enumerate(coarse.status.values):
        end = int(coarse.last_step.values[run])
        values = coarse["risk"].values[run]
        if status == "converged":  # the grid points after the end have the value at the end
            at_end = fine["risk"].sel(step=end).values[run]
            np.testing.assert_array_equal(values[coarse["step"].values >= end], at_end)
        if status == "diverged":
            assert np.all(np.isnan(values[coarse["step"].values > end]))


def test_without_a_tolerance_runs_complete() -> None:
    problem, weights = mixed_runs()
    quiet = [layer[:4] * 0.3 for layer in weights]
    dataset = dl.simulate(problem.landscape, quiet, dl.GradientDescent(0.02), steps=300)
    assert dataset.status.values.tolist() == ["completed"] * 4
    assert dataset.last_step.values.tolist() == [300] * 4


@pytest.mark.parametrize(
    "dynamics",
    [dl.GradientDescent(0.01), dl.GradientFlow("rk4", step=0.1), dl.GradientFlow("dopri5")],
    ids=str,
)
def test_a_start_at_a_minimizer_has_converged(dynamics: Any) -> None:
    problem = make_problem((3, 4, 1), "plain", 10, seed=8)
    weights = minimizing_weights(problem)
    length: dict[str, Any] = (
        {"steps": 7} if isinstance(dynamics, dl.GradientDescent) else {"time": 2.0}
    )
    dataset = dl.simulate(problem.landscape, weights, dynamics, tolerance=1e-8, **length)
    assert dataset.status.item() == "converged"
    assert dataset.last_step.item() == 0
    np.testing.assert_array_equal(dataset["weights"].values[0], flat(weights))
    assert np.all(dataset["distance"].values <= 1e-25)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_flows_converge(method: str) -> None:
    problem = make_problem((3, 4, 1), "plain", 10, seed=8)
    weights = random_ensemble(problem, 9, seed=3, low=0.5, high=1.0)
    flow = dl.GradientFlow(method=method, step=0.01)
    dataset = dl.simulate(problem.landscape, weights, flow, time=40.0, tolerance=1e-6, every=None)
    assert dataset.status.values.tolist() == ["converged"] * 9
    excess = dataset["risk"].values[:, -1] - problem.regression.minimum_risk
    assert np.all(excess <= 1.001e-6)
    layers = problem.network.unflatten(dataset["weights"].values)
    for run in range(9):
        risk = problem.landscape.risk(one_run(layers, run))
        assert risk == pytest.approx(dataset["risk"].values[run, -1], rel=1e-12)


def test_a_flow_with_too_large_a_step_diverges() -> None:
    problem, weights = mixed_runs()
    flow = dl.GradientFlow(method="rk4", step=0.3)
    dataset = dl.simulate(problem.landscape, weights, flow, time=30.0)
    status = dataset.status.values
    assert "diverged" in status
    runs = np.flatnonzero(status == "diverged")
    assert np.all(dataset.last_step.values[runs] <= 100)
    assert np.all(np.isnan(dataset["risk"].values[runs, -1]))


def four_layers() -> tuple[dl.Landscape, list[NDArray[Any]]]:
    network = dl.Network((5,) * 4 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=5, noise=1.0, seed=0))
    return landscape, dl.init.Gaussian(0.5).sample(network, 0)


@pytest.mark.parametrize("engine", ["ensemble", "wide"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dopri5_to_the_end_of_time(dtype: str, engine: str) -> None:
    """The shortest step is that of rounding at the time that was reached, not at the end."""
    landscape, weights = four_layers()
    flow = dl.GradientFlow("dopri5", rtol=1e-4, atol=1e-5)
    options: dict[str, Any] = {"every": None, "tolerance": 1e-4, "dtype": dtype, "engine": engine}
    one, other = (
        dl.simulate(landscape, weights, flow, time=time, **options) for time in (1e3, 1e30)
    )
    assert other.status.item() == "converged"
    assert other.last_step.item() == one.last_step.item()
    np.testing.assert_array_equal(other.weights, one.weights)


@pytest.mark.parametrize("engine", ["ensemble", "wide"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tolerances_below_rounding_count_as_that(dtype: str, engine: str) -> None:
    landscape, weights = four_layers()
    options: dict[str, Any] = {"time": 0.5, "every": None, "dtype": dtype, "engine": engine}
    rounding = float(np.finfo(dtype).eps)
    one, other = (
        dl.simulate(landscape, weights, dl.GradientFlow("dopri5", rtol=rtol, atol=1e-37), **options)
        for rtol in (rounding, 1e-37)
    )
    assert one.status.item() == "completed"
    xr.testing.assert_equal(one, other)


def test_a_first_step_below_the_range_of_single_precision() -> None:
    landscape, weights = four_layers()
    flow = dl.GradientFlow("dopri5", step=1e-50, rtol=1e-4, atol=1e-5)
    result = dl.simulate(landscape, weights, flow, time=1, every=None, dtype="float32")
    assert result.status.item() == "completed"
