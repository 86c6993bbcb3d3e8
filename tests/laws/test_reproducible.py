"""Bit for bit: a run does not depend on threads, its place, its neighbours or recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from strategies import WITHOUT_TEST_DATA, Problem, make_problem, random_ensemble, some_runs

pytestmark = pytest.mark.core

SIZES = [1, 7, 33, 70]  # below, across and above what a processor holds at once

# Scales from tiny to far too large: runs diverge within a few steps or converge after very
# different numbers of them, and others take their places.
CASES: dict[str, tuple[Any, dict[str, Any], float]] = {
    "descent": (dl.GradientDescent(0.1), {"steps": 40, "every": 10}, 3.0),
    "euler": (dl.GradientFlow("euler", step=0.1), {"time": 4.0, "every": 10}, 3.0),
    "rk4": (dl.GradientFlow("rk4", step=0.1), {"time": 4.0, "every": 10}, 3.0),
    "dopri5": (dl.GradientFlow("dopri5", rtol=1e-5, atol=1e-7), {"time": 3.0, "every": 0.5}, 1.2),
}


def problem_of(name: str) -> Problem:
    if name == "readout":
        return make_problem((3, 4, 2, 3), "any", 8, seed=2)
    if name == "large":
        return make_problem((30, 30, 30, 30, 1), "plain", 20, seed=4)
    return make_problem((3, 4, 3, 1), "plain", 10, seed=8)


def simulate(problem: Problem, case: str, weights: Any, **options: Any) -> xr.Dataset:
    dynamics, length, _ = CASES[case]
    arguments = {"record": WITHOUT_TEST_DATA, "tolerance": 1e-4, **length}
    return dl.simulate(problem.landscape, weights, dynamics, **(arguments | options))


def ensemble(problem: Problem, case: str, runs: int) -> Any:
    return random_ensemble(problem, runs, seed=5, low=0.1, high=CASES[case][2])


def assert_same_bits(
    one: xr.Dataset, other: xr.Dataset, names: tuple[str, ...] = WITHOUT_TEST_DATA
) -> None:
    for name in (*names, "weights", "status", "last_step"):
        first, second = one[name].values, other[name].values
        assert first.dtype == second.dtype or name == "status"
        same = np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert same, f"{name} differs"


@pytest.mark.parametrize("runs", SIZES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_threads(case: str, dtype: str, runs: int) -> None:
    problem = problem_of("plain")
    weights = ensemble(problem, case, runs)
    one = simulate(problem, case, weights, dtype=dtype, threads=1)
    for threads in (2, 3, None):
        many = simulate(problem, case, weights, dtype=dtype, threads=threads)
        assert_same_bits(one, many)
    if runs == 70:
        expected = {"completed", "converged"} | (set() if case == "dopri5" else {"diverged"})
        assert set(one.status.values.tolist()) == expected


@pytest.mark.parametrize("kind", ["plain", "readout"])
@pytest.mark.parametrize("case", CASES)
def test_any_order(case: str, kind: str) -> None:
    problem = problem_of(kind)
    weights = ensemble(problem, case, 33)
    order = np.random.default_rng(0).permutation(33)
    straight = simulate(problem, case, weights)
    shuffled = simulate(problem, case, some_runs(weights, order))
    assert_same_bits(straight.isel(run=order), shuffled)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_any_split(case: str, dtype: str) -> None:
    """Parts of any size, down to one by one, and a run among copies of another."""
    problem = problem_of("plain")
    weights = ensemble(problem, case, 33)
    whole = simulate(problem, case, weights, dtype=dtype)
    for size in (1, 2, 5, 16, 32):
        for start in range(0, 33, size):
            part = slice(start, min(start + size, 33))
            split = simulate(problem, case, some_runs(weights, part), dtype=dtype)
            assert_same_bits(whole.isel(run=part), split)
    repeated = simulate(problem, case, some_runs(weights, [4] * 9 + [20] + [4] * 9), dtype=dtype)
    assert_same_bits(whole.isel(run=[4] * 9 + [20] + [4] * 9), repeated)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_any_split_beyond_the_first_cache(case: str, dtype: str) -> None:
    """Networks of which fewer are computed side by side."""
    problem = problem_of("large")
    weights = [0.1 * layer for layer in ensemble(problem, case, 9)]
    options: dict[str, Any] = {"dtype": dtype, "record": ("risk", "distance"), "engine": "ensemble"}
    whole = simulate(problem, case, weights, threads=1, **options)
    for size in (1, 4, 7):
        for start in range(0, 9, size):
            part = slice(start, min(start + size, 9))
            split = simulate(problem, case, some_runs(weights, part), **options)
            assert_same_bits(whole.isel(run=part), split, ("risk", "distance"))


@pytest.mark.parametrize("case", CASES)
def test_recording_is_only_looking(case: str) -> None:
    """Nothing recorded, little or much, often or only at the ends."""
    problem = problem_of("plain")
    weights = ensemble(problem, case, 33)
    full = simulate(problem, case, weights)
    for record in ((), ("risk",), ("sharpness", "alignment"), WITHOUT_TEST_DATA[::-1]):
        assert_same_bits(full, simulate(problem, case, weights, record=record), record)

    # What needs no iteration is the same to the bit however often it is recorded; iterations for
    # eigenvalues may start from what they found before.
    direct = tuple(
        name for name in WITHOUT_TEST_DATA if name not in ("sharpness", "lowest_eigenvalue")
    )
    dim = "step" if "step" in full.dims else "time"
    for every in (0.125, 1.0, None) if case == "dopri5" else (2, 20, None):
        other = simulate(problem, case, weights, every=every)
        assert_same_bits(full[["weights", "status", "last_step"]], other, ())
        points = [x for x in full[dim].values if np.min(np.abs(other[dim].values - x)) < 1e-9]
        assert len(points) >= 2
        for name in WITHOUT_TEST_DATA:
            first = full[name].sel({dim: points}, method="nearest").values
            second = other[name].sel({dim: points}, method="nearest").values
            if name in direct:
                assert np.array_equal(first, second, equal_nan=True), (name, every)
            else:
                size = np.nanmax(np.abs(full["sharpness"].values))
                np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9 * size)


@pytest.mark.parametrize("case", CASES)
def test_a_single_run_needs_no_axis_of_runs(case: str) -> None:
    problem = problem_of("plain")
    weights = ensemble(problem, case, 3)
    stacked = simulate(problem, case, some_runs(weights, slice(1, 2)))
    alone = simulate(problem, case, some_runs(weights, 1))
    assert alone.sizes == stacked.sizes
    assert alone.sizes["run"] == 1
    assert_same_bits(stacked, alone)


def test_the_input_is_left_alone() -> None:
    problem = problem_of("plain")
    weights = ensemble(problem, "descent", 7)
    before = [layer.copy() for layer in weights]
    simulate(problem, "descent", weights)
    for layer, kept in zip(weights, before, strict=True):
        np.testing.assert_array_equal(layer, kept)
        layer.flags.writeable = False
    simulate(problem, "descent", weights)  # read-only input is enough
