"""Sweeps over families of landscapes: each cell is the simulation of its own, to the bit."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear import grid_runs
from deeplinear._support import memory
from deeplinear.sweeps import run_sweep

GAUSSIAN = dl.data.Gaussian(n=9, d=3)
DESCENT = dl.GradientDescent([0.01, 0.02])
LAW = dl.init.Gaussian([0.2, 0.4])


def swept(family: dl.Landscapes, **options: Any) -> xr.Dataset:
    own: dict[str, Any] = {"seeds": 3, "steps": 12, "progress": False}
    law, dynamics = options.pop("init", LAW), options.pop("dynamics", DESCENT)
    return dl.sweep(family, law, dynamics, **(own | options))


def alone(
    family: dl.Landscapes, cell: dict[str, Any], law: Any, dynamics: Any, **options: Any
) -> xr.Dataset:
    """The run of one cell, by `simulate`."""
    landscape = family.at(**{name: cell[name] for name in family.axes})
    law, dynamics = (
        replace(one, **{name: x for name, x in cell.items() if hasattr(one, name)})
        for one in (law, dynamics)
    )
    own: dict[str, Any] = {"steps": 12, "every": None}
    weights = law.sample(landscape.network, cell["seed"])
    return dl.simulate(landscape, weights, dynamics, **(own | options))


def assert_cells(dataset: xr.Dataset, family: dl.Landscapes, **options: Any) -> None:
    law, dynamics = options.pop("init", LAW), options.pop("dynamics", DESCENT)
    sizes = {name: dataset.sizes[name] for name in dataset.status.dims}
    assert list(sizes)[: len(family.axes)] == list(family.axes)
    for index in product(*map(range, sizes.values())):
        place = dict(zip(sizes, index, strict=True))
        one = dataset.isel(place)
        cell = {name: one[name].item() for name in sizes}
        expected = alone(family, cell, law, dynamics, **options)
        for name, variable in expected.data_vars.items():
            if name not in dataset:
                assert name == "weights"
                continue
            values = variable.isel(run=0).values
            result = one[name].transpose(*variable.dims[1:]).values
            inside = tuple(map(slice, values.shape))
            np.testing.assert_array_equal(result[inside], values, err_msg=str(name))
            if result.shape != values.shape:  # the rest is NaN
                outside = result.copy()
                outside[inside] = np.nan
                assert np.isnan(outside).all()
        assert json.loads(one.network.item()) == json.loads(expected.network.item())
        assert one.engine.item() == expected.engine.item()
        assert one.out_of_range_layer.item() == expected.out_of_range_layer.item()


FAMILIES = {
    "depth": dl.Landscapes(dl.Networks([2, 5, 1]), GAUSSIAN),
    "width": dl.Landscapes(dl.Networks(3, width=[2, 6]), GAUSSIAN),
    "kind": dl.Landscapes(dl.Networks(2, kind=["plain", "residual"], seed=3), GAUSSIAN),
    "activation": dl.Landscapes(dl.Networks(2, activation=["identity", "gelu"]), GAUSSIAN),
    "noise": dl.Landscapes(dl.Networks(2), replace(GAUSSIAN, noise=[0.0, 1.0])),
    "n": dl.Landscapes(dl.Networks(2), replace(GAUSSIAN, n=[2, 9])),
    "d": dl.Landscapes(dl.Networks(2), replace(GAUSSIAN, d=[2, 4])),
    "data_seed": dl.Landscapes(dl.Networks(2), replace(GAUSSIAN, seed=[0, 2**65])),
    "network_seed": dl.Landscapes(dl.Networks(2, kind="residual", seed=[0, 1]), GAUSSIAN),
    "condition": dl.Landscapes(
        dl.Networks([2, 3]), dl.data.Spectral(9, 3, [1, 10], ["top", "bottom"])
    ),
    "network": dl.Landscapes(dl.Network((3, 5, 1)), replace(GAUSSIAN, noise=[0.0, 1.0])),
    "regression": dl.Landscapes(dl.Networks([2, 3]), dl.gaussian_regression(9, 3, seed=8)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_cell_is_its_own_simulation(name):
    family = FAMILIES[name]
    record = ("risk", "sharpness", "layer_norm", "eigenvalues:2")
    dataset = swept(family, record=record)
    assert dataset.risk.dims == (*family.axes, "scale", "learning_rate", "seed", "step")
    assert_cells(dataset, family, record=record)


def test_along_training_with_a_tolerance_in_single_precision():
    family = FAMILIES["depth"]
    options: dict[str, Any] = {
        "init": dl.init.Residual(0.2),
        "dynamics": dl.GradientDescent([0.05, 5.0]),
        "steps": 200,
        "every": 30,
        "tolerance": 1e-4,
        "dtype": "float32",
        "record": ("risk", "weights"),
    }
    dataset = swept(family, keep_weights=True, **options)
    assert {"converged", "diverged"} <= set(dataset.status.values.ravel().tolist())
    assert dataset.weights.dtype == np.float32
    assert_cells(dataset, family, **options)


@pytest.mark.parametrize("method", ["rk4", "dopri5", ["euler", "dopri5"]])
def test_flows_over_families(method):
    family = FAMILIES["noise"]
    options: dict[str, Any] = {
        "init": dl.init.Gaussian(0.5),
        "dynamics": dl.GradientFlow(method, step=0.05),
        "steps": None,
        "time": 1.0,
    }
    dataset = swept(family, **options)
    assert dataset.time.values.tolist() == [0, 1]
    assert_cells(dataset, family, **options)


def test_momentum_keeps_the_state_of_every_size():
    family = FAMILIES["depth"]
    dynamics = dl.GradientDescent(0.01, momentum=[0.0, 0.9])
    dataset = swept(family, dynamics=dynamics, keep_state=True)
    sizes = dict(zip((2, 5, 1), (12, 39, 3), strict=True))
    for depth, size in sizes.items():
        state = dataset.state.sel(depth=depth, momentum=0.9)
        assert np.isfinite(state).sum("state_entry").min() >= size
    assert_cells(dataset, family, dynamics=dynamics, keep_state=True)


def test_engines_may_differ_between_landscapes():
    """What has 65,536 weights or more takes another one."""
    family = dl.Landscapes(dl.Networks(3, width=[4, 300]), GAUSSIAN)
    options: dict[str, Any] = {
        "init": dl.init.Gaussian(0.05), "dynamics": dl.GradientDescent(0.01), "steps": 2,
    }  # fmt: skip
    dataset = swept(family, seeds=1, **options)
    assert dataset.engine.values.tolist() == ["ensemble", "wide"]
    assert dataset.engine.dims == ("width",)
    assert_cells(dataset, family, **options)


def test_weights_of_several_sizes():
    family = FAMILIES["depth"]
    assert "weights" not in swept(family)
    assert "weights" not in swept(family, keep_weights=False)
    kept = swept(family, keep_weights=True)
    assert kept.weights.sizes["parameter"] == 39
    assert_cells(kept, family)
    for depth in (2, 5, 1):
        cell = kept.sel(depth=depth).isel(scale=0, learning_rate=1, seed=2)
        network = dl.Network(**json.loads(cell.network.item()))
        own = cell.weights.values[: network.parameters]
        assert np.isfinite(own).all()
        assert np.isnan(cell.weights.values[network.parameters :]).all()
    # of one size they are kept, unless it is said
    assert "weights" in swept(FAMILIES["noise"])
    assert "weights" not in swept(FAMILIES["noise"], keep_weights=False)
    one = dl.sweep(
        FAMILIES["depth"].at(depth=2), LAW, DESCENT, seeds=2, steps=2, keep_weights=False,
        progress=False,
    )  # fmt: skip
    assert "weights" not in one


def test_layers_that_a_network_does_not_have_are_nan():
    dataset = swept(FAMILIES["depth"], record=("layer_norm", "alignment"))
    assert dataset.layer.values.tolist() == [1, 2, 3, 4, 5]
    assert dataset.pair.values.tolist() == [1, 2, 3, 4]
    for depth in (2, 5, 1):
        there = dataset.sel(depth=depth)
        for name, dim, count in (("layer_norm", "layer", depth), ("alignment", "pair", depth - 1)):
            finite = np.isfinite(there[name]).transpose(dim, ...)
            assert finite.values[:count].all()
            assert not finite.values[count:].any()


def test_attributes_do_not_claim_for_all_what_is_true_of_one():
    dataset = swept(FAMILIES["activation"], record=("risk", "sharpness"))
    assert dataset.network.dims == ("activation",)
    assert dataset.attrs["initialization"] == repr(LAW)
    assert "learning_rate" not in dataset.attrs
    assert dataset.attrs["data"] == repr(GAUSSIAN)
    one = [swept(FAMILIES["activation"].replace({"activation": (name,)}),
                 record=("risk", "sharpness")) for name in ("identity", "gelu")]  # fmt: skip
    residuals = [part.sharpness.attrs["largest_relative_residual"] for part in one]
    assert dataset.sharpness.attrs["largest_relative_residual"] == max(residuals)
    assert dataset.sharpness.attrs["unconverged"] == 0
    assert dataset.risk.attrs == one[0].risk.attrs
    parts = [xr.Dataset(attrs={"a": 1, "b": value}) for value in (1, 2)]
    assert grid_runs._common([part.attrs for part in parts]) == {"a": 1}


def test_files_are_named_by_their_digest(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("a,y\n1,2\n3,1\n0,1\n", encoding="utf-8")
    law = dl.data.File(path)
    for family in (dl.Landscapes(dl.Networks([2, 3]), law), dl.Landscapes(dl.Networks(2), law)):
        assert str(law.sha256) in swept(family).attrs["data"]


@pytest.mark.parametrize("name", ["depth", "noise", "activation"])
def test_netcdf_keeps_all_of_it(name, tmp_path):
    dataset = swept(FAMILIES[name], record=("risk", "layer_norm", "sharpness"), keep_weights=True)
    path = tmp_path / "runs.nc"
    dataset.to_netcdf(path, engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(path, engine="h5netcdf"), dataset)


def test_large_seeds_are_text():
    dataset = swept(FAMILIES["data_seed"], seeds=[1, 2**64])
    assert dataset.seed.values.tolist() == ["1", str(2**64)]
    assert dataset.data_seed.values.tolist() == ["0", str(2**65)]


def stop_at(share: float) -> Any:
    def update(x: float) -> None:
        if x >= share:
            raise KeyboardInterrupt

    return update


def rows_are_cells(kept: xr.Dataset, whole: xr.Dataset) -> None:
    """Every run that was kept is the cell that its coordinates name."""
    dims = whole.status.dims
    for i in range(kept.sizes["run"]):
        run = kept.isel(run=i)
        cell = whole.sel({name: run[name].item() for name in dims})
        for name in kept.data_vars:
            rest = kept[name].dims[1:]
            expected = cell[name].transpose(*rest).values
            result = run[name].values
            inside = tuple(map(slice, result.shape))
            np.testing.assert_array_equal(result, expected[inside], err_msg=str(name))
        assert run.network.item() == cell.network.item()
        assert run.engine.item() == cell.engine.item()


@pytest.mark.parametrize("name", ["depth", "activation", "condition"])
@pytest.mark.parametrize("keep", [None, True])
def test_ctrl_c_keeps_the_finished_runs(name, keep):
    family = FAMILIES[name]
    count = int(np.prod([len(values) for values in family.axes.values()]))
    record = ("risk", "layer_norm", "weights")
    whole = swept(family, record=record, keep_weights=True)
    for share in (1 / count, 0.5, 1.0):
        with pytest.raises(dl.Interrupted) as caught:
            swept(family, progress=stop_at(share), record=record, keep_weights=keep, threads=1)
        kept = caught.value.dataset
        assert kept.sizes["run"] >= share * whole.status.size - 1e-9
        assert set(family.axes) <= {n for n in kept.coords if kept[n].dims == ("run",)}
        assert ("weights" in kept) == bool(keep or name == "activation")
        assert kept.run.values.tolist() == list(range(kept.sizes["run"]))
        rows_are_cells(kept, whole)


def test_ctrl_c_in_the_middle_of_a_landscape(monkeypatch):
    family = FAMILIES["depth"]
    run_cells = grid_runs.run_cells
    whole = swept(family, keep_weights=True)

    def interrupted(landscape: dl.Landscape, *arguments: Any, **options: Any) -> xr.Dataset:
        dataset = run_cells(landscape, *arguments, **options)
        if landscape.network.depth == 5:
            raise dl.Interrupted(dataset.isel(run=[1, 4, 6]))
        return dataset

    monkeypatch.setattr(grid_runs, "run_cells", interrupted)
    with pytest.raises(dl.Interrupted) as caught:
        swept(family, keep_weights=True)
    kept = caught.value.dataset
    assert kept.depth.values.tolist() == [2] * 12 + [5] * 3
    rows_are_cells(kept, whole)


def test_ctrl_c_between_two_landscapes(monkeypatch):
    family = FAMILIES["depth"]
    at, made = dl.Landscapes.at, []

    def stopping(self: dl.Landscapes, **values: Any) -> dl.Landscape:
        made.append(values["depth"])
        if made.count(5) == 2:  # the first time is the check of all
            raise KeyboardInterrupt
        return at(self, **values)

    monkeypatch.setattr(dl.Landscapes, "at", stopping)
    with pytest.raises(dl.Interrupted) as caught:
        swept(family)
    assert caught.value.dataset.depth.values.tolist() == [2] * 12
    made.clear()
    monkeypatch.setattr(dl.Landscapes, "at", lambda self, **values: stopping(self, depth=5))
    with pytest.raises(KeyboardInterrupt) as bare:
        swept(family)
    assert not isinstance(bare.value, dl.Interrupted)


def test_progress_is_one_share_of_all():
    shares: list[float] = []
    swept(FAMILIES["depth"], progress=shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert any(0 < share < 1 for share in shares)


def depth(weights: list[np.ndarray]) -> float:
    return float(len(weights))


def rows(weights: list[np.ndarray]) -> list[int]:
    return [len(layer) for layer in weights]


def cube(weights: list[np.ndarray]) -> np.ndarray:
    return np.ones((2,) * len(weights))


def test_functions_of_ones_own():
    """What they return may be longer on some landscapes, not of more axes."""
    dataset = swept(FAMILIES["depth"], record=("risk", rows))
    assert dataset.rows.sizes["rows_0"] == 5
    for depth in (2, 5, 1):
        expected = np.full(5, np.nan)
        expected[:depth] = [*[3] * (depth - 1), 1]
        there = dataset.rows.sel(depth=depth).transpose(..., "rows_0").values
        np.testing.assert_array_equal(there.reshape(-1, 5), np.tile(expected, (24, 1)))
    with pytest.raises(ValueError, match=r"^cube must return arrays of as many axes on every land"):
        swept(FAMILIES["depth"], record=("risk", cube))


def test_a_cell_goes_on_from_where_it_ended():
    family = FAMILIES["depth"]
    first = swept(family, record=("risk", "distance", "layer_norm"), keep_weights=True)
    whole = swept(family, steps=20, record=("risk", "distance", "layer_norm"), keep_weights=True)
    for depth in (2, 5):
        landscape = family.at(depth=depth)
        inside = {"parameter": slice(landscape.network.parameters), "layer": slice(depth)}
        cell, expected = (x.sel(depth=depth).isel(inside) for x in (first, whole))
        more = dl.resume(landscape, cell, steps=8, progress=False)
        np.testing.assert_array_equal(more.weights, expected.weights)
        np.testing.assert_array_equal(more.risk.isel(step=-1), expected.risk.isel(step=-1))


BENT = FAMILIES["activation"]
REFUSED = [
    (BENT, {"record": ("risk", "distance")}, "record must not hold 'distance' where "),
    (FAMILIES["depth"], {"record": ("risk", depth)}, "record must hold functions with names of"),
    (FAMILIES["depth"], {"record": "eigenvalues:5"}, r"record\['eigenvalues'\] must be"),
    (
        dl.Landscapes(dl.Network((3, 1)), replace(GAUSSIAN, d=[3, 4])),
        {},
        r"network must have as many inputs, widths\[0\], as the data have dimensions, 4; got 3",
    ),
    (BENT, {"engine": "slow"}, "engine must be one of "),
    (FAMILIES["depth"], {"seeds": 0}, "seeds must be "),
    (FAMILIES["depth"], {"budget": 3}, "budget must be None where no store is given"),
    (FAMILIES["depth"], {"executor": "processes"}, "executor must be None where no store"),
]


@pytest.mark.parametrize(("family", "options", "words"), REFUSED)
def test_what_one_landscape_does_not_take_is_refused_before_any_runs(
    family, options, words, monkeypatch
):
    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a run has started")

    monkeypatch.setattr(grid_runs, "run_cells", never)
    with pytest.raises((ValueError, TypeError), match=f"^{words}") as caught:
        swept(family, **options)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_the_memory_is_refused_before_any_runs(monkeypatch):
    """Each landscape alone would."""
    monkeypatch.setattr(grid_runs, "run_cells", None)
    free = memory.available_memory
    # 12 runs on each of 3 landscapes: 2 places of 2 records, 39 weights of the largest, the ends
    needed = 2 * 8 * 36 * (4 + 39 + 7)
    for available, error in ((needed - 1, MemoryError), (needed, TypeError)):
        monkeypatch.setattr(memory, "available_memory", lambda a=available: a)
        with pytest.raises(error, match="memory: 36 runs on 3 landscapes" if error is MemoryError
                           else "NoneType"):  # fmt: skip
            swept(FAMILIES["depth"], keep_weights=True)
    monkeypatch.setattr(memory, "available_memory", free)


def test_a_description_runs_as_its_call():
    family = FAMILIES["condition"]
    described = dl.Sweep(family, LAW, DESCENT, 3, steps=12)
    xr.testing.assert_identical(run_sweep(described, progress=False), swept(family))
