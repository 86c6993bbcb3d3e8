"""Parts of results, files of them and what people add, in `resume`: what goes on, and what not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl

NETWORK = dl.Network((3, 3, 3, 1))
REGRESSION = dl.gaussian_regression(n=20, d=3, noise=1.0, seed=0)
LANDSCAPE = dl.Landscape(NETWORK, REGRESSION)


def swept(steps: int, **options: Any) -> xr.Dataset:
    """Two learning rates, two momenta and three seeds, one of them beyond int64."""
    arguments: dict[str, Any] = {"seeds": [0, 2**63, 7], "every": 10, "progress": False}
    return dl.sweep(
        LANDSCAPE,
        dl.init.Gaussian([0.5]),
        dl.GradientDescent([0.02, 0.05], momentum=[0.0, 0.9]),
        steps=steps,
        **(arguments | options),
    )


def simulated(steps: int, runs: int = 4, **options: Any) -> xr.Dataset:
    rng = np.random.default_rng(0)
    starts = [0.4 * rng.standard_normal((runs, *shape)) for shape in NETWORK.shapes]
    descent = dl.GradientDescent(0.02, momentum=0.5)
    return dl.simulate(LANDSCAPE, starts, descent, steps=steps, **({"every": 5} | options))


def flows(time: float, **fields: Any) -> xr.Dataset:
    flow = dl.GradientFlow(**({"method": ["euler", "rk4"], "step": 0.02} | fields))
    law = dl.init.Gaussian(0.4)
    return dl.sweep(LANDSCAPE, law, flow, seeds=2, time=time, every=10, progress=False)


def norms(weights: list[Any]) -> Any:
    return [np.linalg.norm(layer) for layer in weights]


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    xr.testing.assert_equal(one, other)


@pytest.mark.parametrize(
    "part",
    [
        {"learning_rate": 1},
        {"momentum": 1},
        {"momentum": 0, "scale": 0},
        {"scale": 0, "learning_rate": 1, "momentum": 1, "seed": 2},
        {"seed": [2, 0], "momentum": [1]},
    ],
)
def test_a_part_of_a_sweep(part: dict[str, Any]) -> None:
    same(dl.resume(LANDSCAPE, swept(20).isel(part), steps=20), swept(40).isel(part))


@pytest.mark.parametrize("part", [{"run": 2}, {"run": [3, 1]}, {"run": slice(1, None)}])
def test_some_runs(part: dict[str, Any]) -> None:
    same(dl.resume(LANDSCAPE, simulated(20).isel(part), steps=20), simulated(40).isel(part))


def test_other_orders_of_dimensions() -> None:
    options: dict[str, Any] = {"record": ("risk", "singular_values", "weights", norms)}
    turned = dl.resume(LANDSCAPE, simulated(20, **options).transpose(), steps=20, **options)
    whole = simulated(40, **options)
    same(turned.transpose(*whole.singular_values.dims, ...), whole.transpose("run", "step", ...))
    turned = dl.resume(LANDSCAPE, swept(20).transpose("step", "seed", ...), steps=20)
    same(turned.transpose(*swept(40).risk.dims, ...), swept(40))


@pytest.mark.parametrize("method", [0, 1, [1]])
def test_a_method_of_several_and_the_grid_of_a_flow(method: Any) -> None:
    same(
        dl.resume(LANDSCAPE, flows(1.0).isel(method=method), time=1.0),
        flows(2.0).isel(method=method),
    )


def test_seeds_of_any_size_in_files(tmp_path: Any) -> None:
    swept(20).to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    joined = dl.resume(LANDSCAPE, xr.load_dataset(tmp_path / "part.nc", engine="h5netcdf"), steps=9)
    assert joined.seed.values.tolist() == ["0", str(2**63), "7"]
    joined.to_netcdf(tmp_path / "more.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "more.nc", engine="h5netcdf")
    xr.testing.assert_identical(again, joined)
    same(dl.resume(LANDSCAPE, again, steps=11).drop_sel(step=29), swept(40))


def test_results_that_were_put_together() -> None:
    """What only some of them have, such as a state, too."""

    def one(momentum: float, steps: int) -> xr.Dataset:
        law, descent = dl.init.Gaussian(0.4), dl.GradientDescent(0.02, momentum=momentum)
        return dl.simulate(LANDSCAPE, law.sample(NETWORK, 0), descent, steps=steps, every=5)

    momenta = [0.0, 0.9]
    parts = [one(momentum, 20) for momentum in momenta]
    together = xr.concat(parts, "momentum", combine_attrs="drop_conflicts")
    joined = dl.resume(LANDSCAPE, together.assign_coords(momentum=momenta), steps=20)
    for momentum in momenta:
        part = joined.sel(momentum=momentum, drop=True)
        for name in ("risk", "weights", "status", "last_step"):
            np.testing.assert_array_equal(part[name], one(momentum, 40)[name])
    unlabelled = together.drop_vars("state").copy()
    unlabelled.attrs.clear()
    with pytest.raises(
        ValueError, match="dataset must keep 'method', a coordinate or an attribute"
    ):
        dl.resume(LANDSCAPE, unlabelled, steps=1)
    with pytest.raises(ValueError, match="dataset must keep 'learning_rate', a coordinate"):
        dl.resume(LANDSCAPE, unlabelled.assign_attrs(method="gradient descent"), steps=1)


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        ((10, 40, 50), None, [0, 10, 50, 100]),
        ((15, 15, 15), 10, [0, 10, 15, 20, 30, 40, 45]),
        ((10, 10, 10), 10, [0, 10, 20, 30]),
    ],
)
def test_the_distance_of_records(steps: Any, every: int | None, expected: list[int]) -> None:
    joined = simulated(steps[0], every=every)
    for more in steps[1:]:
        joined = dl.resume(LANDSCAPE, joined, steps=more)
    assert joined.step.values.tolist() == expected


def test_the_distance_of_records_of_a_flow_that_was_cut_short() -> None:
    joined = flows(1.0, method="rk4", step=0.03)  # 33.3 steps
    joined = dl.resume(LANDSCAPE, joined, time=0.5)
    joined = dl.resume(LANDSCAPE, joined, time=0.5)
    ends = [0, 0.3, 0.6, 0.9, 1.0, 1.2, 1.5, 1.8, 2.0]
    assert joined.time.values[:5].tolist() == pytest.approx(ends[:5])
    assert np.diff(joined.time.values).max() == pytest.approx(0.3)
    assert {1.0, 1.5, 2.0} <= set(joined.time.values.tolist())


@pytest.mark.parametrize("counts", [(2, 4), (4, 2)])
def test_other_numbers_of_eigenvalues(counts: tuple[int, int]) -> None:
    first, second = ({"record": ("risk", f"eigenvalues:{count}")} for count in counts)
    joined = dl.resume(LANDSCAPE, simulated(20, **first), steps=20, **second).eigenvalues
    assert joined.eigenvalue.values.tolist() == [1, 2, 3, 4]
    whole = simulated(40, record="eigenvalues:4").eigenvalues
    for part, count in zip((slice(0, 5), slice(5, None)), counts, strict=True):
        kept = joined[:, part]
        np.testing.assert_allclose(kept[..., :count], whole[:, part, :count], rtol=1e-10)
        assert np.isnan(kept[..., count:]).all()


def test_functions_keep_their_shape_and_their_name() -> None:
    record = ("risk", norms)
    same(dl.resume(LANDSCAPE, simulated(20, record=record), steps=20, record=record),
         simulated(40, record=record))  # fmt: skip

    def named(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        function.__name__ = name
        return function

    calls: list[int] = []
    shorter = named("norms", lambda weights: calls.append(1) or [1.0, 2.0])
    with pytest.raises(ValueError, match=r"norms must return arrays of one shape; got \(2,\) aft"):
        dl.resume(LANDSCAPE, simulated(20, record=record), steps=20, record=shorter)
    assert len(calls) == 1
    taken = named("scale", lambda weights: 1.0)
    with pytest.raises(ValueError, match="names of their own; 'scale' is taken in dataset"):
        dl.resume(LANDSCAPE, swept(20), steps=20, record=taken)


def test_what_people_add_stays() -> None:
    part = swept(20)
    part["excess"] = part.risk - 1.0
    part["best"] = part.risk.min("step")
    part["median"] = part.risk.median(["scale", "learning_rate", "momentum", "seed"])
    part["answer"] = 42.0
    part = part.assign_coords(label=("seed", ["a", "b", "c"]))
    joined = dl.resume(LANDSCAPE, part, steps=20)
    same(joined[list(swept(40))].drop_vars("label"), swept(40))
    for name in ("excess", "median"):
        xr.testing.assert_equal(joined[name].isel(step=slice(0, 3)), part[name])
        assert np.isnan(joined[name].isel(step=slice(3, None))).all()
    for name in ("best", "answer", "label"):
        xr.testing.assert_equal(joined[name], part[name])


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda d: d.isel(step=slice(2)), "last record of its runs, of step 20; it ends with st"),
        (lambda d: d.isel(step=-1), "must have the dimension 'step', as isel"),
        (lambda d: d.drop_vars("step"), "must have the dimension 'step', as isel"),
        (lambda d: d.isel(run=[]), "a run that completed; got no run"),
        (lambda d: d.isel(layer=[0, 1]), r"must hold 'layer_norm' whole .*'layer': 3.*'layer': 2"),
        (lambda d: d.isel(layer=0), "must hold 'layer_norm' whole .*; got nothing"),
        (lambda d: d.assign(weights=d.weights.where(d.run > 0)), "must have the weights of all"),
        (lambda d: d.assign(weights=2 * d.weights), "runs on the landscape's data, with their"),
    ],
)  # fmt: skip
def test_parts_that_cannot_go_on(cut: Callable[[xr.Dataset], xr.Dataset], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dl.resume(LANDSCAPE, cut(simulated(20, record=("risk", "layer_norm"))), steps=1)


def test_flows_that_lost_their_last_record_and_other_data() -> None:
    with pytest.raises(ValueError, match="with their last record; of run 0 the last risk is"):
        dl.resume(LANDSCAPE, flows(1.0).isel(method=0, time=slice(0, 3)), time=1.0)
    other = dl.Landscape(NETWORK, dl.gaussian_regression(n=20, d=3, noise=1.0, seed=1))
    with pytest.raises(ValueError, match="runs on the landscape's data"):
        dl.resume(other, simulated(20), steps=1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (dl.Network((3,) * 500 + (1,)), "which has 500 layers; got 3"),
        (dl.Network((3, 4, 3, 1)), r"which has widths\[1\] = 4; got 3"),
        (dl.Network((3, 3, 3, 1), readout=[2.0]), "which has another readout"),
        (
            dl.Network((3, 3, 3, 1), activation="gelu"),
            "which has the activation 'gelu'; got 'identity'",
        ),
    ],
)
def test_other_networks(network: dl.Network, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^dataset must hold runs of .*, {message}\.$"):
        dl.resume(dl.Landscape(network, REGRESSION), simulated(20), steps=1)


def test_another_tolerance() -> None:
    """The result says it, and holds it further on."""
    joined = dl.resume(LANDSCAPE, simulated(20), steps=5000, tolerance=1e-6, every=None)
    assert (joined.status == "converged").all()
    assert joined.attrs == {**simulated(20).attrs, "tolerance": 1e-6}
    assert (joined.last_step < 5020).all()
    with pytest.raises(ValueError, match="a run that completed; got 4 converged"):
        dl.resume(LANDSCAPE, joined, steps=1)


def test_several_methods() -> None:
    with pytest.raises(ValueError, match=r"runs of one method, as isel .*\['euler', 'rk4'\]"):
        dl.resume(LANDSCAPE, flows(1.0), time=1.0)


def test_sweeps_keep_their_state_where_it_is_asked_for() -> None:
    assert "state" in swept(20, keep_state=True)
    part = swept(20, keep_state=False)
    assert "state" not in part
    with pytest.raises(ValueError, match="simulate and sweep keep it with keep_state=True"):
        dl.resume(LANDSCAPE, part, steps=1)
    plain = dl.resume(LANDSCAPE, part.sel(momentum=0.0), steps=20)
    same(plain, swept(40, keep_state=False).sel(momentum=0.0))
