"""Adaptive steps where tolerances are loose or the start is stiff, and how a run gives up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

import deeplinear as dl
from engines import DTYPES, NAMES
from strategies import flat

pytestmark = pytest.mark.core

Array = NDArray[Any]
ENGINES = pytest.mark.parametrize("engine", NAMES)


def problem_of(
    scale: float, activation: str = "identity", samples: bool = False
) -> tuple[dl.Landscape, list[Array]]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 5))
    network = dl.Network((5, 5, 5, 1), activation=activation)
    landscape = dl.Landscape(network, dl.Regression(X, X @ np.ones(5)), samples=samples)
    return landscape, dl.init.Gaussian(scale).sample(network, 0)


def zero_risk(landscape: dl.Landscape) -> float:
    return float(np.mean(landscape.regression.y**2))


@ENGINES
@pytest.mark.parametrize(
    ("scale", "rtol", "time", "share"),
    [
        (1, 1e3, 1.0, 1e-6),
        (3, 1e-2, 1.0, 1e-6),
        (3, 1e3, 1.0, 1e-6),
        (10, 1e-2, 1e-3, 30),
        (10, 0.1, 1e-3, 30),
        (10, 1e3, 1e-3, 30),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_loose_tolerances(
    dtype: str, scale: float, rtol: float, time: float, share: float, engine: str
) -> None:
    """The flow goes down from any start, however loose the tolerances; in time to a minimizer."""
    landscape, weights = problem_of(scale)
    flow = dl.GradientFlow("dopri5", rtol=rtol, atol=1e-3 * rtol, max_steps=50_000)
    run = dl.simulate(
        landscape, weights, flow, time=time, every=None, dtype=dtype, engine=engine, threads=1
    )
    assert run.status.item() == "completed"
    share = max(share, 64 * float(np.finfo(dtype).eps))
    assert run.risk.values[0, -1] <= share * zero_risk(landscape) * (1 + 1e-6)
    assert np.all(np.isfinite(run.weights))


@pytest.mark.parametrize(
    ("activation", "samples"),
    [("identity", False), ("identity", True), ("gelu", True), ("tanh", True), ("relu", True)],
)
def test_any_start_and_tolerance(activation: str, samples: bool) -> None:
    """A flow by dopri5 does not diverge, and its risk does not end above its start's."""
    for scale, dtype in ((1.0, "float64"), (30.0, "float32"), (1e4, "float64")):
        landscape, weights = problem_of(scale, activation, samples)
        for rtol in (1e-3, 0.3, 1e2):
            flow = dl.GradientFlow("dopri5", rtol=rtol, atol=1e-3 * rtol, max_steps=5000)
            run = dl.simulate(
                landscape, weights, flow, time=1.0, every=None, dtype=dtype, threads=1
            )
            assert run.status.item() in ("completed", "max_steps")
            final = landscape.network.unflatten(run.weights.values[0].astype(float))
            assert landscape.risk(final) <= landscape.risk(weights)


@ENGINES
@pytest.mark.parametrize("scale", [10.0, 1e3])
def test_a_stiff_start_follows_the_flow(scale: float, engine: str) -> None:
    """The risk falls by ten orders and more at once; against an implicit method of SciPy."""
    landscape, weights = problem_of(scale)
    network, time = landscape.network, 1e-3 * (10 / scale) ** 4  # the sharpness goes with scale^4
    flow = dl.GradientFlow("dopri5", rtol=1e-9, atol=1e-9)
    run = dl.simulate(landscape, weights, flow, time=time, every=None, engine=engine, threads=1)
    assert run.status.item() == "completed"

    def field(_: float, vector: Array) -> Array:
        return -flat(landscape.gradient(network.unflatten(vector)))

    def jacobian(_: float, vector: Array) -> Array:
        return -np.asarray(landscape.hessian(network.unflatten(vector)))

    exact = solve_ivp(
        field, (0, time), flat(weights), "Radau", rtol=1e-10, atol=1e-10, jac=jacobian
    ).y[:, -1]
    error = np.linalg.norm(run.weights.values[0] - exact) / np.linalg.norm(exact)
    assert error <= 1e-5


@ENGINES
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_steps(dtype: str, engine: str) -> None:
    landscape, weights = problem_of(1.0)
    options: dict[str, Any] = {"time": 2.0, "every": 0.25, "dtype": dtype, "engine": engine}
    options["threads"] = 1

    def run(max_steps: int, **changed: Any) -> Any:
        flow = dl.GradientFlow("dopri5", rtol=1e-5, atol=1e-6, max_steps=max_steps)
        return dl.simulate(landscape, weights, flow, **{**options, **changed})

    whole = run(10_000)
    assert whole.attrs["max_steps"] == 10_000
    assert whole.status.item() == "completed"
    steps = int(whole.last_step.item())
    assert steps > 20
    before = landscape.risk(weights)
    for most in (1, 7, 20):
        part = run(most)
        assert part.status.item() == "max_steps"
        assert 0 <= part.last_step.item() <= most
        final = landscape.network.unflatten(part.weights.values[0].astype(float))
        assert landscape.risk(final) <= before * (1 + 1e-6)  # rounded to float32
        if part.last_step.item() > 0:
            assert landscape.risk(final) < before
        # its records are those of the whole run as far as it came, and NaN from there on
        known = np.isfinite(part.risk.values[0])
        assert not known[-1]
        assert np.all(np.diff(known.astype(int)) <= 0)
        np.testing.assert_array_equal(part.risk.values[0, known], whole.risk.values[0, known])
        before = landscape.risk(final)
    tried = next(n for n in range(steps, 2 * steps) if run(n).status.item() == "completed")
    assert run(tried - 1).status.item() == "max_steps"
    np.testing.assert_array_equal(run(tried).weights, whole.weights)
    # converged before
    assert run(tried, tolerance=1e3).status.item() == "converged"


