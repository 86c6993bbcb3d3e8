"""Times of a run and a step on a device, beside this machine's processor, as lines of JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import deeplinear as dl

#: name, widths, activation, samples, runs on a device, steps
WORKS = (
    ("5x5 L=10", (5,) * 10 + (1,), "identity", 50, 50_000, 4_000),
    ("20x20 L=5", (20,) * 5 + (1,), "identity", 50, 10_000, 500),
    ("5x5 L=100", (5,) * 100 + (1,), "identity", 50, 20_000, 400),
    ("GELU 5x5 L=10", (5,) * 10 + (1,), "gelu", 50, 10_000, 200),
)


def seconds(landscape: dl.Landscape, runs: int, steps: int, dtype: str, **where: Any) -> float:
    """Return the time of all runs, without that of drawing their weights."""
    weights = dl.init.Residual(0.0).sample(landscape.network, seed=0)
    many = [layer[None].repeat(runs, axis=0) for layer in weights]
    options: dict[str, Any] = {"every": None, "record": "risk", "dtype": dtype, **where}
    descent = dl.GradientDescent(1e-4)
    dl.simulate(landscape, many, descent, steps=2, **options)  # loads the kernels
    began = time.perf_counter()
    dl.simulate(landscape, many, descent, steps=steps, **options)
    return time.perf_counter() - began


def main(name: str, file: Path) -> None:
    """Append a line for each work and precision; the name is "emulated", or one of a device."""
    emulated = name == "emulated"
    where = {"engine": name} if emulated else {"device": name}
    for label, widths, activation, n, runs, steps in WORKS:
        network = dl.Network(widths, activation=activation)
        landscape = dl.Landscape(network, dl.gaussian_regression(n=n, d=widths[0], seed=0))
        for dtype in ("float64", "float32"):
            count, length = (64, 20) if emulated else (runs, steps)
            few = 64 if emulated else 2048
            device = [seconds(landscape, count, length, dtype, **where) for _ in range(3)]
            here = [seconds(landscape, few, 20, dtype) for _ in range(3)]
            line = {
                "work": label,
                "dtype": dtype,
                "device": name,
                "runs": count,
                "steps": length,
                "device_ns": 1e9 * median(device) / count / length,
                "processor_ns": 1e9 * median(here) / few / 20,
            }
            print(json.dumps(line), flush=True)
            with file.open("a") as results:
                results.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
