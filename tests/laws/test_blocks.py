"""Blocks of samples: one network's products have the bits of a lane, whatever is cut where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deeplinear as dl
from engines import DTYPES, assert_same_bits
from strategies import NONLINEAR, PROPERTY, bent, flat, make_problem, random_direction

pytestmark = pytest.mark.core

# Around the samples of a unit, of a part and of a chunk; around registers and panels of columns
COUNTS = st.sampled_from([1, 3, 4, 5, 8, 9, 31, 127, 128, 129, 260, 391])
WIDTHS = st.lists(
    st.sampled_from([1, 2, 5, 8, 9, 16, 23, 24, 25, 31, 33, 49, 65]), min_size=1, max_size=5
)
DYNAMICS: list[tuple[Any, dict[str, Any]]] = [
    (dl.GradientDescent(1e-2), {"steps": 4}),
    (dl.GradientDescent(1e-2, momentum=0.5, nesterov=True), {"steps": 4}),
    (dl.GradientFlow("rk4", step=1e-2), {"time": 0.03}),
    (dl.GradientFlow("dopri5"), {"time": 0.1}),
]


@PROPERTY
@given(
    widths=WIDTHS,
    n=COUNTS,
    activation=st.sampled_from(NONLINEAR),
    readout=st.sampled_from(["plain", "any"]),
    dtype=st.sampled_from(DTYPES),
    how=st.sampled_from(DYNAMICS),
    threads=st.integers(1, 4),
)
def test_blocks_have_the_bits_of_lanes(
    widths: list[int], n: int, activation: str, readout: str, dtype: str, how: Any, threads: int
) -> None:
    """A lone run goes through blocks on either engine; of seven, each has a lane."""
    last = widths[-1] if readout == "any" else 1
    problem = bent(make_problem((*widths, last), readout, n, seed=3), activation)
    dynamics, length = how
    lanes = [np.stack([layer * scale for scale in np.linspace(0.7, 1, 7)]) for layer in
             problem.weights]  # fmt: skip

    def run(weights: Any, engine: str) -> Any:
        options = {"dtype": dtype, "threads": threads, "engine": engine, "record": ("risk",)}
        return dl.simulate(problem.landscape, weights, dynamics, **options, **length)

    together = run(lanes, "ensemble")
    for engine in ("ensemble", "wide"):
        alone = run([layer[3:4] for layer in lanes], engine)
        assert_same_bits(together.isel(run=[3]), alone, ("risk",))
    assert_same_bits(together, run(lanes, "wide"), ("risk",))


@pytest.mark.parametrize("activation", ["identity", *NONLINEAR])
def test_a_landscape_has_the_same_bits_with_any_number_of_threads(activation: str) -> None:
    problem = bent(make_problem((7, 50, 33, 65, 1), "plain", 391, seed=2), activation)
    direction = random_direction(problem, 5)

    def everything(threads: int) -> list[Any]:
        landscape = dl.Landscape(problem.network, problem.regression, threads=threads, samples=True)
        sharpness = landscape.sharpness(problem.weights)
        return [
            np.array(landscape.risk(problem.weights)),
            flat(landscape.gradient(problem.weights)),
            flat(landscape.hessian_vector_product(problem.weights, direction)),
            np.array([sharpness.value, sharpness.residual, sharpness.products]),
            flat(sharpness.vector),
        ]

    one = everything(1)
    for threads in (2, 3, 8):
        for first, second in zip(one, everything(threads), strict=True):
            np.testing.assert_array_equal(first, second)


def test_what_has_left_the_range_stays_in_its_sample() -> None:
    """One input that is huge makes the risk infinite, and no number of another run different."""
    problem = bent(make_problem((5, 20, 1), "plain", 40, seed=4), "relu")
    weights = [np.stack([layer, 1e200 * layer]) for layer in problem.weights]
    for threads in (1, 2):
        both = dl.simulate(
            problem.landscape, weights, dl.GradientDescent(1e-2), steps=3, engine="wide",
            threads=threads,
        )  # fmt: skip
        alone = dl.simulate(
            problem.landscape, [layer[:1] for layer in weights], dl.GradientDescent(1e-2), steps=3,
            engine="wide", threads=threads,
        )  # fmt: skip
        assert both.status.values.tolist() == ["completed", "diverged"]
        assert_same_bits(both.isel(run=[0]), alone, ("risk",))
