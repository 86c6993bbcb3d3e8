"""Gradient steps of an ensemble."""

from __future__ import annotations

import numpy as np
import pytest

from .baselines import GRADIENT_DESCENT
from .problems import DEEP, SMALL, WIDE, Problem

PROBLEMS = pytest.mark.parametrize("problem", [SMALL, WIDE, DEEP], ids=lambda p: p.name)
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@DTYPES
@PROBLEMS
def test_ours(compare, deeplinear, problem, dtype, threads):
    X, y = problem.data()
    landscape = deeplinear.Landscape(
        deeplinear.Network(widths=problem.widths), deeplinear.Regression(X, y)
    )
    weights = problem.weights(dtype)
    dynamics = deeplinear.GradientDescent(problem.learning_rate)

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
    compare(run, threads=threads, **work(problem, dtype))


@DTYPES
@PROBLEMS
@pytest.mark.parametrize("technique", GRADIENT_DESCENT)
def test_baseline(compare, problem, dtype, technique):
    job = GRADIENT_DESCENT[technique].prepare(problem, dtype)
    compare(job.run, technique=technique, **work(problem, dtype))


def work(problem: Problem, dtype: str) -> dict[str, object]:
    return {
        "work": f"gradient step, {problem.name}",
        "dtype": dtype,
        "unit": "run and step",
        "units": problem.runs,
        "flops": problem.flops,
    }
