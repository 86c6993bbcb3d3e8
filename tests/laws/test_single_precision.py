"""Data and tolerances at the ends of what float32 holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deeplinear as dl

pytestmark = pytest.mark.core

Array = NDArray[Any]


def gaussian(d: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(2)
    return rng.standard_normal((30, d)), rng.standard_normal(30)


@pytest.mark.parametrize("samples", [None, True])
@pytest.mark.parametrize("scale", [1e-50, 1e-25])
def test_tiny_inputs_in_float32(scale: float, samples: bool | None) -> None:
    """C is below the range of float32, and the risk is of order one."""
    X, y = gaussian(6)
    landscape = dl.Landscape(dl.Network((6, 4, 1)), dl.Regression(scale * X, y), samples=samples)
    weights = dl.init.Gaussian(1.0).sample(landscape.network, 0)
    dynamics = dl.GradientDescent(1e-3)
    data = dl.simulate(landscape, weights, dynamics, steps=2, tolerance=1e-3, dtype="float32")
    assert data.status.item() == "completed"
    np.testing.assert_allclose(data.risk, np.mean(y**2), rtol=1e-6)


@pytest.mark.parametrize("samples", [None, True])
def test_targets_whose_squares_float32_lacks(samples: bool | None) -> None:
    X, y = gaussian(6)
    landscape = dl.Landscape(dl.Network((6, 4, 1)), dl.Regression(X, 1e-25 * y), samples=samples)
    weights = [1e-13 * layer for layer in dl.init.Gaussian(1.0).sample(landscape.network, 0)]
    ends = {
        dtype: dl.simulate(
            landscape, weights, dl.GradientDescent(1e-3), steps=2, tolerance=1e-70, dtype=dtype
        ).status.item()
        for dtype in ("float32", "float64")
    }
    assert ends == {"float32": "underflowed", "float64": "completed"}


@pytest.mark.parametrize(("tolerance", "status"), [(1e-7, "completed"), (1e-4, "converged")])
def test_a_tolerance_below_the_rounding_of_the_risk(tolerance: float, status: str) -> None:
    """Through the samples the excess is a difference, here of 13 in float32: off by some 1e-6."""
    rng = np.random.default_rng(0)
    regression = dl.Regression(rng.standard_normal((40, 4)), 4 * rng.standard_normal(40))
    landscape = dl.Landscape(dl.Network((4, 6, 1)), regression, samples=True)
    data = dl.sweep(
        landscape,
        dl.init.Gaussian(0.4),
        dl.GradientDescent(0.02),
        seeds=8,
        steps=2000,
        dtype="float32",
        tolerance=tolerance,
        progress=False,
    )
    assert (data.status == status).all()
    for weights in data.weights.values:
        last = landscape.network.unflatten(weights)
        excess = landscape.risk(last) - regression.minimum_risk
        assert status == "completed" or excess <= tolerance
