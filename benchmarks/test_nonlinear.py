"""GELU networks: gradient steps of an ensemble, and one sharpness."""

from __future__ import annotations

import numpy as np
import pytest

from .baselines import GELU_GRADIENT_DESCENT, GELU_SHARPNESS
from .problems import GELU, SINGLE_GELU

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
TOLERANCE = 1e-6
SHARPNESS = {
    "work": f"sharpness to {TOLERANCE}, GELU, {SINGLE_GELU.name}, n={SINGLE_GELU.samples}",
    "dtype": "float64",
    "unit": "network",
    "units": 1,
}


@DTYPES
def test_gradient_descent_ours(compare, deeplinear, dtype, threads):
    landscape = gelu_landscape(deeplinear, GELU)
    weights = GELU.weights(dtype)
    dynamics = deeplinear.GradientDescent(GELU.learning_rate)

    def run(steps):
        return deeplinear.simulate(
            landscape,
            weights,
            dynamics,
            steps=steps,
            record=("risk",),
            every=None,
            dtype=dtype,
            threads=threads,
        )

    assert np.all(run(2).status == "completed")
    compare(run, threads=threads, **gradient_descent_work(dtype))


@DTYPES
@pytest.mark.parametrize("technique", GELU_GRADIENT_DESCENT)
def test_gradient_descent_baseline(compare, dtype, technique):
    job = GELU_GRADIENT_DESCENT[technique].prepare(GELU, dtype)
    compare(job.run, technique=technique, **gradient_descent_work(dtype))


def test_sharpness_ours(compare, deeplinear):
    landscape = gelu_landscape(deeplinear, SINGLE_GELU)
    weights = [layer[0] for layer in SINGLE_GELU.weights("float64")]
    assert landscape.sharpness(weights, tolerance=TOLERANCE).converged
    compare(
        repeated(lambda: landscape.sharpness(weights, tolerance=TOLERANCE)), threads=1, **SHARPNESS
    )


@pytest.mark.parametrize("technique", GELU_SHARPNESS)
def test_sharpness_baseline(compare, technique):
    compute = GELU_SHARPNESS[technique].prepare(SINGLE_GELU, TOLERANCE)
    compare(repeated(compute), technique=technique, **SHARPNESS)


def gelu_landscape(deeplinear, problem):
    network = deeplinear.Network(widths=problem.widths, activation="gelu")
    return deeplinear.Landscape(network, deeplinear.Regression(*problem.data()))


def repeated(compute):
    def run(times):
        for _ in range(times):
            compute()

    return run


def gradient_descent_work(dtype: str) -> dict[str, object]:
    return {
        "work": f"gradient step, GELU, {GELU.name}, n={GELU.samples}",
        "dtype": dtype,
        "unit": "run and step",
        "units": GELU.runs,
    }
