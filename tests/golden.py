"""Hashes of what the core computes from stored numbers: a change of form must keep every bit.

``python tests/golden.py`` prints them for the SIMD level that is loaded; with ``--write`` they take
the place of those in golden.json. The numbers of a regression come from integer arithmetic or are
rounded to a grid, as NumPy's own last bits differ from processor to processor.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import deeplinear as dl
from deeplinear import _core

STORED = Path(__file__).with_name("golden.json")
FloatArray = npt.NDArray[np.float64]


def numbers(seed: int, *shape: int) -> FloatArray:
    """Multiples of 2^-9 in [-1, 1), by SplitMix64 in whole numbers."""
    places = np.arange(1, 1 + int(np.prod(shape)), dtype=np.uint64)
    z = (places + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    whole = ((z ^ (z >> np.uint64(31))) >> np.uint64(54)).astype(np.float64)
    return (whole / 512 - 1).reshape(shape)


def on_grid(values: Any) -> Any:
    return np.round(np.asarray(values) * 2.0**30) / 2.0**30


def regression(n: int, d: int) -> dl.Regression:
    """Data whose derived numbers are the same on every machine."""
    X, y, X_test, y_test = numbers(1, n, d), numbers(2, n), numbers(3, n, d), numbers(4, n)
    data = dl.Regression(X, y, X_test, y_test)
    modes, (factor, target) = data._modes, data._factor
    test_factor, test_target, rest = data._test_factor
    minimizer = on_grid(modes.minimizer)
    known = replace(modes, minimizer=minimizer, minimum_risk=float(on_grid(modes.minimum_risk)))
    # An SVD is unique but for signs and rotations: here any factor will do.
    signs = np.sign(factor.sum(axis=1))[:, None]
    test_signs = np.sign(test_factor.sum(axis=1))[:, None]
    data.__dict__.update(
        _modes=known,
        minimizer=minimizer,
        minimum_risk=known.minimum_risk,
        _factor=(on_grid(signs * factor), on_grid(signs[:, 0] * target)),
        _test_factor=(
            on_grid(test_signs * test_factor),
            on_grid(test_signs[:, 0] * test_target),
            float(on_grid(rest)),
        ),
        test_risk_at_minimizer=float(on_grid(data.test_risk_at_minimizer)),
        test_gradient_half=on_grid(data.test_gradient_half),
    )
    return data


@dataclass(frozen=True)
class Net:
    name: str
    widths: tuple[int, ...]
    samples: int
    readout: bool = False
    activation: str = "identity"
    gain: float = 1.0
    runs: int = 5

    def landscape(self) -> dl.Landscape:
        readout = numbers(5, self.widths[-1]) / 2 if self.readout else None
        network = dl.Network(self.widths, readout=readout, activation=self.activation)
        return dl.Landscape(network, regression(self.samples, self.widths[0]))

    def weights(self, seed: int = 6) -> list[FloatArray]:
        """(runs, d_k, d_{k-1}), of entries about gain / sqrt(d_{k-1}) with exact arithmetic."""
        shapes = list(zip(self.widths[1:], self.widths[:-1], strict=True))
        return [
            numbers(seed + k, self.runs, *shape)
            * self.gain
            / 2.0 ** (int(shape[1]).bit_length() // 2)
            for k, shape in enumerate(shapes)
        ]


LINEAR = (
    Net("squares", (5, 5, 5, 5, 1), 20, runs=19),
    Net("readout", (6, 6, 9, 4, 3), 30, readout=True),
    Net("one layer", (7, 1), 20),
    Net("fewer samples than inputs", (12, 6, 6, 1), 7),
    Net("far apart", (3, 11, 2, 2, 2, 1), 20, gain=2.0),
    Net("wide", (40, 70, 50, 1), 90, runs=2),
    Net("wider", (30, 130, 260, 120, 1), 64, runs=1),
)
BENT = (
    Net("gelu", (5, 5, 5, 1), 20, activation="gelu", runs=19),
    Net("tanh", (4, 9, 3, 2), 13, readout=True, activation="tanh"),
    Net("relu", (6, 6, 6, 1), 70, activation="relu"),
    Net("wide gelu", (20, 40, 33, 1), 50, activation="gelu", runs=3),
)
DYNAMICS: tuple[tuple[str, Any, dict[str, Any]], ...] = (
    ("descent", dl.GradientDescent(0.0625), {"steps": 23, "every": 5}),
    ("too fast", dl.GradientDescent(8.0), {"steps": 40, "every": 8}),
    ("euler", dl.GradientFlow("euler", step=0.03125), {"time": 0.7, "every": 9}),
    ("rk4", dl.GradientFlow("rk4", step=0.0625), {"time": 0.95, "every": 6, "tolerance": 0.01}),
    ("dopri5", dl.GradientFlow("dopri5", rtol=1e-5, atol=1e-7), {"time": 1.5, "every": 0.4}),
)
LARGE = 10_000  # weights from which on recorded spectra take too long


def digest(arrays: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array)
        values = np.where(np.isnan(values), np.nan, values) if values.dtype.kind == "f" else values
        found.update(values.tobytes())
    return found.hexdigest()[:16]


def records_of(landscape: dl.Landscape) -> tuple[str, ...]:
    names = (
        *("risk", "test_risk", "distance", "sharpness", "lowest_eigenvalue", "layer_norm"),
        *("rank_one_gap", "alignment", "balancedness"),
    )
    small = landscape.network.parameters < LARGE
    known = names if small else ("risk", "test_risk", "distance", "layer_norm")
    return tuple(name for name in known if name != "distance" or landscape.network.linear)


def runs() -> Iterator[tuple[str, str]]:
    for net in (*LINEAR, *BENT):
        landscape, weights = net.landscape(), net.weights()
        engines = ("ensemble", "wide") if net in LINEAR else ("ensemble",)
        for name, dynamics, options in DYNAMICS:
            for engine in engines:
                for dtype in ("float64", "float32"):
                    if net.runs == 1 and engine == "ensemble":
                        continue
                    dataset = dl.simulate(
                        landscape, weights, dynamics, record=records_of(landscape), dtype=dtype,
                        engine=engine, threads=2, **options,
                    )  # fmt: skip
                    status = [list(dl.STATUS).index(word) for word in dataset.status.values]
                    records = [dataset[record] for record in records_of(landscape)]
                    known = [*records, dataset.last_step, np.array(status)]
                    case = f"{net.name}, {name}, {engine}, {dtype}"
                    yield case + ": weights", digest([dataset.weights])
                    yield case + ": records", digest(known)


def landscapes() -> Iterator[tuple[str, str]]:
    for net in (*LINEAR, *BENT):
        landscape = net.landscape()
        first = [layer[0] for layer in net.weights()]
        direction = [layer[0] for layer in net.weights(seed=60)]
        yield (
            f"{net.name}: risk, gradient",
            digest([landscape.risk(first), *landscape.gradient(first)]),
        )
        yield f"{net.name}: product", digest(landscape.hessian_vector_product(first, direction))
        yield f"{net.name}: trace", digest([landscape.hessian_trace(first)])
        if landscape.network.parameters >= LARGE:
            continue
        for which in ("largest", "lowest"):
            found = landscape.sharpness(first, which=which)
            yield f"{net.name}: {which}", digest([found.value, found.residual, *found.vector])
        density = landscape.spectral_density(first, vectors=2, steps=5)
        yield f"{net.name}: density", digest([density.nodes, density.weights])


def golden() -> dict[str, str]:
    return {**dict(runs()), **dict(landscapes())}


if __name__ == "__main__":
    hashes = golden()
    if "--write" in sys.argv:
        stored = json.loads(STORED.read_text()) if STORED.exists() else {}
        stored[_core.SIMD_LEVEL] = hashes
        STORED.write_text(json.dumps(stored, indent=1) + "\n")
    else:
        print(json.dumps(hashes))
