"""When is recorded, and in which dimensions of the dataset; and singular values of any layer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
import reference
from deeplinear.records import Record
from engines import FIXED, variable
from strategies import (
    Problem,
    make_problem,
    random_ensemble,
    random_problem,
    with_test_data,
)

pytestmark = pytest.mark.core

EVERYTHING = tuple(dl.RECORDABLE)


def make_case() -> tuple[Problem, dl.Landscape, list[Any]]:
    """A problem, its landscape with test data, and an ensemble of five runs."""
    problem = make_problem((3, 4, 2, 1), "plain", 9, seed=4)
    landscape, _ = with_test_data(problem)
    return problem, landscape, random_ensemble(problem, 5, seed=2, low=0.5, high=1.0)


def test_dimensions_of_a_descent() -> None:
    problem, landscape, weights = make_case()
    dataset = dl.simulate(
        landscape, weights, dl.GradientDescent(0.01), steps=10, record=EVERYTHING, every=4
    )
    assert isinstance(dataset, xr.Dataset)
    assert dataset["step"].values.tolist() == [0, 4, 8, 10]
    for name in EVERYTHING:
        expected = ("run", "step", *Record(name).axes)
        assert dataset[variable(name)].dims == expected, name
    assert dataset["layer"].values.tolist() == [1, 2, 3]
    assert dataset["pair"].values.tolist() == [1, 2]
    assert dataset["weights"].dims == ("run", "parameter")
    assert dataset["weights"].shape == (5, problem.size)
    assert dataset["status"].dims == ("run",)
    assert all(isinstance(status, str) for status in dataset["status"].values.tolist())
    assert dataset["last_step"].dims == ("run",)
    assert np.issubdtype(dataset["last_step"].dtype, np.integer)
    assert "time" not in dataset.dims


def test_dimensions_of_a_flow() -> None:
    _, landscape, weights = make_case()
    flow = dl.GradientFlow("rk4", step=0.01)
    dataset = dl.simulate(landscape, weights, flow, time=0.1, record=EVERYTHING, every=4)
    np.testing.assert_allclose(dataset["time"].values, [0, 0.04, 0.08, 0.1], atol=1e-15)
    for name in EVERYTHING:
        assert dataset[variable(name)].dims[:2] == ("run", "time"), name
    assert "step" not in dataset.dims


THIN = [(5, 2000, 1), (1, 70, 3), (40, 30, 1)]  # with a short side, and a long one


@pytest.mark.parametrize("widths", [(5,) * 4, (32,) * 4, (33,) * 4, (90, 110, 260, 130), *THIN])
@pytest.mark.parametrize("kind", ["Gaussian", "zero", "equal", "rank one"])
def test_singular_values_of_any_layer(widths: tuple[int, ...], kind: str) -> None:
    """Small ones by a dense solver, others by Lanczos to a residual of 1e-13 |W|.

    That moves a value no further, and each of the two vectors by its ratio to the gap.
    """
    random = np.random.default_rng(widths[0])
    layers = []
    for cols, rows in pairwise(widths):
        left, sizes, right = np.linalg.svd(random.standard_normal((rows, cols)), False)
        if kind != "Gaussian":
            sizes = {"zero": 0, "equal": 1, "rank one": np.eye(len(sizes))[0]}[kind] + 0 * sizes
        layers.append(0.1 * (left * sizes) @ right)
    problem = make_problem(widths, "any", 9, seed=4)
    names = ("layer_norm", "rank_one_gap", "alignment")
    dataset = dl.simulate(
        problem.landscape, layers, dl.GradientDescent(1e-9), steps=1, record=names
    ).isel(run=0, step=0)
    if kind == "zero":
        np.testing.assert_array_equal(dataset["layer_norm"].values, 0)
        np.testing.assert_array_equal(dataset["rank_one_gap"].values, 0)
        np.testing.assert_array_equal(dataset["alignment"].values, 1)
        return
    norms, gaps = reference.layer_norm(layers), 1 - reference.rank_one_gap(layers)
    np.testing.assert_allclose(dataset["layer_norm"].values, norms, rtol=2e-13)
    np.testing.assert_allclose(1 - dataset["rank_one_gap"].values, gaps, rtol=0, atol=4e-13)
    if kind != "equal":  # any vector is a first one there
        error = 4e-13 / np.min(gaps)
        expected = reference.alignment(layers)
        np.testing.assert_allclose(dataset["alignment"].values, expected, rtol=0, atol=error)
    assert np.all(dataset["alignment"].values <= 1 + 1e-13)


@pytest.mark.parametrize("widths", [(3, 1), (1, 1), (1, 1, 1)])
def test_layers_without_a_second_singular_value(widths: tuple[int, ...]) -> None:
    """Their gap is 0; a single layer has no pairs and is balanced."""
    problem = make_problem(widths, "plain", 9, seed=4)
    names = ("layer_norm", "rank_one_gap", "balancedness", "sharpness", "lowest_eigenvalue")
    if problem.depth > 1:
        names += ("alignment",)
    dataset = dl.simulate(
        problem.landscape, problem.weights, dl.GradientDescent(1e-3), steps=3, record=names
    )
    np.testing.assert_array_equal(dataset["rank_one_gap"].values, 0)
    assert dataset["layer_norm"].shape == (1, 4, problem.depth)
    if problem.depth == 1:
        np.testing.assert_array_equal(dataset["balancedness"].values, 0)
    else:
        np.testing.assert_allclose(dataset["alignment"].values, 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (10, 1, list(range(11))),
        (10, 5, [0, 5, 10]),
        (10, 3, [0, 3, 6, 9, 10]),
        (10, 10, [0, 10]),
        (10, 100, [0, 10]),
        (10, None, [0, 10]),
        (1, 1, [0, 1]),
    ],
)
def test_the_grid_has_its_end(steps: int, every: int | None, expected: list[int]) -> None:
    _, landscape, weights = make_case()
    for method in FIXED:
        length = method.length(0.01, steps)
        dataset = dl.simulate(landscape, weights, method.dynamics(0.01), every=every, **length)
        scale = 1 if method.axis == "step" else 0.01
        grid = dataset[method.axis].values
        np.testing.assert_allclose(grid, np.array(expected) * scale, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(grid[-1], steps * scale)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 1, 2, 2.5]),
        ({"every": 0.5}, [0, 0.5, 1, 1.5, 2, 2.5]),
        ({"every": 2}, [0, 2, 2.5]),
        ({"every": 10.0}, [0, 2.5]),
        ({"every": None}, [0, 2.5]),
    ],
)
def test_adaptive_steps_are_recorded_at_times(
    options: dict[str, Any], expected: list[float]
) -> None:
    _, landscape, weights = make_case()
    dataset = dl.simulate(landscape, weights, dl.GradientFlow("dopri5"), time=2.5, **options)
    np.testing.assert_allclose(dataset["time"].values, expected, rtol=0, atol=1e-12)
    assert dataset["risk"].dims == ("run", "time")
    assert np.all(np.isfinite(dataset["risk"].values))


@pytest.mark.parametrize(
    ("dynamics", "horizon", "every", "expected"),
    [
        # 0.3 / 0.1 is above 3 by rounding alone: no record a rounding error before the end.
        (dl.GradientFlow("dopri5"), {"time": 0.3}, 0.1, [0, 0.1, 0.2, 0.3]),
        (dl.GradientFlow("dopri5"), {"time": 1.0}, 5.0, [0, 1.0]),
        (dl.GradientFlow("rk4", step=0.1), {"time": 1.0}, 4, [0, 0.4, 0.8, 1.0]),
        # Far beyond the end, and beyond what an int64 holds
        (dl.GradientDescent(0.01), {"steps": 5}, 2**70, [0, 5]),
    ],
)
def test_grids_at_the_limits(
    dynamics: Any, horizon: dict[str, Any], every: float, expected: list[float]
) -> None:
    problem = random_problem(1, max_depth=3, max_width=3)
    weights = random_ensemble(problem, 2, 0)
    dataset = dl.simulate(problem.landscape, weights, dynamics, every=every, **horizon)
    axis = "step" if "steps" in horizon else "time"
    np.testing.assert_allclose(dataset[axis].values, expected, rtol=1e-15)
    assert np.isfinite(dataset.risk.values).all()


def test_overflow_is_a_status() -> None:
    """A product of layers that overflows is no eigenvalue, and says so."""
    network = dl.Network((2, 2, 1))
    landscape = dl.Landscape(network, dl.Regression(np.eye(2), np.ones(2)))
    found = landscape.sharpness([np.full((2, 2), 1e200), np.full((1, 2), 1e200)])
    assert not found.converged
    assert np.isnan(found.value)
