"""Cells: which of the distinct values every run has."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import deeplinear as dl
from deeplinear._support import memory
from deeplinear._support.distinct import distinct, numbered
from deeplinear.cells import Cells

NETWORK = dl.Network((3, 3, 1))
LANDSCAPE = dl.Landscape(NETWORK, dl.gaussian_regression(n=12, d=3, noise=1.0, seed=1))


def values_of(cells: Cells, name: str) -> list[Any]:
    return [cells.values[name][i] for i in cells.index(name)]


# ---- Distinct values ---------------------------------------------------------------------------


@given(st.lists(st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_numbers_of_integers(codes: list[int]) -> None:
    first, index = numbered(np.array(codes, np.int64))
    order = list(dict.fromkeys(codes))
    assert first.tolist() == [codes.index(code) for code in order]
    assert index.tolist() == [order.index(code) for code in codes]


plain = (
    st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from((0.0, -0.0, 1.0, 1, True, "1", "", float("nan")))
    | st.text(max_size=2)
)


@given(st.lists(plain, min_size=1))
def test_distinct_values_keep_what_they_are(values: list[Any]) -> None:
    """1, 1.0 and True are three, and so are zero, minus zero and nothing."""
    found, index = distinct(values)
    assert len(index) == len(values)
    for value, i in zip(values, index, strict=True):
        assert (type(found[i]), repr(found[i])) == (type(value), repr(value))
    assert len({(type(value), repr(value)) for value in found}) == len(found)


@pytest.mark.parametrize(
    "values",
    [
        np.array([2, 1, 2], np.uint8),
        np.array([2**64 - 1, 0, 2**64 - 1], np.uint64),
        np.array([0.1, -0.0, 0.0, 0.1], np.float32),
        np.array([True, False]),
        pd.Series([0.5, 0.25, 0.5], index=[4, 4, 1]),
        pd.Series([3, None, 4], dtype="Int64").dropna(),
        np.array(["rk4", "euler", "rk4"]),
        [np.float64(0.5), 1, np.int64(3)],
        ("b", "a", "b"),
        [5, 2**63, 5],
        range(7, 1, -2),
    ],
    ids=repr,
)
def test_lists_of_any_kind(values: Any) -> None:
    """Python's own values, in the order in which they came."""
    cells = Cells.of_lists({"seed": range(len(values)), "x": values})
    expected = [x.item() if isinstance(x, np.generic) else x for x in values]
    found = values_of(cells, "x")
    assert [(type(x), repr(x)) for x in found] == [(type(x), repr(x)) for x in expected]
    assert len(cells.values["x"]) == len({repr(x) for x in expected})


# ---- Grids -------------------------------------------------------------------------------------

AXES = {"scale": (0.5, 0.25), "method": ("rk4", "euler", "rk4x"), "seed": range(4, 6)}


def test_grids() -> None:
    cells = Cells.grid(AXES)
    rows = list(itertools.product(*AXES.values()))
    assert cells.runs == len(rows) == 12
    assert list(zip(*(values_of(cells, name) for name in AXES), strict=True)) == rows
    assert cells.first(["method", "seed"]) == {"method": "rk4", "seed": 4}


@pytest.mark.parametrize("names", [(), ("seed",), ("scale", "seed"), ("method", "scale", "seed")])
def test_combinations(names: tuple[str, ...]) -> None:
    grid, some = Cells.grid(AXES), np.array([7, 0, 3, 7, 11, 4])
    cells = Cells(grid.values, lambda name: grid.index(name)[some], len(some))
    rows = [tuple(values_of(cells, name)[i] for name in names) for i in range(6)]
    found, which = cells.combinations(names)
    assert [tuple(one.values()) for one in found] == list(dict.fromkeys(rows))
    assert [tuple(found[i].values()) for i in which] == rows


def test_combinations_of_many_long_columns() -> None:
    """More of them than integers can number at once."""
    size = 2**13
    index = np.random.default_rng(0).integers(0, size, (6, 50))
    index[:, 25:] = index[:, :25]
    cells = Cells(
        {str(i): range(size) for i in range(6)},
        lambda name: index[int(name)].copy(),
        index.shape[1],
    )
    found, which = cells.combinations([str(i) for i in range(6)])
    assert len(found) == 25
    assert [list(found[i].values()) for i in which] == index.T.tolist()


# ---- What a run costs --------------------------------------------------------------------------


def calls_of(work: Callable[[], Any]) -> int:
    """Count the calls of functions, Python's and others."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def grid(runs: int, **options: Any) -> Any:
    law, descent = dl.init.Residual([0.5, 0.25]), dl.GradientDescent([0.01, 0.02])
    arguments = {"seeds": runs // 4, "steps": 2, "progress": False} | options
    return dl.sweep(LANDSCAPE, law, descent, **arguments)


def listed(runs: int) -> Any:
    lists = {"scale": [0.5, 0.25] * (runs // 2), "seed": list(range(runs))}
    law, descent = dl.init.Orthogonal(0.5), dl.GradientDescent(0.01, momentum=0.5)
    return dl.sweep_runs(LANDSCAPE, law, descent, runs=lists, steps=2, progress=False)


def flows(runs: int) -> Any:
    lists = {"method": ["rk4", "euler"] * (runs // 2), "seed": np.arange(runs)}
    law, flow = dl.init.Gaussian(0.5), dl.GradientFlow(step=0.1)
    return dl.sweep_runs(LANDSCAPE, law, flow, runs=lists, time=0.3, progress=False)


@pytest.mark.parametrize(
    "work",
    [
        grid,
        listed,
        flows,
        lambda runs: grid(runs, dtype="float32", tolerance=1e3),
        lambda runs: grid(runs, seeds=list(range(5, 5 + runs // 4)), record=["risk", "layer_norm"]),
    ],
    ids=["grid", "lists", "flows", "single precision", "seeds"],
)
def test_no_python_per_run(work: Callable[[int], Any]) -> None:
    """With 3,800 runs more there are no more calls, but for looks at the memory that is free."""
    work(40)
    few, many = (calls_of(lambda runs=runs: work(runs)) for runs in (200, 4000))
    assert many - few < 1000


# ---- What they take of the memory --------------------------------------------------------------

RUNS, BESIDE = 40_000, 300  # a run's coordinates, settings and status, as a bound


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, 12 + 2 * 2),
        ({"dtype": "float32"}, 12 * 1.5 + 2 * 2),
        ({"every": 1, "steps": 9}, 12 + 10 * 2),
        ({"every": 1, "steps": 9, "record": ["end_to_end", "layer_norm"]}, 12 + 10 * 5),
        ({"dynamics": dl.GradientDescent(0.01, momentum=[0.5, 0.9])}, 12 * 3 + 2 * 2),
    ],
    ids=str,
)
def test_what_is_counted(
    options: dict[str, Any], numbers: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, their copy in single precision, records and states, before any is drawn."""
    rest = {"dynamics": dl.GradientDescent([0.01, 0.02]), "steps": 2} | options
    dynamics = rest.pop("dynamics")

    def sweep(free: float) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda: free * RUNS)
        law = dl.init.Gaussian(0.5)
        dl.sweep(LANDSCAPE, law, dynamics, seeds=RUNS // 2, progress=False, **rest)

    with pytest.raises(
        MemoryError, match=rf"^network must fit the memory: {RUNS} runs of 2 layers"
    ):
        sweep(8 * numbers)
    sweep(8 * numbers + BESIDE)
