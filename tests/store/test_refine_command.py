"""``deeplinear refine``: what it says, draws and exits with."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.store.levels import Level
from refined_family import files, two_layers
from sweep_commands import deeplinear


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "runs.zarr"
    two_layers(path, np.linspace(0.5, 1.5, 3), np.linspace(0.25, 2.25, 3))
    return path


def test_it_refines_says_how_far_and_draws(path, tmp_path):
    other = shutil.copytree(path, tmp_path / "other.zarr")
    points = dl.refine(other, levels=2, progress=False)
    counts = np.unique(points.level, return_counts=True)[1]
    out = tmp_path / "figures"
    code, said, errors = deeplinear("refine", path, "--levels", 2, "--out", out)
    assert (code, errors) == (0, "")
    lines = said.splitlines()
    assert lines[:3] == [
        f"{name:<9} {count} points"
        for name, count in zip(("the grid", "level 1", "level 2"), counts, strict=True)
    ]
    assert sorted(lines[3:]) == sorted(map(str, out.iterdir()))
    assert {file.name for file in out.iterdir()} == {
        f"phase_diagram.{ending}" for ending in ("pdf", "png", "svg")
    }
    assert files(path) == files(other)


def test_processes_refine_the_same(path, tmp_path):
    other = shutil.copytree(path, tmp_path / "other.zarr")
    assert deeplinear("refine", path, "--levels", 2)[0] == 0
    assert deeplinear("refine", other, "--levels", 2, "--processes", 2)[0] == 0
    assert files(path) == files(other)


def test_levels_that_are_damaged_are_found_and_run_again(path):
    assert deeplinear("refine", path, "--levels", 2)[0] == 0
    expected = files(path)
    chunk = min((path / "level_2" / "status").glob("c.*"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    code, said, errors = deeplinear("status", path, "--verify")
    assert (code, errors) == (0, "")
    assert said.startswith("1 block of level_2 damaged, and no longer done: (0, 0)\n")
    assert deeplinear("refine", path, "--levels", 2)[0] == 0
    assert files(path) == expected


def test_a_budget_and_failed_blocks_have_a_status_of_their_own(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Level, "train", lambda *_: 1 / 0)
        code, said, errors = deeplinear("refine", path)
    assert code == 4
    assert "failed; the same command tries them again." in errors
    assert said.startswith("the grid  9 points\nlevel 1   ")
    assert deeplinear("refine", path, "--levels", 1)[0] == 0
    code, said, errors = deeplinear("refine", path, "--budget", "0.000001s")
    assert code == 3
    assert errors.startswith("deeplinear: the budget is over; ")
    assert "\nlevel 2   " in said
    assert (xr.open_zarr(path, group="level_1", chunks=None).status > 0).all()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--by", "sharp"], 2, "by must be one of 'completed', "),
        (["--levels", "0"], 2, "levels must be a positive integer; got 0."),
        (["--processes", "2", "--mpi"], 2, "one of --processes, --dask and --mpi must be given"),
        (["--budget", "soon"], 2, "budget must be seconds"),
    ],
)
def test_bad_arguments_of_the_command(path, arguments, code, sentence):
    ended, said, errors = deeplinear("refine", path, *arguments)
    assert (ended, said) == (code, "")
    assert errors.startswith(f"deeplinear: {sentence}")
    assert errors.count("\n") == 1


def test_no_store_to_refine(tmp_path):
    path = tmp_path / "none.zarr"
    code, said, errors = deeplinear("refine", path)
    assert (code, said) == (5, "")
    assert errors == f"deeplinear: store must be that of a sweep; {path} is none, or not there.\n"
