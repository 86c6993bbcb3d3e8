"""Refinement: the boundary that it finds, its points, and how they open."""

import doctest
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.store.errors import StoreError
from deeplinear.store.opened_store import opened
from refined_family import QUIET, files, make_family, two_layers


def diverges(points: xr.Dataset) -> np.ndarray:
    """Whether the runs of `two_layers` diverge; those on the boundary are NaN.

    With layers of one size s, kappa = 2 s^2 and f^2 = kappa^2 / 4, one step is exactly
    kappa' = kappa (1 - eta kappa)^2, so that kappa falls for eta kappa < 2, and grows above.
    """
    edge = points.learning_rate.values * 2 * points.scale.values**2 - 2
    return np.where(np.abs(edge) < 1e-12, np.nan, edge > 0)


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    path = tmp_path_factory.mktemp("refined") / "runs.zarr"
    two_layers(path, np.linspace(0.5, 1.5, 5), np.linspace(0.25, 2.25, 5))
    return path, dl.refine(path, levels=6, **QUIET)


def test_the_boundary_is_found_to_the_256th_of_the_range(refined):
    _, points = refined
    assert points.sizes["point"] < 0.05 * 257**2
    assert points.level.max() == 6
    exact = diverges(points)
    there = np.isfinite(exact)
    np.testing.assert_array_equal(points.share.values[there], exact[there])
    # Of every rate of the finest grid, the boundary lies between neighbours of it.
    rows = np.linspace(0.25, 2.25, 257)
    for rate in rows[(rows >= 0.5) & (rows <= 2.2)]:
        row = points.isel(point=points.learning_rate.values == rate)
        stays = row.scale.values[row.share.values == 0].max()
        leaves = row.scale.values[row.share.values == 1].min()
        assert 0 < leaves - stays <= 1 / 256
        assert stays <= np.sqrt(1 / rate) * (1 + 1e-12)
        assert leaves >= np.sqrt(1 / rate) * (1 - 1e-12)


def test_points_lie_on_the_finer_grid_and_none_is_there_twice(refined):
    _, points = refined
    places = [points.scale.values * 256, points.learning_rate.values * 128]
    assert all(np.array_equal(place, np.round(place)) for place in places)
    assert len(set(zip(*places, strict=True))) == points.sizes["point"]


def test_a_store_of_levels_opens_in_xarray(refined):
    path, points = refined
    grid = xr.open_zarr(path, chunks=None)
    assert grid.status.dims == ("scale", "learning_rate", "seed")
    level = xr.open_zarr(path, group="level_6", chunks=None)
    last = points.isel(point=points.level.values == 6)
    assert {"scale", "learning_rate"} <= set(level.coords)
    for name in ("risk", "status", "scale", "learning_rate"):
        np.testing.assert_array_equal(level[name].values, last[name].values)
    assert not [name for name in path.parent.iterdir() if name != path]


def test_the_tree_of_a_store(refined):
    pytest.importorskip("xarray", "2024.10")
    path, points = refined
    tree = dl.open_tree(path)
    assert list(tree.children) == ["grid", *(f"level_{k}" for k in range(1, 7))]
    sizes = [child.sizes["point"] for child in list(tree.children.values())[1:]]
    assert sizes == [int((points.level == k).sum()) for k in range(1, 7)]
    opened = xr.open_datatree(path, engine="zarr")
    np.testing.assert_array_equal(opened["level_2/scale"], tree["level_2/scale"])


def test_a_tree_needs_a_newer_xarray(refined, monkeypatch):
    monkeypatch.delattr(xr, "DataTree", raising=False)
    with pytest.raises(ImportError, match=r"^A tree needs xarray 2024\.10 or later; "):
        dl.open_tree(refined[0])


def test_every_run_is_that_of_simulate(undisturbed):
    _, _, points = undisturbed
    assert set(np.unique(points.level)) == {0, 1, 2}
    assert set(np.unique(points.depth)) == {2, 3}
    assert 0.5 in points.noise  # the mean
    assert np.sqrt(0.05 * 0.1) in points.learning_rate  # the root of the product
    random = np.random.default_rng(0)
    for k in random.choice(np.flatnonzero(points.level > 0), 20, replace=False):
        point = points.isel(point=k)
        network = dl.Networks(depth=int(point.depth)).network(3)
        data = dl.data.Gaussian(n=12, d=3, noise=float(point.noise)).regression()
        for seed in points.seed.values.tolist():
            run = point.sel(seed=seed)
            one = dl.simulate(
                dl.Landscape(network, data),
                dl.init.Gaussian(float(point.scale)).sample(network, seed),
                dl.GradientDescent(float(point.learning_rate)),
                steps=60,
                every=60,
                record=("risk", "layer_norm"),
            ).squeeze("run", drop=True)
            assert list(dl.STATUS)[int(run.status)] == one.status
            assert run.last_step == one.last_step
            np.testing.assert_array_equal(run.risk, one.risk)
            np.testing.assert_array_equal(run.layer_norm[:, : network.depth], one.layer_norm)
            np.testing.assert_array_equal(run.weights[: network.parameters], one.weights)
            assert np.isnan(run.weights[network.parameters :]).all()


