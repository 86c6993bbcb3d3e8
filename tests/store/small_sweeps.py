"""A sweep of many small blocks, and what tests of stores look at."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import deeplinear as dl

NETWORK = dl.Network((3, 3, 3, 1))
SCALES = (0.3, 0.5, 0.9)
RATES = (0.01, 0.1, 1.0)
SETTINGS = {"steps": 40, "record": ("risk", "layer_norm")}
RUNS = len(SCALES) * len(RATES) * 20


def landscape():
    return dl.Landscape(NETWORK, dl.gaussian_regression(n=12, d=3))


def sweep(store=None, *, scales=SCALES, **options):
    law, dynamics = dl.init.Gaussian(list(scales)), dl.GradientDescent(list(RATES))
    settings = {"seeds": 20, **SETTINGS, "progress": False, **options}
    return dl.sweep(landscape(), law, dynamics, store=store, **settings)


def digests(store) -> dict[str, str]:
    """The SHA-256 of every file of a store, but for those that a killed process began to write."""
    files = sorted(file for file in Path(store).rglob("*") if file.is_file())
    files = [file for file in files if file.suffix != ".partial"]
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def same(stored, dataset):
    """Whether a store has the numbers of a sweep in memory, to the bit."""
    names = ("risk", "layer_norm", "last_step", "out_of_range_layer")
    return all(
        np.array_equal(stored[name].values, dataset[name].values, equal_nan=name in names[:2])
        for name in names
    )
