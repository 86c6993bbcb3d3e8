"""A few runs of every kind of kernel on a device, for checks that make each of them slow."""

from __future__ import annotations

import sys

import deeplinear as dl


def main(name: str) -> None:
    """Train them; the name is "emulated", or one of a device."""
    where = {"engine": name} if name == "emulated" else {"device": name}
    data = dl.gaussian_regression(n=9, d=4, seed=0)
    descent, heavy = dl.GradientDescent(0.05), dl.GradientDescent(0.05, momentum=0.9)
    flows = dl.GradientFlow("rk4", step=0.05), dl.GradientFlow("dopri5")
    for activation in ("identity", "gelu"):
        network = dl.Network((4, 4, 5, 4, 1), activation=activation)
        landscape = dl.Landscape(network, data)
        for dtype in ("float64", "float32"):
            for dynamics in (descent, heavy, *flows):
                end = {"steps": 20} if dynamics in (descent, heavy) else {"time": 0.5}
                law = dl.init.Gaussian(0.5)
                runs = dl.sweep(
                    landscape, law, dynamics, seeds=70, dtype=dtype, progress=False, **end, **where
                )
                print(activation, dtype, dynamics, set(runs.status.values.ravel()))


if __name__ == "__main__":
    main(sys.argv[1])