def test_a_record_at_the_end_is_refined_by(tmp_path):
    path = tmp_path / "runs.zarr"
    two_layers(path, [1.0, 2.0, 3.0], 0.001, steps=1)
    points = dl.refine(path, by="risk > 30", levels=3, **QUIET)
    # f' = f (1 - eta kappa)^2, with f = s^2 and kappa = 2 s^2
    risk = (points.scale**2 * (1 - 0.002 * points.scale**2) ** 2) ** 2
    np.testing.assert_allclose(points.risk[:, 0, 1], risk, rtol=1e-12)
    np.testing.assert_array_equal(points.share, risk > 30)
    # 30 is passed at 2.366: every level halves the cell that holds it.
    added = points.scale.values[points.level.values > 0]
    np.testing.assert_array_equal(added, [2.5, 2.25, 2.375])
    assert points.share.long_name == "share of seeds with risk > 30.0 at the end"


def test_a_level_that_nothing_asks_for_is_not_made(tmp_path):
    path = tmp_path / "runs.zarr"
    two_layers(path, [0.5, 0.75], [0.1, 0.2])
    points = dl.refine(path, levels=5, **QUIET)
    assert points.sizes["point"] == 4
    assert points.attrs["levels"] == 0


def test_levels_of_other_points_are_refused(family):
    dl.refine(family, levels=2, **QUIET)
    with pytest.raises(ValueError, match=r"^by must be 'diverged', by which .* level_1 was made; "):
        dl.refine(family, by="completed", levels=2, **QUIET)
    grid = opened(family)
    status = grid.group["status"]
    status[...] = np.where(status[...] == 1, 3, 1)
    status[0, 0, 0, 0] = 1
    with pytest.raises(ValueError, match=r"level_\d has other points than follow now from those"):
        dl.refine(family, levels=2, **QUIET)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"by": "sharp"}, "by must be one of 'completed', 'converged', .*; got 'sharp'"),
        ({"by": 3}, "by must be one of .*; got 3"),
        ({"by": "distance < 1"}, "by, before < or >, must be 'risk'; got 'distance'"),
        ({"by": "layer_norm < 1"}, "by, before < or >, must be 'risk'; got 'layer_norm'"),
        ({"by": "risk < one"}, "by must have a number after < or >; got 'risk < one'"),
        ({"by": "risk < nan"}, "by must have a number after < or >; got 'risk < nan'"),
        ({"levels": 0}, "levels must be a positive integer; got 0"),
        ({"levels": 31}, "levels must be a positive integer of at most 30; got 31"),
        ({"budget": "soon"}, "budget must be seconds"),
        ({"executor": "threads"}, "executor must be None"),
    ],
)
def test_bad_arguments_of_refine(undisturbed, options, sentence):
    before = files(undisturbed[0])
    with pytest.raises((TypeError, ValueError), match=sentence):
        dl.refine(undisturbed[0], **{**QUIET, **options})
    assert files(undisturbed[0]) == before


def test_what_cannot_be_halved(tmp_path):
    two_layers(tmp_path / "one.zarr", 1.0, [0.5], seeds=3)
    with pytest.raises(
        ValueError, match=r"two or more fractional numbers.* has learning_rate, seed"
    ):
        dl.refine(tmp_path / "one.zarr", **QUIET)
    two_layers(tmp_path / "near.zarr", 1.0, [1.0, np.nextafter(1.0, 2.0)])
    with pytest.raises(
        ValueError, match=r"levels must be fewer: no number lies half between 1\.0 "
    ):
        dl.refine(tmp_path / "near.zarr", **QUIET)
    with pytest.raises(StoreError, match="store must be that of a sweep"):
        dl.refine(tmp_path / "nothing.zarr", **QUIET)


def test_a_table_that_does_not_fit_is_refused_before_any_work(undisturbed, monkeypatch):
    before = files(undisturbed[0])
    monkeypatch.setattr("deeplinear._support.memory.available_memory", lambda: 1e4)
    with pytest.raises(
        MemoryError, match=r"^store must fit the memory as one table: the grid need"
    ):
        dl.refine(undisturbed[0], **QUIET)
    assert files(undisturbed[0]) == before


def test_a_store_of_zarr_can_be_refined(undisturbed):
    from zarr.storage import MemoryStore

    memory = MemoryStore()
    make_family(memory)
    xr.testing.assert_identical(dl.refine(memory, levels=2, **QUIET), undisturbed[2])
    pytest.importorskip("xarray", "2024.10")
    assert dl.open_tree(memory)["level_2"].sizes["point"] == (undisturbed[2].level == 2).sum()


def test_a_store_made_anew_at_one_place_is_another(tmp_path):
    path = tmp_path / "runs.zarr"
    ends = []
    for rate in (0.1, 0.2):
        two_layers(path, 0.5, [rate], steps=3)
        ends.append(xr.open_zarr(path, chunks=None).risk.values)
        shutil.rmtree(path)
    # f' = f (1 - eta kappa)^2 and kappa' = kappa (1 - eta kappa)^2, with kappa = 2 f = 0.5
    for rate, end in zip((0.1, 0.2), ends, strict=True):
        kappa = 0.5
        for _ in range(3):
            kappa *= (1 - rate * kappa) ** 2
        np.testing.assert_allclose(end[0, 0, 1], kappa**2 / 4, rtol=1e-12)


def test_the_example_of_refine():
    (example,) = (t for t in doctest.DocTestFinder().find(dl.refine, "refine") if t.examples)
    assert doctest.DocTestRunner().run(example) == (0, 11)
