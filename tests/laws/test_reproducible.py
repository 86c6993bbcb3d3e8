"""Bit for bit: a run does not depend on threads, its place, its neighbours or recording."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
from engines import (
    DTYPES,
    FLOWS,
    KINKED,
    NAMES,
    assert_same_bits,
    engines_of,
    records_of,
    variable,
)
from meaning import ITERATIVE
from strategies import (
    NONLINEAR,
    Problem,
    bent,
    make_problem,
    random_ensemble,
    some_runs,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

RULES: dict[str, dict[str, Any]] = {
    "descent": {},
    "momentum": {"momentum": 0.5, "nesterov": True},
}
METHODS = (*RULES, *FLOWS)
# Records that take longer than the steps; the other laws have them.
LONG = ("gauss_newton", "layer_sharpness", "singular_values", "eigenvalues")


@dataclass(frozen=True)
class Kind:
    """Runs of scales from tiny to far too large.

    They diverge within a few steps or converge after very different numbers of them, and others
    take their places.
    """

    name: str
    problem: Problem
    steps: int = 40
    tolerance: float = 1e-4
    high: float = 3.0
    high_of_dopri5: float = 1.2  # which takes steps that are the shorter, the larger the scale

    @property
    def record(self) -> tuple[str, ...]:
        return records_of(self.problem, test_data=False)

    @property
    def direct(self) -> tuple[str, ...]:
        """What needs no iteration, which may start from what was found before."""
        return tuple(name for name in self.record if name not in ITERATIVE)

    def weights(self, method: str, runs: int) -> list[Array]:
        high = self.high_of_dopri5 if method == "dopri5" else self.high
        return random_ensemble(self.problem, runs, seed=5, low=0.1, high=high)

    def simulate(self, engine: str, method: str, weights: Any, **options: Any) -> xr.Dataset:
        dynamics: Any
        if method in RULES:
            dynamics = dl.GradientDescent(0.1, **RULES[method])
            arguments: dict[str, Any] = {"steps": self.steps, "every": 10}
        elif method == "dopri5":
            dynamics = dl.GradientFlow(method, rtol=1e-5, atol=1e-7)
            arguments = {"time": 3.0 if self.problem.linear else 1.0, "every": 0.5}
        else:
            dynamics = dl.GradientFlow(method, step=0.1)
            arguments = {"time": 0.1 * self.steps, "every": 10}
        arguments |= {"record": self.record, "tolerance": self.tolerance, "engine": engine}
        return dl.simulate(self.problem.landscape, weights, dynamics, **(arguments | options))

    def __str__(self) -> str:
        return self.name


def through_samples(activation: str, widths: tuple[int, ...], n: int) -> Kind:
    problem = bent(make_problem(widths, "plain", n, seed=8), activation)
    problem = problem.with_activation(activation, samples=True)
    return Kind(activation, problem, steps=30, tolerance=0.3, high=4.0, high_of_dopri5=1.5)


PLAIN = Kind("plain", make_problem((3, 4, 3, 1), "plain", 10, seed=8))
KINDS = (
    PLAIN,
    Kind("readout", make_problem((3, 4, 2, 3), "any", 8, seed=2)),
    Kind("few samples", make_problem((7, 4, 4, 1), "plain", 5, seed=2)),
    through_samples("identity", (3, 4, 1), 13),
    *(
        through_samples(name, (3, 4, 3, 1) if name == "tanh" else (3, 4, 1), n)
        for name, n in zip(NONLINEAR, (10, 7, 13, *range(14, 20)), strict=False)
    ),
)
BENT = tuple(kind for kind in KINDS if not kind.problem.linear)
SMOOTH = tuple(kind for kind in BENT if kind.name not in KINKED)


over_kinds = pytest.mark.parametrize(
    ("engine", "kind"),
    [(name, kind) for kind in KINDS for name in engines_of(kind.problem)],
    ids=str,
)
over_methods = pytest.mark.parametrize("method", METHODS)


# Below, across and above what a processor holds at once
SIZES = [
    *(("ensemble", kind, runs) for kind in (PLAIN, *SMOOTH) for runs in (1, 7, 33)),
    ("ensemble", PLAIN, 70),
    *((name, PLAIN, 7) for name in NAMES if name != "ensemble"),
]


@pytest.mark.parametrize(("engine", "kind", "runs"), SIZES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@over_methods
def test_any_number_of_threads(engine: str, kind: Kind, method: str, dtype: str, runs: int) -> None:
    weights = kind.weights(method, runs)
    one = kind.simulate(engine, method, weights, dtype=dtype, threads=1)
    for threads in (2, 3, None):
        many = kind.simulate(engine, method, weights, dtype=dtype, threads=threads)
        assert_same_bits(one, many, kind.record)
    if runs == 70 or (runs == 33 and kind is not PLAIN and kind.name != "tanh"):
        expected = {"completed", "converged"} | (set() if method == "dopri5" else {"diverged"})
        assert set(one.status.values.tolist()) == expected


@over_kinds
@over_methods
def test_any_order(engine: str, kind: Kind, method: str) -> None:
    weights = kind.weights(method, 33)
    order = np.random.default_rng(0).permutation(33)
    straight = kind.simulate(engine, method, weights)
    shuffled = kind.simulate(engine, method, some_runs(weights, order))
    assert_same_bits(straight.isel(run=order), shuffled, kind.record)


@pytest.mark.parametrize(
    ("engine", "kind", "dtype"),
    [
        (name, kind, dtype)
        for kind in KINDS
        if kind.name not in ("readout", "few samples")
        for name in engines_of(kind.problem)
        for dtype in DTYPES[: 2 if kind in (PLAIN, *SMOOTH) else 1]
    ],
    ids=str,
)
@over_methods
def test_any_split(engine: str, kind: Kind, method: str, dtype: str) -> None:
    """Parts of any size, down to one by one, and a run among copies of another."""
    count = 33 if kind is PLAIN else 21
    weights = kind.weights(method, count)
    record = tuple(name for name in kind.record if name not in LONG)
    options: dict[str, Any] = {"dtype": dtype, "record": record}
    whole = kind.simulate(engine, method, weights, **options)
    for size in (1, 5, 16):
        for start in range(0, count, size):
            part = slice(start, min(start + size, count))
            split = kind.simulate(engine, method, some_runs(weights, part), **options)
            assert_same_bits(whole.isel(run=part), split, record)
    places = [4] * 9 + [20] + [4] * 9
    repeated = kind.simulate(engine, method, some_runs(weights, places), **options)
    assert_same_bits(whole.isel(run=places), repeated, record)


@pytest.mark.parametrize("dtype", DTYPES)
@over_methods
def test_any_split_beyond_the_first_cache(method: str, dtype: str) -> None:
    """Networks of which fewer are computed side by side."""
    kind = Kind("large", make_problem((30, 30, 30, 30, 1), "plain", 20, seed=4))
    weights = [0.1 * layer for layer in kind.weights(method, 9)]
    options: dict[str, Any] = {"dtype": dtype, "record": ("risk", "distance")}
    whole = kind.simulate("ensemble", method, weights, threads=1, **options)
    for size in (1, 4, 7):
        for start in range(0, 9, size):
            part = slice(start, min(start + size, 9))
            split = kind.simulate("ensemble", method, some_runs(weights, part), **options)
            assert_same_bits(whole.isel(run=part), split, ("risk", "distance"))


@over_kinds
@over_methods
def test_recording_is_only_looking(engine: str, kind: Kind, method: str) -> None:
    """Nothing recorded, little or much, often or only at the ends."""
    weights = kind.weights(method, 17)
    full = kind.simulate(engine, method, weights)
    for record in ((), ("risk",), ("sharpness", "alignment"), kind.record[::-1]):
        assert_same_bits(full, kind.simulate(engine, method, weights, record=record), record)

    # What needs no iteration is the same to the bit however often it is recorded.
    dim = "step" if method in RULES else "time"
    for every in (0.125, 1.0, None) if method == "dopri5" else (2, 20, None):
        other = kind.simulate(engine, method, weights, every=every)
        assert_same_bits(full, other)
        points = [x for x in full[dim].values if np.min(np.abs(other[dim].values - x)) < 1e-9]
        assert len(points) >= 2
        for name in kind.record:
            first = full[variable(name)].sel({dim: points}, method="nearest").values
            second = other[variable(name)].sel({dim: points}, method="nearest").values
            if name in kind.direct:
                assert np.array_equal(first, second, equal_nan=True), (name, every)
            else:
                size = np.nanmax(np.abs(full["sharpness"].values))
                np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9 * size)


@over_kinds
@over_methods
def test_a_single_run_needs_no_axis_of_runs(engine: str, kind: Kind, method: str) -> None:
    weights = kind.weights(method, 3)
    stacked = kind.simulate(engine, method, some_runs(weights, slice(1, 2)))
    alone = kind.simulate(engine, method, some_runs(weights, 1))
    assert alone.sizes == stacked.sizes
    assert alone.sizes["run"] == 1
    assert_same_bits(stacked, alone, kind.record)


@over_kinds
def test_a_cell_of_a_sweep_is_its_run(engine: str, kind: Kind) -> None:
    """From its own sample, alone."""
    problem, scales, rates = kind.problem, [0.5, 1.0, 2.0], [0.01, 0.1]
    options: dict[str, Any] = {
        "steps": 20,
        "record": ("risk", "sharpness"),
        "tolerance": kind.tolerance,
        "engine": engine,
    }
    swept = dl.sweep(
        problem.landscape,
        dl.init.Gaussian(scales),
        dl.GradientDescent(rates),
        seeds=3,
        progress=False,
        **options,
    )
    assert swept.engine.item() == engine
    assert json.loads(swept.network.item())["activation"] == problem.activation
    for scale, rate, seed in [(0.5, 0.01, 0), (1.0, 0.1, 2), (2.0, 0.1, 1)]:
        weights = dl.init.Gaussian(scale).sample(problem.network, seed)
        descent = dl.GradientDescent(rate)
        alone = dl.simulate(problem.landscape, weights, descent, every=None, threads=1, **options)
        cell = swept.sel(scale=scale, learning_rate=rate, seed=seed)
        for name in ("risk", "sharpness", "weights", "status", "last_step"):
            np.testing.assert_array_equal(cell[name].values, alone[name].values[0], err_msg=name)


@pytest.mark.parametrize("engine", NAMES)
def test_the_input_is_left_alone(engine: str) -> None:
    weights = PLAIN.weights("descent", 7)
    before = [layer.copy() for layer in weights]
    PLAIN.simulate(engine, "descent", weights)
    for layer, kept in zip(weights, before, strict=True):
        np.testing.assert_array_equal(layer, kept)
        layer.flags.writeable = False
    PLAIN.simulate(engine, "descent", weights)  # read-only input is enough
