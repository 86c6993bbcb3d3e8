"""Networks through their samples: more of them, and of neurons, than one block; linear ones too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from engines import assert_same_bits, records_of, variable
from meaning import ITERATIVE
from strategies import (
    NONLINEAR,
    bent,
    flat,
    make_problem,
    one_run,
    random_ensemble,
    with_test_data,
)

pytestmark = pytest.mark.core

EPS = np.finfo(float).eps


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
    weights = random_ensemble(linear, 9, seed=7, low=0.2, high=1.0)
    names = tuple(
        name
        for name in records_of(linear)
        if len(widths) > 2 or name not in ("alignment", "rank_one_gap")
    )
    datasets = [
        dl.simulate(
            with_test_data(replace(linear, samples=samples))[0],
            weights,
            dynamics,
            record=names,
            **length,
        )
        for samples in (None, True)
    ]
    for name in ("status", "last_step"):
        np.testing.assert_array_equal(datasets[0][name].values, datasets[1][name].values)
    for name in names:
        one, other = (dataset[variable(name)].values for dataset in datasets)
        scale = np.nanmax(np.abs(one))
        if name in ITERATIVE or name == "hessian_trace":
            scale = np.max(np.abs(datasets[0]["sharpness"].values))
        rounding = 2e-8 if name in ITERATIVE else 1e-10
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
