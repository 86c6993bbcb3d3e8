"""Runs that go on are, to the bit, those that nobody stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from strategies import bent, make_problem, random_ensemble

pytestmark = pytest.mark.core

RULES = (
    {},
    {"momentum": 0.9},
    {"momentum": 0.8, "nesterov": True},
    {"momentum": 0.7, "weight_decay": 0.01},
)
NETWORKS = (
    ("ensemble", (4, 5, 3, 1), "identity"),
    ("ensemble", (4, 5, 3, 1), "gelu"),
    ("wide", (4, 5, 3, 1), "identity"),
    ("wide", (60, 110, 100, 1), "identity"),  # two steps wait to be written
    ("wide", (40, 200, 220, 1), "identity"),  # four
)


def same(one: xr.Dataset, other: xr.Dataset, axis: str) -> None:
    """Hold the joined runs against those of one piece; records at places of one piece alone."""
    assert np.array_equal(one.weights, other.weights)
    assert np.array_equal(one.last_step, other.last_step)
    assert np.array_equal(one.status, other.status)
    joined = other.sel({axis: one[axis]})
    for name in ("risk", "sharpness", "recorded_weights"):
        if name in one:
            assert np.array_equal(one[name], joined[name], equal_nan=True), name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("engine", "widths", "activation"), NETWORKS)
def test_a_thousand_steps_in_three_pieces(engine, widths, activation, rule, dtype):
    problem = bent(make_problem(widths, "plain", 30, seed=3), activation)
    steps = (1, 499, 500) if widths[0] == 4 else (1, 9, 10)
    start = random_ensemble(problem, 2 if engine == "wide" else 11, seed=2, low=0.3, high=0.5)
    descent, landscape = dl.GradientDescent(0.01, **rule), problem.landscape
    options: dict[str, Any] = {"engine": engine, "dtype": dtype, "threads": 2, "record": ("risk",)}
    whole = dl.simulate(landscape, start, descent, steps=sum(steps), every=steps[1], **options)
    part = dl.simulate(landscape, start, descent, steps=steps[0], every=steps[1], **options)
    for more in steps[1:]:
        part = dl.resume(landscape, part, steps=more, every=steps[1], threads=2)
    assert np.isfinite(whole.risk).all()
    same(whole, part, "step")
    assert part.attrs == whole.attrs


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize(("engine", "widths", "activation"), NETWORKS)
def test_flows_of_fixed_steps(engine, widths, activation, method):
    problem = bent(make_problem(widths, "plain", 30, seed=3), activation)
    start = random_ensemble(problem, 3, seed=2, low=0.3, high=0.5)
    flow, landscape = dl.GradientFlow(method, step=1 / 64), problem.landscape
    options: dict[str, Any] = {"engine": engine, "threads": 2}
    whole = dl.simulate(landscape, start, flow, time=0.5, every=4, record=("risk",), **options)
    part = dl.simulate(landscape, start, flow, time=1 / 64, every=4, record=("risk",), **options)
    for more in (7 / 64, 24 / 64):
        part = dl.resume(landscape, part, time=more, every=4)
    same(whole, part, "time")


def test_adaptive_flows_begin_anew_from_their_weights():
    problem = make_problem((4, 5, 3, 1), "plain", 30, seed=3)
    flow, landscape = dl.GradientFlow("dopri5", rtol=1e-9, atol=1e-11), problem.landscape
    whole = dl.simulate(landscape, problem.weights, flow, time=2.0, every=0.5)
    part = dl.simulate(landscape, problem.weights, flow, time=1.0, every=0.5)
    joined = dl.resume(landscape, part, time=1.0)
    assert joined.time.values.tolist() == whole.time.values.tolist() == [0, 0.5, 1.0, 1.5, 2.0]
    assert np.allclose(joined.weights, whole.weights, rtol=1e-6)


def test_sweeps_go_on_and_runs_that_ended_stay(tmp_path):
    problem = make_problem((4, 5, 3, 1), "plain", 30, seed=3)
    landscape = problem.landscape
    law = dl.init.Gaussian([0.4, 0.6])
    descent = dl.GradientDescent([0.002, 0.05, 5.0], momentum=[0.0, 0.5])
    options: dict[str, Any] = {
        "seeds": 3, "every": 50, "tolerance": 1e-5, "progress": False,
        "record": ("risk", "sharpness", "singular_values", "eigenvalues:2", "weights"),
    }  # fmt: skip
    whole = dl.sweep(landscape, law, descent, steps=300, **options)
    part = dl.sweep(landscape, law, descent, steps=150, **options)
    assert set(np.unique(part.status)) == {"completed", "converged", "diverged"}
    part.to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    part = xr.load_dataset(tmp_path / "part.nc", engine="h5netcdf")
    joined = dl.resume(landscape, part, steps=150)
    assert joined.status.dims == ("scale", "learning_rate", "momentum", "seed")
    for name in ("risk", "sharpness", "singular_values", "eigenvalues", "recorded_weights"):
        assert joined[name].dims == whole[name].dims
        assert np.array_equal(joined[name], whole[name], equal_nan=True), name
    same(whole, joined, "step")


def test_the_grid_of_records_does_not_shift():
    problem = make_problem((4, 5, 3, 1), "plain", 30, seed=3)
    part = dl.simulate(
        problem.landscape, problem.weights, dl.GradientDescent(0.01), steps=25, every=10
    )
    joined = dl.resume(problem.landscape, part, steps=20)
    assert joined.step.values.tolist() == [0, 10, 20, 25, 30, 40, 45]
    ends = dl.resume(problem.landscape, joined, steps=5, every=None, record=("risk", "sharpness"))
    assert ends.step.values.tolist()[-2:] == [45, 50]
    assert np.isnan(ends.sharpness.values[0, :-1]).all()
    assert np.isfinite(ends.sharpness.values[0, -1])


def test_what_cannot_go_on():
    problem = make_problem((40, 200, 220, 1), "plain", 30, seed=3)
    landscape, descent = problem.landscape, dl.GradientDescent(0.001)
    part = dl.simulate(
        landscape, problem.weights, descent, steps=3, engine="wide", keep_state=False
    )
    with pytest.raises(ValueError, match=r"must hold the variable 'state'.*keep_state=True"):
        dl.resume(landscape, part, steps=1)
    with pytest.raises(ValueError, match="time must be None for gradient descent"):
        dl.resume(landscape, part, time=1.0)
    with pytest.raises(ValueError, match="must be what simulate or a sweep returned; 'weights'"):
        dl.resume(landscape, part.drop_vars("weights"), steps=1)
    other = make_problem((40, 200, 1), "plain", 30, seed=3).landscape
    with pytest.raises(ValueError, match="network, which has 2 layers; got 3"):
        dl.resume(other, part, steps=1)
    fast = dl.simulate(landscape, problem.weights, dl.GradientDescent(1e6), steps=9)
    with pytest.raises(ValueError, match="a run that completed; got 1 diverged"):
        dl.resume(landscape, fast, steps=1)
