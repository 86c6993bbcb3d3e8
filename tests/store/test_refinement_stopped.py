"""Refinement that is stopped and killed, by one driver or two: the same bytes at the end."""

import os
import signal
import subprocess
import sys

import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.store.drive import Progress
from deeplinear.store.levels import Level, LevelPath, levels_of, opened_at
from deeplinear.store.opened_store import FAILED, Store, opened
from deeplinear.store.repair import verify
from refined_family import QUIET, files, make_family


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


def test_a_level_half_made_is_swept_when_old(family, undisturbed):
    code = KILLED.format(module="levels", name="add_values", calls=3)
    subprocess.run([sys.executable, "-P", "-c", code, family], check=False)
    (unfinished,) = family.parent.glob("runs.zarr.*.creating")
    dl.refine(family, levels=1, **QUIET)
    assert unfinished.is_dir()  # it may be another's
    os.utime(unfinished, (1, 1))
    dl.refine(family, levels=2, **QUIET)
    assert list(family.parent.iterdir()) == [family]
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

    def train(self, index, machine):
        if (self.path.number, index) == (1, (0, 0)):
            raise ArithmeticError("planted")
        return own(self, index, machine)

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
