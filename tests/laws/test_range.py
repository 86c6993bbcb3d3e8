"""Very deep networks: which products of the layers over- or underflow, and which stay in range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deeplinear as dl
from engines import DTYPES, NAMES

pytestmark = pytest.mark.core

Array = NDArray[Any]


def landscape_of(widths: tuple[int, ...], readout: Array | None = None) -> dl.Landscape:
    regression = dl.gaussian_regression(n=2 * widths[0], d=widths[0], noise=1.0, seed=0)
    return dl.Landscape(dl.Network(widths, readout=readout), regression)


def pulled(landscape: dl.Landscape, weights: list[Array], dtype: str) -> tuple[str | None, int]:
    """What becomes of W_k^T ... W_L^T p in a range that is far larger than that of `dtype`.

    The first layer from the top whose product has an entry whose square overflows, or whose terms
    are below the smallest normal number, but not all zero. (Larger terms whose sum is below it
    have cancelled, and lost nothing.)
    """
    most = np.sqrt(np.longdouble(np.finfo(dtype).max))
    least = np.longdouble(np.finfo(dtype).tiny)
    u = landscape.network.readout_vector.astype(dtype).astype(np.longdouble)
    for k in range(len(weights), 0, -1):
        terms = np.abs(weights[k - 1].astype(dtype).astype(np.longdouble).T * u)
        u = weights[k - 1].astype(dtype).astype(np.longdouble).T @ u
        size = np.max(np.abs(u))
        if size > most:
            return "overflowed", k
        if size < least and 0 < np.max(terms) < least:
            return "underflowed", k
    return None, 0


def start(landscape: dl.Landscape, weights: list[Array], **options: Any) -> Any:
    arguments: dict[str, Any] = {"steps": 3, "record": ("risk", "distance"), "every": None}
    return dl.simulate(landscape, weights, dl.GradientDescent(1e-6), **(arguments | options))


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.05, 0.2, 0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("widths", [(9,) * 900 + (1,), (40,) * 300 + (1,)])
def test_gaussian_layers(widths: tuple[int, ...], scale: float, dtype: str, engine: str) -> None:
    """Sizes that grow or shrink by a factor per layer, some of them so slowly that all is well."""
    landscape = landscape_of(widths)
    for seed in range(2):
        weights = dl.init.Gaussian(scale).sample(landscape.network, seed)
        expected, layer = pulled(landscape, weights, dtype)
        result = start(landscape, weights, dtype=dtype, engine=engine)
        if expected is None:
            assert result.status.item() in ("completed", "diverged")
            assert result.out_of_range_layer.item() == 0
            continue
        assert result.status.item() == expected
        assert result.out_of_range_layer.item() == layer
        assert result.last_step.item() == 0
        # it stays where it was
        vector = np.concatenate([w.ravel() for w in weights]).astype(dtype)
        np.testing.assert_array_equal(result.weights.values[0], vector)
        assert np.all(np.isnan(result["risk"].values[0, 1:]))
        assert np.isnan(result["risk"].values[0, 0]) == (expected == "overflowed")


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5"])
def test_flows_that_start_out_of_range(method: str, engine: str) -> None:
    landscape = landscape_of((6,) * 900 + (1,))
    for scale in (0.1, 3.0):
        weights = dl.init.Gaussian(scale).sample(landscape.network, 0)
        expected, layer = pulled(landscape, weights, "float64")
        flow = dl.GradientFlow(method, step=1e-3)
        result = dl.simulate(
            landscape, weights, flow, time=0.01, engine=engine, every=None, record=("risk",)
        )
        assert (result.status.item(), result.out_of_range_layer.item()) == (expected, layer)
        assert result.last_step.item() == 0


@pytest.mark.parametrize("engine", NAMES)
def test_runs_beside_each_other(engine: str) -> None:
    """Each has its own status and layer, and those in range go on as if they were alone."""
    landscape = landscape_of((6,) * 500 + (1,))
    network = landscape.network
    laws = [dl.init.Gaussian(0.1), dl.init.Residual(0.5), dl.init.Gaussian(2.0)] * 3
    runs = [law.sample(network, seed) for seed, law in enumerate(laws)]
    stacked = [np.stack(layers) for layers in zip(*runs, strict=True)]
    result = start(landscape, stacked, engine=engine)
    for run, weights in enumerate(runs):
        expected, layer = pulled(landscape, weights, "float64")
        assert result.status.values[run] == (expected or "completed")
        assert result.out_of_range_layer.values[run] == layer
        alone = start(landscape, weights, engine=engine)
        np.testing.assert_array_equal(alone.weights.values[0], result.weights.values[run])


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zeros", ["a layer", "all", "the first", "the last", "a column"])
def test_exact_zeros_are_no_underflow(zeros: str, dtype: str, engine: str) -> None:
    landscape = landscape_of((6,) * 40 + (1,))
    weights = dl.init.Residual(0.5).sample(landscape.network, 0)
    if zeros == "all":
        for layer in weights:
            layer[:] = 0
    elif zeros == "a column":
        weights[20][:, 1] = 0
    else:
        weights[{"a layer": 20, "the first": 0, "the last": -1}[zeros]][:] = 0
    result = start(landscape, weights, dtype=dtype, engine=engine)
    assert result.status.item() == "completed"
    assert result.out_of_range_layer.item() == 0
    assert result.last_step.item() == 3
    assert np.all(np.isfinite(result["risk"].values))


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_that_come_back(dtype: str, engine: str) -> None:
    """Small layers above and large ones below: fine as long as what is between is in range."""
    landscape = landscape_of((4,) * 100 + (1,))
    digits = 300 if dtype == "float64" else 36
    for size, kind in ((0.5 * digits, None), (1.1 * digits, "underflowed")):
        factor = 10 ** (size / 50)
        weights = dl.init.Orthogonal(1.0).sample(landscape.network, 0)
        for k, layer in enumerate(weights):
            layer *= factor if k < 50 else 1 / factor
        expected, place = pulled(landscape, weights, dtype)
        assert expected == kind
        result = start(landscape, weights, dtype=dtype, engine=engine)
        assert result.out_of_range_layer.item() == place
        if kind:
            assert result.status.item() == kind
        else:
            assert result.status.item() not in ("underflowed", "overflowed")


@pytest.mark.large
@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "widths", [(8,) * 10_000 + (1,), (16,) * 10_000 + (1,), (64,) * 1000 + (1,)]
)
def test_what_stays_in_range_at_any_depth(widths: tuple[int, ...], dtype: str, engine: str) -> None:
    """As the notes of `simulate` say; Gaussian layers of entries 1/sqrt(d) for 64, where a layer
    of width d takes exp(-1 / (2 d)) of the size: 4e-4 of it after 1000 layers."""
    if engine == "ensemble" and widths[0] == 64:
        pytest.skip("a network for the other engine")
    landscape = landscape_of(widths)
    laws = [dl.init.Identity(), dl.init.Orthogonal(1.0), dl.init.Residual(0.5)]
    if widths[0] == 64:
        laws.append(dl.init.Gaussian(1 / 8))
    for law in laws:
        weights = law.sample(landscape.network, 0)
        result = start(
            landscape, weights, dtype=dtype, engine=engine, steps=1, overwrite_weights=True
        )
        # a step may be too large at this depth, but the start is in range
        assert result.status.item() == "completed", law
        assert result.out_of_range_layer.item() == 0


@pytest.mark.large
def test_gaussian_layers_at_great_depth() -> None:
    """At width 8 and 10,000 layers, 1/sqrt(d) shrinks vectors by exp(-10000 / 16) = 1e-271."""
    landscape = landscape_of((8,) * 10_000 + (1,))
    weights = dl.init.Gaussian(8**-0.5).sample(landscape.network, 0)
    assert pulled(landscape, weights, "float32")[0] == "underflowed"
    for dtype in DTYPES:
        result = start(landscape, weights, dtype=dtype)
        assert result.status.item() == (pulled(landscape, weights, dtype)[0] or "completed")
        assert result.out_of_range_layer.item() == pulled(landscape, weights, dtype)[1]
    # the sharpness says so too, or is a number
    found = landscape.sharpness([10 * layer for layer in weights])
    assert np.isnan(found.value)
    assert not found.converged


@pytest.mark.parametrize("engine", NAMES)
def test_a_sweep_keeps_the_coordinate(engine: str) -> None:
    landscape = landscape_of((6,) * 500 + (1,))
    scales, seeds = (0.1, 0.5, 2.0), 2
    result = dl.sweep(
        landscape,
        dl.init.Gaussian(scales),
        dl.GradientDescent([1e-9, 1e-8]),
        seeds=seeds,
        steps=2,
        engine=engine,
        progress=False,
    )
    assert result.out_of_range_layer.dims == ("scale", "learning_rate", "seed")
    for scale in scales:
        for seed in range(seeds):
            weights = dl.init.Gaussian(scale).sample(landscape.network, seed)
            expected, layer = pulled(landscape, weights, "float64")
            cell = result.sel(scale=scale, seed=seed)
            assert cell.out_of_range_layer.values.tolist() == [layer] * 2
            if expected:
                assert cell.status.values.tolist() == [expected] * 2
