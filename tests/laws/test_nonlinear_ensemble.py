"""Trajectories of nonlinear networks: plain loops beside them, ends, records and bits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
import reference
from strategies import (
    EVERYTHING,
    FIXED_STEPS,
    NONLINEAR,
    WITHOUT_MAP,
    WITHOUT_TEST_DATA,
    Problem,
    bent,
    flat,
    make_problem,
    one_run,
    random_ensemble,
    random_problem,
    relative_error,
    some_runs,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

EPS = np.finfo(float).eps
STEPS = 12
# A step rounds the weights, by eps; the gradient's own rounding, some 10 eps for each of up to 5
# layers, comes with a factor eta |gradient| / |W| that makes it smaller still. Every step here has
# eta |H| <= 0.2 at the start, so that a deviation grows by about exp(12 * 0.2) = 11 over all of
# them: 12 * 11 = 132 eps, relative to the weights.
ROUNDING = {"float64": 132 * 2.0**-52, "float32": 132 * 2.0**-23}
DTYPES = ["float64", "float32"]


def gentle_step(problem: Problem, weights: list[Array]) -> float:
    """0.2 / |H|, the largest of all runs; 1 where no run feels its weights (ReLUs that are off)."""
    norms = [
        np.linalg.norm(problem.landscape.hessian(one_run(weights, run)), 2)
        for run in range(len(weights[0]))
    ]
    return float(0.2 / max(norms)) if max(norms) > 0 else 1.0


def cases() -> list[Problem]:
    """Random shapes with numbers of samples from 1 on, and some that fit no power of two."""
    problems = [
        bent(random_problem(seed, max_depth=5, max_width=6), NONLINEAR[seed % 3], seed)
        for seed in range(21)
    ]
    wide = [make_problem((9, 17, 5, 1), "plain", 21, 1), make_problem((3, 11, 2), "unit", 35, 2)]
    return problems + [bent(problem, name) for problem in wide for name in NONLINEAR]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["descent", "euler", "rk4"])
def test_fixed_steps(method: str, dtype: str) -> None:
    """RK4 has four evaluations per step: four times the rounding."""
    for index, problem in enumerate(cases()):
        weights = random_ensemble(problem, 2, index, low=0.8, high=1.6)
        step = gentle_step(problem, weights)
        dynamics: Any = dl.GradientDescent(step)
        length: dict[str, Any] = {"steps": STEPS}
        if method != "descent":
            dynamics, length = dl.GradientFlow(method, step=step), {"time": STEPS * step}
        dataset = dl.simulate(problem.landscape, weights, dynamics, dtype=dtype, **length)
        assert dataset["weights"].dtype == dtype
        assert dataset.status.values.tolist() == ["completed"] * 2
        assert dataset.last_step.values.tolist() == [STEPS] * 2
        name = "euler" if method == "descent" else method
        for run in range(2):
            states = problem.objective.integrate(one_run(weights, run), [step] * STEPS, name)
            error = relative_error(dataset["weights"].values[run], states[-1])
            bound = ROUNDING[dtype] * (4 if method == "rk4" else 1)
            assert error <= bound, (index, problem.activation, problem.widths)


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("runs", [1, 3])
def test_wide_and_deep_networks(runs: int, activation: str) -> None:
    """Beyond what fits into one block; the same bits for any number of threads.

    Steps of 1e-4 change little: what is compared is the sum of three gradients, whose rounding is
    some eps sqrt(d n L) <= 200 eps of their size.
    """
    for widths, n in [((40, 70, 30, 1), 37), ((150, 65, 1), 67), ((4,) * 40 + (1,), 150)]:
        problem = bent(make_problem(widths, "plain", n, seed=6), activation)
        weights = random_ensemble(problem, runs, 1, low=1.0, high=1.5)
        datasets = [
            dl.simulate(
                problem.landscape, weights, dl.GradientDescent(1e-4), steps=3, threads=threads
            )
            for threads in (1, 2, 5)
        ]
        for other in datasets[1:]:
            assert_same_bits(datasets[0], other, ("risk",))
        objective = replace(problem.objective, dtype=np.float64)
        for run in range(runs):
            start = one_run(weights, run)
            final = objective.gradient_descent(start, 1e-4, 3)[-1]
            moved = datasets[0]["weights"].values[run] - flat(start)
            scale = np.linalg.norm(final - flat(start))
            rounding = 4 * EPS * np.linalg.norm(final)  # of the weights, in each step
            error = np.linalg.norm(moved - (final - flat(start)))
            assert error <= 200 * EPS * scale + rounding, (widths, run)


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_the_last_step_is_shortened(method: str) -> None:
    """0.03 + 0.03 + 0.03 + 0.01 is exactly the time."""
    problem = bent(make_problem((3, 4, 2, 1), "plain", 7, seed=8), "gelu")
    sizes = [0.03] * 3 + [0.01]
    flow = dl.GradientFlow(method=method, step=0.03)
    dataset = dl.simulate(problem.landscape, problem.weights, flow, time=sum(sizes))
    expected = problem.objective.integrate(problem.weights, sizes, method)[-1]
    assert relative_error(dataset["weights"].values[0], expected) <= 1e-13
    assert dataset.last_step.item() == len(sizes)


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_dopri5(activation: str) -> None:
    """The error at the end is of the size of the tolerance."""
    problem = bent(make_problem((3, 4, 2, 1), "plain", 7, seed=4), activation)
    weights = random_ensemble(problem, 2, 4, low=0.5, high=1.2)
    flow = dl.GradientFlow("dopri5", rtol=1e-9, atol=1e-11)
    dataset = dl.simulate(problem.landscape, weights, flow, time=1.0)
    assert dataset.status.values.tolist() == ["completed"] * 2
    for run in range(2):
        expected = problem.objective.flow(one_run(weights, run), [0.0, 1.0])[-1]
        assert relative_error(dataset["weights"].values[run], expected) <= 1e-7


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize(
    "dynamics", [dl.GradientDescent(0.01), dl.GradientFlow(method="rk4", step=0.01)], ids=str
)
def test_single_precision_agrees_with_double(dynamics: Any, activation: str) -> None:
    """Recorded values too, relative to their largest."""
    problem = bent(make_problem((4, 5, 3, 1), "plain", 11, seed=9), activation)
    weights = random_ensemble(problem, 5, 1, low=0.6, high=1.2)
    steps = isinstance(dynamics, dl.GradientDescent)
    length: dict[str, Any] = {"steps": 30} if steps else {"time": 0.3}
    names = ("risk", "sharpness", "layer_norm", "balancedness")
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


def test_dopri5_in_single_precision() -> None:
    problem = bent(make_problem((3, 4, 2, 1), "plain", 7, seed=4), "tanh")
    flow = dl.GradientFlow(method="dopri5", rtol=1e-4, atol=1e-5)
    dataset = dl.simulate(problem.landscape, problem.weights, flow, time=1.0, dtype="float32")
    assert dataset.status.item() == "completed"
    expected = problem.objective.flow(problem.weights, [0.0, 1.0])[-1]
    assert relative_error(dataset["weights"].values[0], expected) <= 2e-3


# Orders of the integrators, on a smooth activation


def smooth_problem() -> Problem:
    """Rates of order one, so that times of order one are neither trivial nor stiff."""
    return bent(make_problem((3, 4, 2, 1), "plain", 7, seed=4), "tanh")


def slopes(steps: Sequence[float], errors: Sequence[float]) -> list[float]:
    """Of log(error) against log(step), between neighbours."""
    logs = [(np.log(h), np.log(error)) for h, error in zip(steps, errors, strict=True)]
    return [float((e2 - e1) / (h2 - h1)) for (h1, e1), (h2, e2) in pairwise(logs)]


def error_of(problem: Problem, flow: Any, time: float, exact: Array) -> float:
    dataset = dl.simulate(problem.landscape, problem.weights, flow, time=time, every=None)
    assert dataset.status.item() == "completed"
    return float(np.linalg.norm(dataset["weights"].values[0] - exact))


@pytest.mark.parametrize(("method", "order", "coarsest"), [("euler", 1, 0.005), ("rk4", 4, 0.05)])
def test_global_order(method: str, order: int, coarsest: float) -> None:
    """The error at a fixed time falls with the order-th power of the step."""
    problem = smooth_problem()
    exact = problem.objective.flow(problem.weights, [0.0, 1.0])[-1]
    steps = [coarsest / 2**k for k in range(3)]
    errors = [error_of(problem, dl.GradientFlow(method, step=h), 1.0, exact) for h in steps]
    assert slopes(steps, errors) == pytest.approx([order] * 2, abs=0.2)


def test_local_order_of_dopri5() -> None:
    """With a tolerance that accepts anything the first step is the whole flow: error ~ h^6.

    The next order is felt, since the leading coefficient is small: the slope is 6 + c h, and two
    slopes at steps of ratio 2 give 6 without c.
    """
    problem = smooth_problem()
    steps = [0.05, 0.025, 0.0125, 0.00625]
    errors = []
    for h in steps:
        exact = problem.objective.flow(problem.weights, [0.0, h])[-1]
        flow = dl.GradientFlow("dopri5", step=h, rtol=1e6, atol=1e6)
        errors.append(error_of(problem, flow, h, exact))
    measured = slopes(steps, errors)
    assert all(5.5 <= slope <= 7.5 for slope in measured)
    assert 2 * measured[-1] - measured[-2] == pytest.approx(6, abs=0.35)


def test_dopri5_follows_its_tolerance() -> None:
    """The error at a fixed time is of the size of the tolerance, and falls in proportion to it."""
    problem = smooth_problem()
    exact = problem.objective.flow(problem.weights, [0.0, 2.0])[-1]
    tolerances = [1e-4, 1e-6, 1e-8, 1e-10]
    errors = [
        error_of(problem, dl.GradientFlow("dopri5", rtol=tol, atol=tol), 2.0, exact)
        for tol in tolerances
    ]
    assert np.all(np.array(errors) <= 20 * np.array(tolerances) * np.linalg.norm(exact))
    # The power is 1 with fluctuations; over six decades they average out.
    overall = np.log(errors[-1] / errors[0]) / np.log(tolerances[-1] / tolerances[0])
    assert overall == pytest.approx(1, abs=0.25)


# How runs end


RATE, LIMIT = 0.1, 0.3


def mixed_runs(activation: str) -> tuple[Problem, list[Array]]:
    """40 runs from scales 0.1 to 4: some diverge at this rate, some fit the samples."""
    problem = bent(make_problem((3, 4, 1), "plain", 7, seed=8), activation)
    return problem, random_ensemble(problem, 40, seed=5, low=0.1, high=4.0)


def simulate_mixed(activation: str, steps: int = 40, **options: Any) -> xr.Dataset:
    problem, weights = mixed_runs(activation)
    arguments: dict[str, Any] = {"record": ("risk", "layer_norm"), "tolerance": LIMIT}
    return dl.simulate(
        problem.landscape, weights, dl.GradientDescent(RATE), steps=steps, **(arguments | options)
    )


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_statuses_and_last_steps(activation: str) -> None:
    """The risk itself is held against the tolerance: the least risk of the network is not known."""
    problem, weights = mixed_runs(activation)
    dataset = simulate_mixed(activation)
    status, last = dataset.status.values, dataset.last_step.values
    assert set(status.tolist()) == {"completed", "converged", "diverged"}
    objective = replace(problem.objective, dtype=np.float64)
    for run in range(len(status)):
        end = int(last[run])
        with np.errstate(all="ignore"):
            states = objective.gradient_descent(one_run(weights, run), RATE, end)
            risk = np.array([objective.risk(objective.unflatten(state)) for state in states])
        if status[run] == "diverged":
            assert 0 < end <= 40
            assert not risk[-1] < 1e6  # NaN, infinite or enormous
            continue
        # at the first step where it may be said
        assert np.all(risk[:end] > LIMIT * (1 - 1e-6))
        if status[run] == "converged":
            assert risk[end] <= LIMIT * (1 + 1e-6)
        else:
            assert end == 40
            assert risk[end] > LIMIT * (1 - 1e-6)


@pytest.mark.parametrize("activation", NONLINEAR)
def test_what_is_not_diverged_is_finite(activation: str) -> None:
    """Weights and risk of every run that is said to be well, even among those that overflow.

    And of a run that diverged, everything until the step before.
    """
    problem, weights = mixed_runs(activation)
    rate = 1.0 if activation == "tanh" else RATE  # features of at most one: a factor per step
    options: dict[str, Any] = {"record": ("risk", "layer_norm"), "tolerance": 1e-6}
    dataset = dl.simulate(
        problem.landscape, weights, dl.GradientDescent(rate), steps=2000, every=400, **options
    )
    diverged = np.flatnonzero(dataset.status.values == "diverged")
    assert 0 < len(diverged) < 40
    for run in range(40):
        if run in diverged:
            end = int(dataset.last_step.values[run])
            assert np.all(np.isnan(dataset["risk"].values[run, dataset["step"].values > end]))
            if end < 2:
                continue
            before = dl.simulate(
                problem.landscape,
                one_run(weights, run),
                dl.GradientDescent(rate),
                steps=end - 1,
                every=None,
                **options,
            )
            assert before.status.item() == "completed"
            assert np.isfinite(before["risk"].values).all()
            assert np.isfinite(before["weights"].values).all()
            continue
        final = dataset["weights"].values[run]
        assert np.isfinite(final).all()
        assert np.isfinite(dataset["risk"].values[run]).all()
        risk = problem.landscape.risk(problem.network.unflatten(final))
        assert dataset["risk"].values[run, -1] == pytest.approx(risk, rel=1e-12)


def test_records_after_the_end_of_a_run() -> None:
    """A diverged run has no values (NaN); a converged one keeps its last to the end."""
    dataset = simulate_mixed("gelu")
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


def test_a_coarse_grid_does_not_change_how_runs_end() -> None:
    """Convergence is looked for at every step, not at the recorded ones."""
    fine, coarse = simulate_mixed("gelu"), simulate_mixed("gelu", every=25)
    ends = simulate_mixed("gelu", every=None)
    assert coarse["step"].values.tolist() == [0, 25, 40]
    assert ends["step"].values.tolist() == [0, 40]
    for other in (coarse, ends):
        assert_same_bits(fine, other, ())
        for name in ("risk", "layer_norm"):
            expected = fine[name].sel(step=other["step"])
            # the value at the end stands for all later grid points, whatever the grid
            np.testing.assert_array_equal(other[name].values, expected.values)


@pytest.mark.parametrize(
    "dynamics",
    [dl.GradientDescent(0.01), dl.GradientFlow("rk4", step=0.1), dl.GradientFlow("dopri5")],
    ids=str,
)
def test_a_start_that_made_the_targets_has_converged(dynamics: Any) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 7, seed=8), "tanh")
    outputs = problem.objective.outputs(problem.weights)
    problem = replace(problem, y=outputs.astype(float))
    descent = isinstance(dynamics, dl.GradientDescent)
    length: dict[str, Any] = {"steps": 7} if descent else {"time": 2.0}
    dataset = dl.simulate(problem.landscape, problem.weights, dynamics, tolerance=1e-20, **length)
    assert dataset.status.item() == "converged"
    assert dataset.last_step.item() == 0
    np.testing.assert_array_equal(dataset["weights"].values[0], flat(problem.weights))
    assert np.all(dataset["risk"].values <= 1e-25)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_flows_converge(method: str) -> None:
    """From weights near those that made the targets."""
    problem = bent(make_problem((3, 4, 1), "plain", 7, seed=8), "gelu")
    problem = replace(problem, y=problem.objective.outputs(problem.weights).astype(float))
    rng = np.random.default_rng(0)
    weights = [layer + 0.2 * rng.standard_normal((9, *layer.shape)) for layer in problem.weights]
    flow = dl.GradientFlow(method=method, step=0.01)
    dataset = dl.simulate(problem.landscape, weights, flow, time=40.0, tolerance=1e-3, every=None)
    assert dataset.status.values.tolist() == ["converged"] * 9
    assert np.all(dataset["risk"].values[:, -1] <= 1.001e-3)
    layers = problem.network.unflatten(dataset["weights"].values)
    for run in range(9):
        risk = problem.landscape.risk(one_run(layers, run))
        assert risk == pytest.approx(dataset["risk"].values[run, -1], rel=1e-11)


def test_a_flow_with_too_large_a_step_diverges() -> None:
    problem, weights = mixed_runs("gelu")
    flow = dl.GradientFlow(method="rk4", step=0.3)
    dataset = dl.simulate(problem.landscape, weights, flow, time=30.0)
    status = dataset.status.values
    assert "diverged" in status
    runs = np.flatnonzero(status == "diverged")
    assert np.all(dataset.last_step.values[runs] <= 100)
    assert np.all(np.isnan(dataset["risk"].values[runs, -1]))


# Records


def recorded_case(
    activation: str, readout: str = "plain", samples: bool | None = None
) -> tuple[Problem, dl.Landscape, Problem]:
    """A problem, its landscape with test data, and the problem of the test data."""
    widths = (3, 4, 2, 3) if readout != "plain" else (3, 4, 2, 1)
    problem = bent(make_problem(widths, readout, 9, seed=4), activation)
    rng = np.random.default_rng(1)
    tests = replace(problem, X=rng.standard_normal((5, 3)), y=rng.standard_normal(5))
    regression = dl.Regression(problem.X, problem.y, tests.X, tests.y)
    return problem, dl.Landscape(problem.network, regression, samples=samples), tests


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("readout", ["plain", "any"])
@pytest.mark.parametrize(("dynamics", "dim"), FIXED_STEPS, ids=str)
def test_records_are_of_the_weights_at_their_step(
    dynamics: Any, dim: str, readout: str, activation: str
) -> None:
    """The weights after s steps are the final ones of a run of s steps."""
    problem, landscape, tests = recorded_case(activation, readout)
    weights = random_ensemble(problem, 3, seed=2, low=0.5, high=1.5)

    def simulate(steps: int, **options: Any) -> xr.Dataset:
        length = {"steps": steps} if dim == "step" else {"time": steps * 0.01}
        return dl.simulate(landscape, weights, dynamics, **length, **options)

    dataset = simulate(8, record=WITHOUT_MAP, every=4)
    assert dataset[dim].size == 3
    for index, steps in enumerate((0, 4, 8)):
        states = weights
        if steps:
            shorter = simulate(steps, record=())
            states = problem.network.unflatten(shorter["weights"].values)
        for run in range(3):
            layers = one_run(states, run)
            sharpness = landscape.sharpness(layers).value
            expected = {
                "risk": problem.objective.risk(layers),
                "test_risk": tests.objective.risk(layers),
                "sharpness": sharpness,
                "lowest_eigenvalue": landscape.sharpness(layers, which="lowest").value,
                **{name: getattr(reference, name)(layers) for name in WITHOUT_MAP[4:]},
            }
            for name in WITHOUT_MAP:
                eigenvalue = name in ("sharpness", "lowest_eigenvalue")
                np.testing.assert_allclose(
                    dataset[name].isel({"run": run, dim: index}).values,
                    np.asarray(expected[name]).astype(float),
                    # an eigenvalue is within its tolerance of 1e-8 |H|; singular vectors within
                    # eps over the gap of singular values
                    rtol=1e-7 if eigenvalue else 1e-10,
                    atol=1e-7 * abs(sharpness) if eigenvalue else 1e-10,
                    err_msg=f"{name} of run {run} after {steps} steps",
                )


@pytest.mark.parametrize(("rtol", "atol"), [(1e-5, 1e-7), (1e-8, 1e-10)])
def test_adaptive_steps_and_what_lies_between_them(rtol: float, atol: float) -> None:
    """The continuous solution is as good as the steps, up to a factor for its lower order."""
    problem, landscape, tests = recorded_case("tanh")
    flow = dl.GradientFlow("dopri5", rtol=rtol, atol=atol)
    names = ("risk", "test_risk", "layer_norm")
    dataset = dl.simulate(landscape, problem.weights, flow, time=1.0, record=names, every=0.25)
    times = list(dataset["time"].values)
    assert times == [0, 0.25, 0.5, 0.75, 1]
    for index, state in enumerate(problem.objective.flow(problem.weights, times)):
        layers = problem.network.unflatten(state)
        exact = {
            "risk": problem.objective.risk(layers),
            "test_risk": tests.objective.risk(layers),
            "layer_norm": reference.layer_norm(layers),
        }
        for name in names:
            values = dataset[name].isel(run=0)
            error = np.max(np.abs(values.isel(time=index).values - exact[name]))
            assert error <= 200 * rtol * np.max(np.abs(values.values)), (name, times[index])


@pytest.mark.parametrize("activation", [*NONLINEAR, "identity"])
def test_what_is_recorded_by_default(activation: str) -> None:
    """The distance is one of linear maps."""
    problem = make_problem((3, 4, 1), "plain", 7, seed=1).with_activation(activation)
    problem = replace(problem, samples=True)
    always = {"weights", "status", "last_step"}
    default = {"risk"} if activation != "identity" else {"risk", "distance"}
    descent = dl.GradientDescent(0.01)
    dataset = dl.simulate(problem.landscape, problem.weights, descent, steps=2)
    assert set(dataset.data_vars) == always | default
    assert dataset["step"].values.tolist() == [0, 1, 2]
    assert json.loads(dataset.network.item())["activation"] == activation
    swept = dl.sweep(problem.landscape, dl.init.Gaussian(0.5), descent, seeds=2, steps=2)
    assert set(swept.data_vars) == always | default


def test_the_distance_is_one_of_linear_networks() -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 7, seed=1), "gelu")
    descent = dl.GradientDescent(0.01)
    for record in (("distance",), ("risk", "distance"), "distance"):
        with pytest.raises(ValueError, match=r"\brecord\b.*distance"):
            dl.simulate(problem.landscape, problem.weights, descent, steps=2, record=record)
        with pytest.raises(ValueError, match=r"\brecord\b.*distance"):
            dl.sweep(
                problem.landscape,
                dl.init.Gaussian(0.5),
                descent,
                seeds=2,
                steps=2,
                record=record,
            )


def test_the_test_risk_needs_test_data() -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 7, seed=1), "gelu")
    descent = dl.GradientDescent(0.01)
    with pytest.raises(ValueError, match=r"\brecord\b.*test"):
        dl.simulate(problem.landscape, problem.weights, descent, steps=2, record=("test_risk",))


def test_the_test_data_are_only_looked_at() -> None:
    problem, landscape, _ = recorded_case("gelu")
    descent = dl.GradientDescent(0.01)
    one = dl.simulate(problem.landscape, problem.weights, descent, steps=9)
    other = dl.simulate(landscape, problem.weights, descent, steps=9, record=("test_risk", "risk"))
    assert_same_bits(one, other, ("risk",))


@pytest.mark.parametrize("activation", NONLINEAR)
def test_a_sweep_is_its_runs(activation: str) -> None:
    problem = make_problem((3, 4, 3, 1), "plain", 7, seed=1).with_activation(activation)
    rates, scales = [0.01, 0.1], [0.5, 1.0, 2.0]
    arguments: dict[str, Any] = {"steps": 20, "record": ("risk", "sharpness"), "tolerance": 1e-4}
    swept = dl.sweep(
        problem.landscape,
        dl.init.Gaussian(scales),
        dl.GradientDescent(rates),
        seeds=3,
        **arguments,
    )
    assert json.loads(swept.network.item())["activation"] == activation
    for scale, rate, seed in [(0.5, 0.01, 0), (1.0, 0.1, 2), (2.0, 0.1, 1)]:
        weights = dl.init.Gaussian(scale).sample(problem.network, seed)
        alone = dl.simulate(
            problem.landscape, weights, dl.GradientDescent(rate), every=None, **arguments
        )
        cell = swept.sel(scale=scale, learning_rate=rate, seed=seed)
        for name in ("risk", "sharpness", "weights", "status", "last_step"):
            np.testing.assert_array_equal(cell[name].values, alone[name].values[0], err_msg=name)


# Bits


RECORD = tuple(name for name in WITHOUT_TEST_DATA if name != "distance")
DIRECT = tuple(name for name in RECORD if name not in ("sharpness", "lowest_eigenvalue"))
SIZES = [1, 7, 33]  # below, across and above what a processor holds at once

# Runs diverge within a few steps or converge after very different numbers of them, and others take
# their places.
CASES: dict[str, tuple[Any, dict[str, Any], float]] = {
    "descent": (dl.GradientDescent(0.1), {"steps": 30, "every": 15}, 4.0),
    "euler": (dl.GradientFlow("euler", step=0.1), {"time": 2.0, "every": 10}, 4.0),
    "rk4": (dl.GradientFlow("rk4", step=0.1), {"time": 2.0, "every": 10}, 4.0),
    "dopri5": (dl.GradientFlow("dopri5", rtol=1e-5, atol=1e-7), {"time": 1.0, "every": 0.5}, 1.5),
}


def bits_problem(activation: str, n: int = 10) -> Problem:
    widths = (3, 4, 3, 1) if activation == "tanh" else (3, 4, 1)
    problem = bent(make_problem(widths, "plain", n, seed=8), activation)
    return replace(problem, samples=True)


def simulate_case(problem: Problem, case: str, weights: Any, **options: Any) -> xr.Dataset:
    dynamics, length, _ = CASES[case]
    arguments = {"record": RECORD, "tolerance": 0.3, **length}
    return dl.simulate(problem.landscape, weights, dynamics, **(arguments | options))


def ensemble(problem: Problem, case: str, runs: int) -> Any:
    return random_ensemble(problem, runs, seed=5, low=0.1, high=CASES[case][2])


def assert_same_bits(one: xr.Dataset, other: xr.Dataset, names: tuple[str, ...]) -> None:
    for name in (*names, "weights", "status", "last_step"):
        first, second = one[name].values, other[name].values
        assert first.dtype == second.dtype or name == "status"
        same = np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert same, f"{name} differs"


@pytest.mark.parametrize("runs", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_any_number_of_threads(activation: str, case: str, dtype: str, runs: int) -> None:
    problem = bits_problem(activation)
    weights = ensemble(problem, case, runs)
    one = simulate_case(problem, case, weights, dtype=dtype, threads=1)
    for threads in (2, 3, None):
        many = simulate_case(problem, case, weights, dtype=dtype, threads=threads)
        assert_same_bits(one, many, RECORD)
    if runs == 33 and activation == "gelu":
        expected = {"completed", "converged"} | (set() if case == "dopri5" else {"diverged"})
        assert set(one.status.values.tolist()) == expected


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("case", CASES)
def test_any_order(case: str, activation: str) -> None:
    problem = bits_problem(activation, n=7)
    weights = ensemble(problem, case, 33)
    order = np.random.default_rng(0).permutation(33)
    straight = simulate_case(problem, case, weights)
    shuffled = simulate_case(problem, case, some_runs(weights, order))
    assert_same_bits(straight.isel(run=order), shuffled, RECORD)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("activation", [*NONLINEAR, "identity"])
def test_any_split(activation: str, case: str, dtype: str) -> None:
    """Parts of any size, down to one by one, and a run among copies of another."""
    problem = bits_problem(activation, n=13)
    weights = ensemble(problem, case, 21)
    options: dict[str, Any] = {"dtype": dtype}
    whole = simulate_case(problem, case, weights, **options)
    for size in (1, 2, 5, 16):
        for start in range(0, 21, size):
            part = slice(start, min(start + size, 21))
            split = simulate_case(problem, case, some_runs(weights, part), **options)
            assert_same_bits(whole.isel(run=part), split, RECORD)
    places = [4] * 9 + [20] + [4] * 9
    repeated = simulate_case(problem, case, some_runs(weights, places), **options)
    assert_same_bits(whole.isel(run=places), repeated, RECORD)


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize("case", CASES)
def test_recording_is_only_looking(case: str, activation: str) -> None:
    """Nothing recorded, little or much, often or only at the ends."""
    problem = bits_problem(activation)
    weights = ensemble(problem, case, 17)
    full = simulate_case(problem, case, weights)
    for record in ((), ("risk",), ("sharpness", "alignment"), RECORD[::-1]):
        assert_same_bits(full, simulate_case(problem, case, weights, record=record), record)
    for every in (0.125, 1.0, None) if case == "dopri5" else (1, 7, None):
        other = simulate_case(problem, case, weights, every=every)
        assert_same_bits(full, other, ())
        for place in (0, -1):
            for name in DIRECT:
                first, second = full[name].values[:, place], other[name].values[:, place]
                assert np.array_equal(first, second, equal_nan=True), (name, every)


# Linear networks through their samples


PATHS: dict[str, tuple[Any, dict[str, Any]]] = {
    "descent": (dl.GradientDescent(0.02), {"steps": 60, "every": 12}),
    "euler": (dl.GradientFlow("euler", step=0.02), {"time": 1.2, "every": 12}),
    "rk4": (dl.GradientFlow("rk4", step=0.05), {"time": 2.0, "every": 8}),
    "dopri5": (dl.GradientFlow("dopri5", rtol=1e-6, atol=1e-8), {"time": 2.0, "every": 0.25}),
}


@pytest.mark.parametrize("case", PATHS)
@pytest.mark.parametrize(
    ("widths", "readout", "n"),
    [
        ((3, 4, 3, 1), "plain", 10),
        ((4, 2, 5, 3), "any", 7),
        ((5, 3, 1), "plain", 3),
        ((3, 1), "plain", 9),
    ],
)
def test_the_identity_takes_the_path_of_a_linear_network(
    widths: tuple[int, ...], readout: str, n: int, case: str
) -> None:
    """Everything to 1e-10 of its largest value, and how the runs end exactly.

    The steps of the adaptive flow are of sizes that the rounding of the error estimate moves by
    as little as that. Eigenvalues are found within 1e-8 of the largest.
    """
    dynamics, length = PATHS[case]
    linear = make_problem(widths, readout, n, seed=3)
    rng = np.random.default_rng(2)
    regression = dl.Regression(
        linear.X, linear.y, rng.standard_normal((5, widths[0])), rng.standard_normal(5)
    )
    weights = random_ensemble(linear, 9, seed=7, low=0.2, high=1.0)
    names = tuple(
        name for name in EVERYTHING if len(widths) > 2 or name not in ("alignment", "rank_one_gap")
    )
    datasets = [
        dl.simulate(
            dl.Landscape(linear.network, regression, samples=samples),
            weights,
            dynamics,
            record=names,
            **length,
        )
        for samples in (None, True)
    ]
    for name in ("status", "last_step"):
        np.testing.assert_array_equal(datasets[0][name].values, datasets[1][name].values)
    for name in (*names, "weights"):
        one, other = (dataset[name].values for dataset in datasets)
        scale = np.max(np.abs(one))
        rounding = 2e-8 if name in ("sharpness", "lowest_eigenvalue") else 1e-10
        if name == "lowest_eigenvalue":
            scale = np.max(np.abs(datasets[0]["sharpness"].values))
        np.testing.assert_allclose(other, one, rtol=0, atol=rounding * scale, err_msg=name)


@pytest.mark.parametrize("case", ["descent", "rk4"])
def test_the_identity_converges_as_a_linear_network(case: str) -> None:
    """The excess over the least risk is held against the tolerance, on both paths."""
    dynamics, _ = PATHS[case]
    linear = make_problem((3, 4, 1), "plain", 10, seed=8)
    weights = random_ensemble(linear, 9, seed=3, low=0.5, high=1.0)
    assert linear.regression.minimum_risk > 0.01
    length: dict[str, Any] = {"steps": 3000} if case == "descent" else {"time": 60.0}
    datasets = [
        dl.simulate(
            linear.with_activation("identity", samples).landscape,
            weights,
            dynamics,
            tolerance=1e-5,
            every=None,
            **length,
        )
        for samples in (None, True)
    ]
    assert datasets[0].status.values.tolist() == ["converged"] * 9
    for name in ("status", "last_step"):
        np.testing.assert_array_equal(datasets[0][name].values, datasets[1][name].values)
    for name in ("risk", "distance", "weights"):
        one, other = (dataset[name].values for dataset in datasets)
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-10 * np.max(np.abs(one)))