def test_a_sweep_over_max_steps() -> None:
    landscape, _ = problem_of(1.0)
    flow = dl.GradientFlow("dopri5", max_steps=[5, 1_000_000])
    runs = dl.sweep(landscape, dl.init.Gaussian(0.5), flow, seeds=9, time=1.0, progress=False)
    assert runs.status.dims == ("max_steps", "seed")
    assert runs.max_steps.values.tolist() == [5, 1_000_000]
    assert np.all(runs.status.sel(max_steps=5) == "max_steps")
    assert np.all(runs.status.sel(max_steps=1_000_000) == "completed")
    assert np.all(runs.last_step.sel(max_steps=5) <= 5)
    # a run depends on nothing beside it
    alone = dl.sweep(
        landscape,
        dl.init.Gaussian(0.5),
        dl.GradientFlow("dopri5"),
        seeds=9,
        time=1.0,
        progress=False,
    )
    np.testing.assert_array_equal(runs.weights.sel(max_steps=1_000_000), alone.weights)


@ENGINES
def test_what_would_go_on_for_ever_ends(engine: str) -> None:
    """At a minimizer steps are short for ever, and the time that is left is not."""
    landscape, weights = problem_of(0.5)
    flow = dl.GradientFlow("dopri5", rtol=1e-4, atol=1e-5, max_steps=3000)
    run = dl.simulate(landscape, weights, flow, time=1e30, every=None, engine=engine, threads=1)
    assert run.status.item() == "max_steps"
    final = landscape.network.unflatten(run.weights.values[0])
    assert landscape.risk(final) < 1e-6 * zero_risk(landscape)


@ENGINES
def test_stiff(engine: str) -> None:
    """A curvature that grows to 1e15 along a direction that the weights have 1e-300 of: steps are
    too long for it by all digits of the time before that is seen."""
    X = np.array([[1e-9, 0], [0, 1]])
    landscape = dl.Landscape(dl.Network((2, 1, 1)), dl.Regression(X, np.array([1e9, 0])))
    weights = [np.array([[1e-9, 1e-300]]), np.array([[1e-9]])]
    flow = dl.GradientFlow("dopri5", step=1.0, rtol=10, atol=1e-12, max_steps=10_000)
    run = dl.simulate(landscape, weights, flow, time=1e4, every=None, engine=engine, threads=1)
    assert run.status.item() == "stiff"
    assert np.all(np.isfinite(run.weights))
    final = landscape.network.unflatten(run.weights.values[0])
    assert landscape.risk(final) < landscape.risk(weights)
    assert np.isnan(run.risk.values[0, -1])


@pytest.mark.parametrize("size", [10, 100, 1000])
@pytest.mark.parametrize("samples", [False, True])
def test_rounding_is_no_rise(samples: bool, size: float) -> None:
    """Layers that cancel: in float32 the risk is off by some eps |W_2| |W_1|, and hardly falls."""
    rng = np.random.default_rng(0)
    regression = dl.Regression(rng.standard_normal((30, 4)), rng.standard_normal(30))
    upper, lower = rng.standard_normal((1, 6)), rng.standard_normal((6, 4))
    lower -= upper.T @ (upper @ lower) / (upper @ upper.T)
    landscape = dl.Landscape(dl.Network((4, 6, 1)), regression, samples=samples)
    weights = [size * lower, size * upper]
    time = 3000 / landscape.sharpness(weights).value
    steps = {}
    for dtype in ("float32", "float64"):
        flow = dl.GradientFlow("dopri5", max_steps=100_000)
        run = dl.simulate(landscape, weights, flow, time=time, every=None, dtype=dtype)
        assert run.status.item() == "completed"
        steps[dtype] = run.last_step.item()
    assert steps["float32"] < 2 * steps["float64"]


def test_a_gradient_that_overflows_at_the_start() -> None:
    """The risk is 1e30, and the gradient 2e40: too large for float32 alone."""
    landscape = dl.Landscape(
        dl.Network((1, 1, 1)), dl.Regression(np.array([[1.0]]), np.array([0.0]))
    )
    weights = [np.array([[1e-10]]), np.array([[1e25]])]
    flow = dl.GradientFlow("dopri5", rtol=1e-6, atol=1e-9, max_steps=5000)
    status = {
        dtype: dl.simulate(landscape, weights, flow, time=1.0, every=None, dtype=dtype)
        for dtype in ("float32", "float64")
    }
    assert status["float32"].status.item() == "diverged"
    assert status["float32"].last_step.item() == 0
    assert status["float64"].status.item() in ("completed", "max_steps")


def test_every_status_has_a_sentence() -> None:
    assert list(dl.STATUS)[:4] == ["unfinished", "completed", "converged", "diverged"]
    for status, sentence in dl.STATUS.items():
        assert len(sentence) > 20
        if status != "unfinished":  # of `Interrupted` alone
            assert f'"{status}"' in str(dl.simulate.__doc__), status


# Ends of the range of times, tolerances and steps


def four_layers() -> tuple[dl.Landscape, list[Array]]:
    network = dl.Network((5,) * 4 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=5, noise=1.0, seed=0))
    return landscape, dl.init.Gaussian(0.5).sample(network, 0)


@ENGINES
@pytest.mark.parametrize("dtype", DTYPES)
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


@ENGINES
@pytest.mark.parametrize("dtype", DTYPES)
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
