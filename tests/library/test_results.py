"""Results come back from files as they were, and put together they claim nothing that isn't so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.preset import Architecture, GaussianData, Preset, Training

REGRESSION = dl.gaussian_regression(n=12, d=3, seed=1)
DESCENT = dl.GradientDescent([0.01, 0.02])
EVERYTHING = tuple(dl.RECORDABLE)


def sweep(network: dl.Network, **changes: Any) -> xr.Dataset:
    arguments: dict[str, Any] = {"init": dl.init.Gaussian(0.5), "dynamics": DESCENT, "seeds": 2}
    arguments |= {"steps": 3, "record": EVERYTHING, "progress": False} | changes
    return dl.sweep(dl.Landscape(network, REGRESSION), **arguments)


def again(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    dataset.to_netcdf(path / "x.nc", engine="h5netcdf")
    return xr.load_dataset(path / "x.nc", engine="h5netcdf")


NETWORKS = [
    dl.Network((3, 1)),
    dl.Network((3, 4, 1)),
    dl.Network((3, 4, 1), readout=[1.0]),
    dl.Network((3, 1), readout=[0.1]),
    dl.Network((3, 2, 2), readout=[1 / 3, -1e-300]),
]


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_files_hold_results_as_they_are(network: dl.Network, tmp_path: Path) -> None:
    start = dl.init.Gaussian(0.5).sample(network, 0)
    alone = dl.simulate(dl.Landscape(network, REGRESSION), start, dl.GradientDescent(0.1), steps=3)
    for dataset in (sweep(network), alone):
        read = again(dataset, tmp_path)
        assert read.identical(dataset)
        assert dl.Network(**json.loads(read.network.item())) == network


@pytest.mark.parametrize("changes", [{"activation": "tanh"}, {"readout": [0.5, 2.0]}], ids=str)
def test_files_hold_other_networks(changes: dict[str, Any], tmp_path: Path) -> None:
    network = dl.Network((3, 4, 2), **({"readout": [1.0, 0.0]} | changes))
    dataset = sweep(network, record=("risk",))
    read = again(dataset, tmp_path)
    assert read.identical(dataset)
    assert dl.Network(**json.loads(read.network.item())) == network


@pytest.mark.parametrize("widths", [(3, 1), (3, 2, 1)])
def test_files_of_earlier_versions(widths: tuple[int, ...], tmp_path: Path) -> None:
    """They have the readout of one output as a number."""
    old = xr.Dataset(attrs={"widths": np.array(widths), "readout": np.array([0.5])})
    attrs = again(old, tmp_path).attrs
    assert np.ndim(attrs["readout"]) == 0
    network = dl.Network(attrs["widths"], readout=attrs["readout"])
    assert network == dl.Network(widths, readout=[0.5])
    assert dl.Network(widths, readout=2) == dl.Network(widths, readout=[2.0])
    for wrong in (0.0, np.nan, "1", 1j):
        with pytest.raises((TypeError, ValueError), match="readout"):
            dl.Network(widths, readout=wrong)
    with pytest.raises(ValueError, match="readout must be"):
        dl.Network((3, 2), readout=1.0)


@pytest.mark.parametrize("seeds", [[2**63 - 1, 1], [2**64 - 1], [2**64, 1], [10**300, 2**64]])
def test_seeds_in_files(seeds: list[int], tmp_path: Path) -> None:
    dataset = sweep(NETWORKS[1], seeds=seeds)
    read = again(dataset, tmp_path)
    assert read.identical(dataset)
    assert [int(seed) for seed in read.seed.values] == seeds
    assert sweep(NETWORKS[1], seeds=read.seed).identical(dataset)


@pytest.mark.parametrize("large", [2**63, 2**63 + 1, 2**64 - 1, 2**64])
def test_seeds_that_are_put_together(large: int, tmp_path: Path) -> None:
    """Beside int64, uint64 becomes float64, which holds neither of two seeds in a row."""
    seeds = [0, 2**53 + 1, large]
    parts = [sweep(NETWORKS[1], seeds=seeds[:2]), sweep(NETWORKS[1], seeds=seeds[2:])]
    whole = xr.concat(parts, dim="seed")
    assert [int(seed) for seed in whole.seed.values] == seeds
    assert whole.risk.sel(seed=str(large), drop=True).identical(
        parts[1].risk.isel(seed=0, drop=True)
    )
    text = whole.assign_coords(seed=whole.seed.astype(str))  # files hold one kind of labels
    assert again(text, tmp_path).seed.identical(text.seed)
    assert again(parts[1], tmp_path).identical(parts[1])
    assert sweep(NETWORKS[1], seeds=whole.seed).seed.values.tolist() == [str(s) for s in seeds]


def test_attributes_that_differ_are_dropped_on_request() -> None:
    """As the documentation of `simulate` says."""
    init = {rate: dl.init.Gaussian(0.5 + rate) for rate in (0.01, 0.02)}
    parts = [
        sweep(NETWORKS[1], dynamics=dl.GradientDescent(rate), init=law, tolerance=rate)
        for rate, law in init.items()
    ]
    differ = {"learning_rate", "initialization", "tolerance"}
    whole = xr.concat(parts, dim=pd.Index(init, name="rate"), combine_attrs="drop_conflicts")
    assert whole.attrs == {k: v for k, v in parts[0].attrs.items() if k not in differ}
    assert differ < parts[0].attrs.keys()


def test_experiments_in_files(tmp_path: Path) -> None:
    for kind in ("plain", "residual"):
        for d in (1, 3):
            preset = Preset(
                f"{kind}-{d}", "", GaussianData(9, d, 1.0), Architecture(kind, (1, 3)),
                dl.init.Gaussian(0.5), (Training(dl.GradientDescent(0.01), 2, steps=12),),
            )  # fmt: skip
            dataset = reproduce.run(preset, progress=False)
            read = xr.load_dataset(reproduce.save(dataset, tmp_path), engine="h5netcdf")
            assert read.identical(dataset)
            network = preset.network.network(d, 3, preset.seed)
            assert dl.Network(network.widths, read.attrs["readout"]) == network


def without_weights(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.drop_dims("parameter")  # of records, too


PUT_TOGETHER = [
    [dl.Network((3, 4, 1)), dl.Network((3, 4, 4, 1))],
    [dl.Network((3, 1)), dl.Network((3, 200, 400, 1))],  # of another engine
    [dl.Network((3, 2), readout=[1.0, 0.0]), dl.Network((3, 2), readout=[0.0, 1.0])],
    [dl.Network((3, 4, 1)), dl.Network((3, 4, 1), activation="tanh")],
]


@pytest.mark.parametrize("networks", PUT_TOGETHER, ids=["depth", "engine", "readout", "activation"])
def test_what_is_put_together_claims_nothing_false(networks: list[dl.Network]) -> None:
    """Attributes hold of every part; what describes the network stands beside each."""
    parts = [without_weights(sweep(network, record=("risk",))) for network in networks]
    whole = xr.concat(parts, dim="depth")
    for part in parts:
        assert whole.attrs.items() <= part.attrs.items()
    assert [dl.Network(**json.loads(text)) for text in whole.network.values] == networks
    found = np.broadcast_to(whole.engine.values, len(parts)).tolist()
    assert found == [part.engine.item() for part in parts]
    along = xr.concat(parts, dim="seed", coords="different", compat="equals")
    assert [json.loads(text)["widths"] for text in along.network.values] == [
        list(network.widths) for network in networks for _ in range(2)
    ]


def test_several_depths() -> None:
    """With the records of their layers."""
    depths = pd.Index([2, 4, 3], name="depth")
    parts = [without_weights(sweep(dl.Network((3,) * depth + (1,)))) for depth in depths]
    whole = xr.concat(parts, dim=depths, join="outer")
    assert whole.layer_norm.sel(depth=2).isel(layer=-1).isnull().all()
    for depth, part in zip(depths, parts, strict=True):
        cell = whole.sel(depth=depth)
        np.testing.assert_array_equal(cell.risk, part.risk)
        assert json.loads(cell.network.item())["widths"] == [3] * depth + [1]


def test_more_seeds_of_the_same() -> None:
    network = dl.Network((3, 4, 1))
    parts = [sweep(network, seeds=seeds, record=("risk",)) for seeds in ([0, 1], [2, 3])]
    whole = xr.concat(parts, dim="seed")
    assert whole.identical(sweep(network, seeds=4, record=("risk",)))


def test_methods_on_several_engines() -> None:
    """What a sweep puts together itself: descent of large networks is wide, dopri5 too, or not."""
    network = dl.Network((3, 300, 300, 1))
    flow = dl.GradientFlow(["rk4", "dopri5"], step=0.01)
    dataset = sweep(network, dynamics=flow, steps=None, time=0.02, record=("risk",))
    for method in ("rk4", "dopri5"):
        one = dl.GradientFlow(method, step=0.01)
        part = sweep(network, dynamics=one, steps=None, time=0.02, record=("risk",))
        cell = dataset.sel({"method": method})
        engines = np.unique(cell.engine.values)
        assert engines.tolist() == [part.engine.item()]
        np.testing.assert_array_equal(cell.risk, part.risk)
