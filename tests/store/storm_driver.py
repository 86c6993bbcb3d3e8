"""A sweep of some hundred blocks of some tenths of a second, by whoever is named."""

from __future__ import annotations

import sys

import numpy as np

import counted_work
import deeplinear as dl
from deeplinear.store import blocks, drive

NETWORK = dl.Network((5,) * 10 + (1,))
SCALES, RATES = np.linspace(0.2, 0.6, 5).tolist(), np.geomspace(0.01, 0.1, 10).tolist()
STEPS = 10_000


def landscape():
    return dl.Landscape(NETWORK, dl.gaussian_regression(n=50, d=5))


def run(store, executor, seeds):
    blocks._SHORTEST = 0.02
    drive.work = counted_work.work
    dynamics = dl.GradientDescent(RATES)
    options = {"steps": STEPS, "record": ("risk",), "progress": False}
    law = dl.init.Gaussian(SCALES)
    options |= {"store": store, "executor": executor, "keep_weights": True}
    dl.sweep(landscape(), law, dynamics, seeds=seeds, **options)


if __name__ == "__main__":
    run(sys.argv[1], None if sys.argv[2] == "here" else sys.argv[2], int(sys.argv[3]))
