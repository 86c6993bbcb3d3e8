"""A sweep is its cells: each is the simulation of its settings and seed, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl

RECORD = ("risk", "distance", "sharpness", "layer_norm")


def make_landscape() -> dl.Landscape:
    network = dl.Network((3, 3, 3, 1))
    return dl.Landscape(network, dl.gaussian_regression(n=12, d=3, noise=1.0, seed=1))


def assert_cell(cell: xr.Dataset, alone: xr.Dataset, names: Sequence[str] = RECORD) -> None:
    for name in (*names, "weights", "status", "last_step"):
        expected = alone[name].isel(run=0)
        result = cell[name]
        assert set(result.dims) == set(expected.dims), name
        values = result.transpose(*expected.dims).values
        same = np.array_equal(values, expected.values, equal_nan=expected.dtype.kind == "f")
        assert same, f"{name} differs"


def check(
    init: Any,
    dynamics: Any,
    axes: dict[str, Sequence[Any]],
    seeds: Any,
    **options: Any,
) -> xr.Dataset:
    """The dimensions of the sweep, and every cell of it."""
    landscape = make_landscape()
    network = landscape.network
    swept = [
        replace(owner, **{name: values for name, values in axes.items() if hasattr(owner, name)})
        for owner in (init, dynamics)
    ]
    dataset = dl.sweep(landscape, *swept, seeds=seeds, record=RECORD, progress=False, **options)
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    sizes = {name: len(values) for name, values in axes.items()} | {"seed": len(numbers)}
    assert {name: dataset.sizes[name] for name in sizes} == sizes
    assert "run" not in dataset.dims
    assert [int(seed) for seed in dataset["seed"].values] == numbers
    for name, values in axes.items():
        assert dataset[name].values.tolist() == list(values)
    assert set(dataset["status"].dims) == set(sizes)

    for indices in product(*(range(size) for size in sizes.values())):
        place = dict(zip(sizes, indices, strict=True))
        fields = {name: values[place[name]] for name, values in axes.items()}
        owners = [
            replace(owner, **{name: x for name, x in fields.items() if hasattr(owner, name)})
            for owner in (init, dynamics)
        ]
        weights = owners[0].sample(network, numbers[place["seed"]])
        arguments = {"every": None} | options
        alone = dl.simulate(landscape, weights, owners[1], record=RECORD, **arguments)
        assert_cell(dataset.isel(place), alone)
    return dataset


def test_descent_over_scales_and_learning_rates() -> None:
    """Some of these diverge."""
    dataset = check(
        dl.init.Gaussian(0.5),
        dl.GradientDescent(0.1),
        {"scale": [0.2, 0.5, 1.5], "learning_rate": [0.02, 0.3]},
        seeds=4,
        steps=30,
    )
    assert dataset["step"].values.tolist() == [0, 30]
    assert {"completed", "diverged"} <= set(dataset["status"].values.ravel().tolist())


def test_with_a_tolerance_and_a_grid() -> None:
    dataset = check(
        dl.init.Gaussian(0.8),
        dl.GradientDescent(0.1),
        {"learning_rate": [0.01, 0.1]},
        seeds=[7, 3, 2**40],
        steps=60,
        every=25,
        tolerance=1e-3,
    )
    assert dataset["step"].values.tolist() == [0, 25, 50, 60]
    assert "converged" in dataset["status"].values


@pytest.mark.parametrize(
    ("dynamics", "axes"),
    [
        (dl.GradientFlow("rk4", step=0.05), {"step": [0.05, 0.03]}),
        (dl.GradientFlow("dopri5"), {"rtol": [1e-4, 1e-7]}),
        (dl.GradientFlow("dopri5"), {"atol": [1e-4, 1e-7], "rtol": [1e-3, 1e-5]}),
        (dl.GradientFlow(step=0.05), {"method": ["euler", "rk4", "dopri5"]}),
        (dl.GradientFlow(step=0.05), {"method": ["euler", "rk4"], "step": [0.1, 0.05]}),
    ],
    ids=str,
)
def test_flows(dynamics: Any, axes: dict[str, Sequence[Any]]) -> None:
    dataset = check(dl.init.Gaussian(0.5), dynamics, axes, seeds=3, time=1.0)
    assert dataset["time"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("init", "axes"),
    [
        (dl.init.Residual(0.1), {"scale": [0.0, 0.5]}),
        (dl.init.Orthogonal(0.1), {"scale": [0.3, 0.6]}),
        (dl.init.Identity(), {}),
    ],
    ids=str,
)
def test_every_initialization(init: Any, axes: dict[str, Sequence[Any]]) -> None:
    check(init, dl.GradientDescent(0.01), axes, seeds=[5, 1], steps=5)


def test_in_single_precision() -> None:
    check(
        dl.init.Gaussian(0.5),
        dl.GradientDescent(0.05),
        {"scale": [0.3, 0.6]},
        seeds=2,
        steps=10,
        dtype="float32",
    )


def test_plain_values_make_no_dimension() -> None:
    dataset = check(dl.init.Gaussian(0.5), dl.GradientDescent(0.05), {}, seeds=2, steps=3)
    assert set(dataset["risk"].dims) == {"seed", "step"}
    assert set(dataset["layer_norm"].dims) == {"seed", "step", "layer"}
    assert set(dataset["weights"].dims) == {"seed", "parameter"}


def test_sequences_of_any_kind() -> None:
    landscape = make_landscape()
    results = [
        dl.sweep(
            landscape,
            dl.init.Gaussian(scales),
            dl.GradientDescent(0.05),
            seeds=seeds,
            steps=3,
            progress=False,
        )
        for scales, seeds in [
            ([0.25, 0.5], 2),
            ((0.25, 0.5), (0, 1)),
            (np.array([0.25, 0.5]), np.arange(2)),
        ]
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result["scale"].values, results[0]["scale"].values)
        np.testing.assert_array_equal(result["weights"].values, results[0]["weights"].values)


def test_a_cell_does_not_depend_on_what_else_is_swept() -> None:
    """Other values, other seeds, another order."""
    landscape = make_landscape()

    def run(scales: Any, rates: Any, seeds: Any) -> xr.Dataset:
        return dl.sweep(
            landscape,
            dl.init.Gaussian(scales),
            dl.GradientDescent(rates),
            seeds=seeds,
            steps=25,
            record=RECORD,
            progress=False,
        )

    whole = run([0.2, 0.5, 0.8, 2.0], [0.01, 0.1, 0.5], 9)
    part = run([0.8, 0.2], [0.1], [6, 2, 8])
    common = whole.sel(scale=[0.8, 0.2], learning_rate=[0.1], seed=[6, 2, 8])
    single = run(0.8, 0.1, [2])
    for name in (*RECORD, "weights", "status", "last_step"):
        dims = part[name].dims
        nan = part[name].dtype.kind == "f"
        first, second = common[name].transpose(*dims).values, part[name].values
        assert np.array_equal(first, second, equal_nan=nan), name
        dims = single[name].dims
        cell = part[name].isel(scale=[0], learning_rate=[0], seed=[1])
        cell = cell.squeeze(["scale", "learning_rate"]).transpose(*dims)
        assert np.array_equal(cell.values, single[name].values, equal_nan=nan), name


def test_samples_are_keyed_by_their_seed() -> None:
    """The same seed gives the same layers; the scale multiplies one stream."""
    network = dl.Network((3, 4, 1))
    one, again = (dl.init.Gaussian(0.5).sample(network, 3) for _ in range(2))
    other = dl.init.Gaussian(0.5).sample(network, 4)
    double = dl.init.Gaussian(1.0).sample(network, 3)
    for layer, same, different, twice in zip(one, again, other, double, strict=True):
        np.testing.assert_array_equal(layer, same)
        assert not np.array_equal(layer, different)
        np.testing.assert_array_equal(2 * layer, twice)


def test_seeds_of_64_bits_stay_what_they_are() -> None:
    for seeds in ([2**53 + 1, 2**63 + 1], [5, 2**63], [2**70, 1]):
        dataset = check(dl.init.Gaussian(0.5), dl.GradientDescent(0.01), {}, seeds, steps=2)
        assert [int(seed) for seed in dataset.seed.values] == seeds


METHODS = dl.GradientFlow(method=["dopri5", "rk4"], step=1e-3)


def test_runs_of_several_methods_that_are_stopped_keep_their_numbers() -> None:
    shares: list[float] = []

    def progress(share: float) -> None:
        shares.append(share)
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted) as caught:
        dl.sweep(
            make_landscape(),
            dl.init.Gaussian(0.5),
            METHODS,
            seeds=200,
            time=2000.0,
            threads=1,
            progress=progress,
        )
    dataset = caught.value.dataset
    runs, methods = dataset.run.values, dataset.method.values
    assert len(set(runs.tolist())) == len(runs) >= 200
    assert np.all((methods == "dopri5") == (runs < 200))
    assert np.all(dataset.seed.values == runs % 200)
    assert dataset.attrs["initialization"] == "Gaussian(scale=0.5)"


def test_the_accuracy_of_several_methods() -> None:
    options: dict[str, Any] = {"time": 1.0, "record": ("risk", "sharpness"), "progress": False}
    landscape, init = make_landscape(), dl.init.Gaussian(0.5)
    both = dl.sweep(landscape, init, METHODS, seeds=3, **options).sharpness.attrs
    parts = [
        dl.sweep(landscape, init, replace(METHODS, method=method), seeds=3, **options).sharpness
        for method in ("dopri5", "rk4")
    ]
    name = "largest_relative_residual"
    assert both[name] == max(part.attrs[name] for part in parts)
    assert both["unconverged"] == sum(part.attrs["unconverged"] for part in parts)


@pytest.mark.parametrize(
    ("dynamics", "length", "kept", "left_out"),
    [
        (dl.GradientDescent(0.01), {"steps": 1}, {"learning_rate": 0.01}, ("step", "rtol")),
        (dl.GradientFlow("rk4", step=0.1), {"time": 1.0}, {"step": 0.1}, ("rtol", "atol")),
        (
            dl.GradientFlow(step=0.1, rtol=[1e-4, 1e-5], method="dopri5", atol=1e-7),
            {"time": 1.0},
            {"step": 0.1, "atol": 1e-7},
            ("rtol",),
        ),
    ],
)
def test_settings_that_all_runs_share(
    dynamics: Any, length: Any, kept: dict[str, float], left_out: tuple[str, ...]
) -> None:
    """What is swept is a coordinate, and the rest an attribute."""
    init = dl.init.Residual(0.25)
    dataset = dl.sweep(make_landscape(), init, dynamics, seeds=2, progress=False, **length)
    assert {name: dataset.attrs[name] for name in kept} == kept
    assert not set(left_out) & set(dataset.attrs)
    assert dataset.attrs["initialization"] == "Residual(scale=0.25)"
