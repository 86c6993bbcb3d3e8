"""Refinement: the boundary that it finds, its points, and that nothing stops it for good."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.store import blocks
from deeplinear.store.drive import Progress
from deeplinear.store.errors import StoreError
from deeplinear.store.levels import Level, LevelPath, levels_of, opened_at
from deeplinear.store.opened_store import FAILED, Store, opened
from deeplinear.store.repair import verify

QUIET = {"progress": False}


def files(path: Path) -> dict[str, bytes]:
    """What every file of a store holds."""
    found = {f.relative_to(path).as_posix(): f for f in path.glob("**/*") if f.is_file()}
    return {name: file.read_bytes() for name, file in found.items()}


def two_layers(path: Path, scale: object, rate: object, **options: object) -> xr.Dataset:
    """A grid of two layers of one weight each, on one sample x = 1 of target 0."""
    landscape = dl.Landscape(dl.Network((1, 1, 1)), dl.Regression([[1.0]], [0.0]))
    settings = {"seeds": 1, "steps": 100, "store": path, **QUIET, **options}
    return dl.sweep(landscape, dl.init.Orthogonal(scale), dl.GradientDescent(rate), **settings)


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


def make_family(path: Path) -> None:
    """A grid of networks of two depths on data of two noises, whose blocks are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_SHORTEST", 2e-4)
        dl.sweep(
            dl.Landscapes(dl.Networks(depth=[2, 3]), dl.data.Gaussian(n=12, d=3, noise=[0.0, 1.0])),
            dl.init.Gaussian([1.6, 0.4]),
            dl.GradientDescent([0.05, 0.1, 0.2]),
            seeds=[4, 7, 2],
            steps=60,
            record=("risk", "layer_norm"),
            keep_weights=True,
            store=path,
            **QUIET,
        )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, xr.Dataset]:
    """A grid, the same refined, and its points."""
    folder = tmp_path_factory.mktemp("family")
    make_family(folder / "grid.zarr")
    shutil.copytree(folder / "grid.zarr", folder / "refined.zarr")
    points = dl.refine(folder / "refined.zarr", levels=2, **QUIET)
    return folder / "grid.zarr", folder / "refined.zarr", points


@pytest.fixture
def family(undisturbed: tuple[Path, Path, xr.Dataset], tmp_path: Path) -> Path:
    """A copy of the grid."""
    return Path(shutil.copytree(undisturbed[0], tmp_path / "runs.zarr"))


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


@pytest.mark.parametrize("executor", ["processes", None])
def test_levels_have_the_same_bytes_whoever_works(family, undisturbed, executor):
    _, other, points = undisturbed
    shares: list[float] = []
    ended = dl.refine(family, levels=2, executor=executor, threads=1, progress=shares.append)
    xr.testing.assert_identical(ended, points)
    assert files(family) == files(other)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_more_levels_go_on_from_those_that_are_there(family, undisturbed):
    first = dl.refine(family, levels=1, **QUIET)
    before = files(family)
    xr.testing.assert_identical(dl.refine(family, levels=2, **QUIET), undisturbed[2])
    after = files(family)
    assert [name for name in before if before[name] != after[name]] == ["zarr.json"]
    xr.testing.assert_identical(dl.refine(family, levels=1, **QUIET), first)


def test_two_drivers_at_once_make_the_same(family, undisturbed):
    code = f"import deeplinear as dl; dl.refine({str(family)!r}, levels=2, progress=False)"
    both = [subprocess.Popen([sys.executable, "-P", "-W", "error", "-c", code]) for _ in range(2)]
    assert [driver.wait() for driver in both] == [0, 0]
    assert files(family) == files(undisturbed[1])
    assert [path.name for path in family.parent.iterdir()] == [family.name]


@pytest.mark.parametrize("stop", [2, 9])
def test_interrupted_anywhere_it_goes_on_with_the_same_points(
    family, undisturbed, monkeypatch, stop
):
    """Stopped in front of the mark of a block of either level."""
    left = stop

    def listed(self, name, own=Store.listed):
        nonlocal left
        if name == "blocks/error" and isinstance(self, Level) and self.done():
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return own(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "listed", listed)
        with pytest.raises(KeyboardInterrupt, match="the same call goes on with what is left"):
            dl.refine(family, levels=2, **QUIET)
    xr.open_zarr(family, chunks=None)
    assert files(family) != files(undisturbed[1])
    xr.testing.assert_identical(dl.refine(family, levels=2, **QUIET), undisturbed[2])
    assert files(family) == files(undisturbed[1])


KILLED = """
import os, signal, sys
import deeplinear as dl
from deeplinear.store import {module} as module

own, left = module.{name}, {calls}

def killed(*arguments, **options):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return own(*arguments, **options)

module.{name} = killed
dl.refine(sys.argv[1], levels=2, progress=False)
"""


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        ("levels", "add_values", 3),  # a level is half made
        ("levels", "consolidate", 2),  # it is there, and the metadata of the store know it not
        ("work", "_codes", 4),  # a block has its data, and no mark
    ],
)
def test_killed_anywhere_it_goes_on_with_the_same_points(family, undisturbed, module, name, calls):
    code = KILLED.format(module=module, name=name, calls=calls)
    killed = subprocess.run([sys.executable, "-P", "-c", code, family], check=False)
    assert killed.returncode == -signal.SIGKILL
    with xr.open_zarr(family, chunks=None) as grid:
        assert (grid.status > 0).all()
    assert files(family) != files(undisturbed[1])
    xr.testing.assert_identical(dl.refine(family, levels=2, **QUIET), undisturbed[2])
    assert files(family) == files(undisturbed[1])


def test_a_budget_stops_in_any_level_and_the_next_call_goes_on(tmp_path, undisturbed):
    path = tmp_path / "runs.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deeplinear.store.run.drive", lambda store, *_, **__: Progress(1, 0))
        make_family(path)  # nothing but the arrays
    points = dl.refine(path, levels=2, budget=1e-9, **QUIET)
    assert not points.status.any()
    assert points.share.isnull().all()
    xr.testing.assert_identical(dl.refine(path, levels=2, budget="5m", **QUIET), undisturbed[2])
    assert files(path) == files(undisturbed[1])


def test_a_block_that_fails_ends_it_and_is_tried_again(family, undisturbed, monkeypatch):
    own = Level.train

    def train(self, index, threads):
        if (self.path.number, index) == (1, (0, 0)):
            raise ArithmeticError("planted")
        return own(self, index, threads)

    with monkeypatch.context() as patch:
        patch.setattr(Level, "train", train)
        with pytest.warns(
            RuntimeWarning, match=r"1 of \d+ blocks failed.*ArithmeticError: planted"
        ):
            points = dl.refine(family, levels=2, **QUIET)
    assert points.attrs["levels"] == 1
    assert (points.status == FAILED).sum() == opened_at(LevelPath(str(family), 1)).blocks.runs(
        (0, 0)
    )
    xr.testing.assert_identical(dl.refine(family, levels=2, **QUIET), undisturbed[2])


def test_damage_in_a_level_is_found_and_runs_again(family, undisturbed):
    dl.refine(family, levels=2, **QUIET)
    chunk = sorted((family / "level_2" / "risk").glob("c.*"))[-1]
    chunk.write_bytes(chunk.read_bytes()[:-1])
    levels = levels_of(opened(family))
    assert [len(verify(level)) for level in levels] == [0, 1]
    xr.testing.assert_identical(dl.refine(family, levels=2, **QUIET), undisturbed[2])
    assert files(family) == files(undisturbed[1])


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
