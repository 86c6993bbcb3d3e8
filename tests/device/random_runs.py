"""Random calls of `sweep_runs` for engines that must agree to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import xarray as xr

import deeplinear as dl
from deeplinear import _core

KINDS = ("descent", "heavy ball", "nesterov", "euler", "rk4", "dopri5")


@dataclass(frozen=True)
class Call:
    """The arguments of `sweep_runs`, without the engine."""

    widths: tuple[int, ...]
    activation: str
    readout: bool
    n: int
    kind: str
    dtype: str
    runs: int
    seed: int
    steps: int
    every: int | None
    tolerance: float
    rate: float
    record: tuple[str, ...]

    def train(self, **arguments: Any) -> xr.Dataset:
        """Train the runs; each has a step size of its own, some of them too large."""
        rng = np.random.default_rng(self.seed)
        d, last = self.widths[0], self.widths[-1]
        readout = rng.standard_normal(last) if self.readout or last > 1 else None
        X = rng.standard_normal((self.n, d))
        network = dl.Network(self.widths, readout=readout, activation=self.activation)
        landscape = dl.Landscape(network, dl.Regression(X, rng.standard_normal(self.n)))
        rates = self.rate * 10 ** rng.uniform(-1.5, 0.7, self.runs)
        scales = 10 ** rng.uniform(-0.7, 0.3, self.runs)
        scales[rng.random(self.runs) < 0.05] = 1e120 if self.dtype == "float64" else 1e15
        runs = {"seed": np.arange(self.runs), "scale": scales}
        options: dict[str, Any] = {"record": self.record, "tolerance": self.tolerance}
        dynamics: Any
        if self.kind in ("euler", "rk4"):
            if self.every is not None:  # records at the same times
                rates[:] = rates[0]
            dynamics = dl.GradientFlow(self.kind, step=rates)
            options |= {"time": self.steps * float(rates.max()), "every": self.every}
            runs["step"] = rates
        elif self.kind == "dopri5":
            dynamics = dl.GradientFlow("dopri5", rtol=10 ** rng.uniform(-6, -2), max_steps=200)
            time = self.steps * self.rate
            options |= {"time": time, "every": self.every and time * self.every / self.steps}
        else:
            rules = {
                "descent": {},
                "heavy ball": {"momentum": 0.9},
                "nesterov": {"momentum": 0.6, "nesterov": True, "weight_decay": 0.01},
            }
            dynamics = dl.GradientDescent(rates, **rules[self.kind])
            options |= {"steps": self.steps, "every": self.every}
            runs["learning_rate"] = rates
        return dl.sweep_runs(
            landscape,
            dl.init.Gaussian(1.0),
            dynamics,
            runs=runs,
            dtype=self.dtype,
            **{"progress": False, **options, **arguments},
        )


@st.composite
def calls(draw: st.DrawFn, most_runs: int = 100) -> Call:
    """Draw a call."""
    depth = draw(st.integers(1, 6))
    same = draw(st.integers(1, 9))
    narrow = st.integers(1, 11)
    widths = [same if draw(st.booleans()) else draw(narrow) for _ in range(depth)]
    activation = draw(st.sampled_from(("identity", "identity", *_core.activations())))
    kind = draw(st.sampled_from(KINDS))
    records = ("risk", "gradient_norm") if activation != "identity" else ("risk", "distance")
    steps = draw(st.integers(1, 300 if kind != "rk4" else 40))
    return Call(
        widths=(*widths, draw(st.sampled_from((1, 1, 3)))),
        activation=activation,
        readout=draw(st.booleans()),
        n=draw(st.integers(1, 21)),
        kind=kind,
        dtype=draw(st.sampled_from(("float64", "float32"))),
        runs=draw(st.integers(1, most_runs)),
        seed=draw(st.integers(0, 2**20)),
        steps=steps,
        every=draw(st.one_of(st.none(), st.integers(1, steps))),
        tolerance=draw(st.sampled_from((0.0, 1e-3, 0.1))),
        rate=draw(st.sampled_from((0.001, 0.02, 0.1))),
        record=records,
    )


def family(**changes: object) -> Call:
    """Runs of one network, most of which end early; `changes` are other arguments."""
    arguments: dict[str, object] = {
        "widths": (4, 4, 4, 1),
        "activation": "identity",
        "readout": False,
        "n": 12,
        "kind": "descent",
        "dtype": "float64",
        "runs": 300,
        "seed": 7,
        "steps": 200,
        "every": 50,
        "tolerance": 1e-3,
        "rate": 0.05,
        "record": ("risk", "distance"),
    }
    return Call(**(arguments | changes))  # type: ignore[arg-type]


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Assert that both hold the same bits, whatever engine trained them."""
    for name in one.data_vars:
        first, second = one[name].values, other[name].values
        same = np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert same, (
            f"{name} differs: {np.argwhere(~np.isclose(first, second, equal_nan=True))[:3]}"
        )
