"""Input of any layout and number type is converted, and means the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deeplinear as dl
import reference
from strategies import flat, make_problem

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
WIDTHS = (3, 4, 1)
PROBLEM = make_problem(WIDTHS, "plain", 8, seed=1)
WEIGHTS = PROBLEM.weights


def simulate(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "weights": WEIGHTS,
        "dynamics": dl.GradientDescent(0.01),
        "steps": 2,
    }
    arguments |= changes
    weights, dynamics = arguments.pop("weights"), arguments.pop("dynamics")
    return dl.simulate(PROBLEM.landscape, weights, dynamics, **arguments)


def layouts(array: Any) -> list[Any]:
    """The same numbers: every second row, Fortran order, reversed twice, nested lists."""
    spaced = np.zeros((2 * array.shape[0], *array.shape[1:]))
    spaced[::2] = array
    flipped = np.ascontiguousarray(array[::-1])[::-1]
    return [spaced[::2], np.asfortranarray(array), flipped, array.tolist()]


def test_data_of_any_layout() -> None:
    expected = dl.Regression(X, Y)
    for data, target in zip(layouts(X), layouts(Y), strict=True):
        regression = dl.Regression(data, target)
        np.testing.assert_array_equal(regression.covariance, expected.covariance)
        np.testing.assert_array_equal(regression.minimizer, expected.minimizer)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float32, bool])
def test_data_of_any_type(dtype: Any) -> None:
    data, target = (10 * np.abs(X)).astype(dtype), (10 * np.abs(Y)).astype(dtype)
    regression = dl.Regression(data, target)
    expected = dl.Regression(data.astype(float), target.astype(float))
    np.testing.assert_array_equal(regression.covariance, expected.covariance)
    np.testing.assert_array_equal(regression.minimizer, expected.minimizer)
    assert regression.minimum_risk == expected.minimum_risk


def test_the_data_may_change_afterwards() -> None:
    data, target = X.copy(), Y.copy()
    landscape = dl.Landscape(dl.Network(WIDTHS), dl.Regression(data, target))
    before = landscape.risk(WEIGHTS)
    data[:] = 0
    target[:] = 0
    assert landscape.risk(WEIGHTS) == before


def test_weights_of_any_layout_and_type() -> None:
    landscape = PROBLEM.landscape
    whole = [np.round(3 * layer) for layer in WEIGHTS]
    expected = landscape.gradient(whole)
    final = simulate(weights=whole)["weights"].values
    variants = [list(layers) for layers in zip(*(layouts(layer) for layer in whole), strict=True)]
    variants += [[layer.astype(t) for layer in whole] for t in (np.int32, np.int64, np.float32)]
    variants += [tuple(whole)]
    for weights in variants:
        np.testing.assert_array_equal(flat(landscape.gradient(weights)), flat(expected))
        assert landscape.risk(weights) == landscape.risk(whole)
        np.testing.assert_array_equal(simulate(weights=weights)["weights"].values, final)


def test_runs_of_any_layout() -> None:
    runs = [np.stack([layer, 2 * layer, 3 * layer]) for layer in WEIGHTS]
    moved = [np.moveaxis(np.ascontiguousarray(np.moveaxis(layer, 0, -1)), -1, 0) for layer in runs]
    np.testing.assert_array_equal(
        simulate(weights=moved)["weights"].values, simulate(weights=runs)["weights"].values
    )


@pytest.mark.parametrize(
    "readout", [[1, 0], np.array([1, 0], np.int8), np.array([1, 5, 0, 5])[::2]]
)
def test_readouts_of_any_layout_and_type(readout: Any) -> None:
    weights = [np.ones((2, 3))]
    landscape = dl.Landscape(dl.Network((3, 2), readout=readout), dl.Regression(X, Y))
    np.testing.assert_array_equal(landscape.end_to_end(weights), [1, 1, 1])


def test_scalars_of_numpy() -> None:
    expected = simulate(steps=3, every=1)
    result = simulate(
        steps=np.int64(3), every=np.int32(1), dynamics=dl.GradientDescent(np.float64(0.01))
    )
    np.testing.assert_array_equal(result["weights"].values, expected["weights"].values)
    network = dl.Network(np.array(WIDTHS))
    assert [layer.shape for layer in dl.init.Gaussian(1).sample(network, 0)] == [(4, 3), (1, 4)]


def test_fewer_samples_than_dimensions() -> None:
    """The least-norm minimizer, at risk 0; descent from near zero gets to it."""
    problem = make_problem((7, 5, 1), "plain", 3, seed=2)
    regression = problem.regression
    expected = reference.minimizer(problem.X, problem.y)
    np.testing.assert_allclose(regression.minimizer, expected, rtol=0, atol=1e-12)
    assert regression.minimum_risk == pytest.approx(0, abs=1e-20)
    assert np.sum(regression.eigenvalues > 1e-10) == 3
    weights = dl.init.Gaussian(0.01).sample(problem.network, 0)
    dataset = dl.simulate(
        problem.landscape, weights, dl.GradientDescent(0.02), steps=20000, tolerance=1e-10
    )
    assert dataset.status.item() == "converged"
    assert dataset["distance"].values[0, -1] <= 1e-2
