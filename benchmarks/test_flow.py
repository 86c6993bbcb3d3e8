"""Gradient flow: Runge-Kutta steps of an ensemble, and adaptive flows to a fixed time."""

from __future__ import annotations

import numpy as np
import pytest

from .baselines import ADAPTIVE_FLOW, RUNGE_KUTTA
from .problems import BATCH, SMALL

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
TIME, RTOL, ATOL = 200.0, 1e-6, 1e-9
FLOW = {
    "work": f"adaptive flow to time {TIME:.0f}, {BATCH.name}, batch of {BATCH.runs}",
    "dtype": "float64",
    "unit": "run",
    "units": BATCH.runs,
    "amount": TIME,
}


@DTYPES
def test_runge_kutta_ours(compare, deeplinear, dtype, threads):
    step = SMALL.learning_rate
    run = simulation(
        deeplinear, SMALL, deeplinear.GradientFlow(method="rk4", step=step), dtype, threads
    )
    compare(lambda steps: run(steps * step), threads=threads, **runge_kutta_work(dtype))


@DTYPES
@pytest.mark.parametrize("technique", RUNGE_KUTTA)
def test_runge_kutta_baseline(compare, dtype, technique):
    job = RUNGE_KUTTA[technique].prepare(SMALL, dtype)
    compare(job.run, technique=technique, **runge_kutta_work(dtype))


def test_adaptive_ours(compare, deeplinear, threads):
    dynamics = deeplinear.GradientFlow(method="dopri5", rtol=RTOL, atol=ATOL)
    run = simulation(deeplinear, BATCH, dynamics, "float64", threads)
    assert np.all(run(TIME).status == "completed")
    compare(run, threads=threads, **FLOW)


@pytest.mark.parametrize("technique", ADAPTIVE_FLOW)
def test_adaptive_baseline(compare, technique):
    job = ADAPTIVE_FLOW[technique].prepare(BATCH, RTOL, ATOL)
    job.run(0.1)  # compiles
    compare(job.run, technique=technique, rounds=3, **FLOW)


def simulation(deeplinear, problem, dynamics, dtype, threads):
    X, y = problem.data()
    landscape = deeplinear.Landscape(
        deeplinear.Network(widths=problem.widths), deeplinear.Regression(X, y)
    )
    weights = problem.weights(dtype)

    def run(time):
        return deeplinear.simulate(
            landscape,
            weights,
            dynamics,
            time=time,
            record=("risk",),
            every=None,
            dtype=dtype,
            threads=threads,
        )

    return run


def runge_kutta_work(dtype: str) -> dict[str, object]:
    return {
        "work": f"Runge-Kutta step, {SMALL.name}",
        "dtype": dtype,
        "unit": "run and step",
        "units": SMALL.runs,
    }
