"""Grids to be refined, and what their stores hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.store import blocks

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
