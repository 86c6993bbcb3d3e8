"""The wide engine's threads, and the memory of the weights that it works on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
from engines import DTYPES, NAMES, assert_same_bits
from large_layers import gentle_step, problem_of, simulate
from strategies import flat, make_problem, random_direction, some_runs

pytestmark = pytest.mark.core

Array = NDArray[Any]

THREADS = (2, 3, 8)
# So many weights in a layer that 8 threads share it, on average; of the last in float64, layers
# whose slabs are added up in pairs, which 3 and 8 threads split
SHARED = [(70, 260, 90, 1), (60, 600, 1), (100, 130, 260, 150, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["descent", "rk4", "dopri5"])
@pytest.mark.parametrize("widths", SHARED)
def test_threads_share_large_layers(widths: tuple[int, ...], method: str, dtype: str) -> None:
    problem = problem_of(widths)
    step = gentle_step(problem)
    record = ("risk", "distance", "sharpness")

    def run(threads: int) -> xr.Dataset:
        options: dict[str, Any] = {"record": record, "dtype": dtype, "threads": threads}
        if method != "dopri5":
            return simulate(problem, method, step, 5, every=3, **options)
        flow = dl.GradientFlow("dopri5", rtol=1e-4)
        options |= {"time": 5 * step, "every": 2 * step, "engine": "wide"}
        return dl.simulate(problem.landscape, problem.weights, flow, **options)

    one = run(1)
    for threads in THREADS if dtype == "float64" else (3,):
        assert_same_bits(one, run(threads), record)


def test_any_neighbours() -> None:
    """Runs in another order, in parts, alone, on teams of any size."""
    problem = problem_of((60, 70, 90, 1))
    rng = np.random.default_rng(4)
    weights = [layer * (1 + 0.1 * rng.standard_normal((7, 1, 1))) for layer in problem.weights]
    step = gentle_step(problem)
    record = ("risk", "sharpness")

    def run(some: Any, threads: int) -> xr.Dataset:
        return simulate(problem, "descent", step, 5, some, record=record, every=2, threads=threads)

    whole = run(weights, 1)
    for threads in (2, 3, 8):
        assert_same_bits(whole, run(weights, threads), record)
    order = [3, 0, 6, 5, 1, 2, 4]
    assert_same_bits(whole.isel(run=order), run(some_runs(weights, order), 3), record)
    for part in (slice(0, 2), slice(2, 7), slice(4, 5)):
        assert_same_bits(whole.isel(run=part), run(some_runs(weights, part), 2), record)


@pytest.mark.parametrize("widths", SHARED)
def test_a_landscape_with_any_number_of_threads(widths: tuple[int, ...]) -> None:
    problem = problem_of(widths)
    weights, direction = problem.weights, random_direction(problem, 5)

    def everything(threads: int) -> list[Array]:
        landscape = dl.Landscape(problem.network, problem.regression, threads=threads)
        sharpness = landscape.sharpness(weights)
        several = landscape.eigenvalues(weights, 3, which="lowest")
        density = landscape.spectral_density(weights, vectors=2, steps=9)
        return [
            np.array(landscape.risk(weights)),
            landscape.end_to_end(weights),
            flat(landscape.gradient(weights)),
            flat(landscape.hessian_vector_product(weights, direction)),
            np.array([sharpness.value, sharpness.residual, sharpness.products]),
            flat(sharpness.vector),
            np.array([[one.value, one.residual] for one in several]),
            density.nodes,
            density.weights,
            np.array(landscape.hessian_trace(weights)),
        ]

    one = everything(1)
    for threads in THREADS:
        for first, second in zip(one, everything(threads), strict=True):
            np.testing.assert_array_equal(first, second)


def test_the_place_in_memory_does_not_matter() -> None:
    """Weights at any offset from a line of the cache give the same bits."""
    problem = problem_of((65, 64, 129, 1))
    vector, step = flat(problem.weights), gentle_step(problem)
    one = simulate(problem, "rk4", step, 3, overwrite_weights=False)
    for offset in range(1, 8):
        memory = np.zeros(len(vector) + offset)
        memory[offset:] = vector
        layers = problem.network.unflatten(memory[offset:])
        other = simulate(problem, "rk4", step, 3, layers, overwrite_weights=True)
        assert_same_bits(one, other, ("risk",))
        assert problem.landscape.risk(problem.weights) == problem.landscape.risk(
            problem.network.unflatten(np.concatenate([np.zeros(offset), vector])[offset:])
        )


# Memory of the weights


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("method", ["descent", "rk4"])
def test_overwriting_the_weights(engine: str, method: str) -> None:
    problem = problem_of((65, 64, 129, 1))
    step, vector = gentle_step(problem), flat(problem.weights)
    kept = simulate(problem, method, step, 3, engine=engine)

    def run(layers: Any, overwrite: bool = True, **options: Any) -> xr.Dataset:
        options |= {"overwrite_weights": overwrite, "engine": engine}
        return simulate(problem, method, step, 3, layers, **options)

    memory = vector.copy()
    shared = run(problem.network.unflatten(memory))
    assert_same_bits(kept, shared, ("risk", "distance"))
    assert np.shares_memory(shared.weights.values, memory)
    np.testing.assert_array_equal(memory, kept.weights.values[0])

    memory = vector.copy()
    run(problem.network.unflatten(memory), overwrite=False)
    np.testing.assert_array_equal(memory, vector)

    memory.setflags(write=False)
    locked = run(problem.network.unflatten(memory))
    assert_same_bits(kept, locked, ("risk",))
    np.testing.assert_array_equal(memory, vector)

    apart = [layer.copy() for layer in problem.weights]
    assert_same_bits(kept, run(apart), ("risk",))
    np.testing.assert_array_equal(flat(apart), vector)

    memory = vector.copy()
    single = run(problem.network.unflatten(memory), dtype="float32")
    np.testing.assert_array_equal(memory, vector)
    assert not np.shares_memory(single.weights.values, memory)

    singles = problem.network.unflatten(vector.astype(np.float32))
    run(singles)
    np.testing.assert_array_equal(flat(singles), vector.astype(np.float32))

    stacked = np.stack([vector, 0.9 * vector])
    before = stacked.copy()
    run(problem.network.unflatten(stacked))
    np.testing.assert_array_equal(stacked, before)

    lists = [layer.tolist() for layer in problem.weights]
    assert_same_bits(kept, run(lists), ("risk",))


def test_layers_that_are_read_only_are_not_overwritten() -> None:
    problem = problem_of((3, 4, 3, 1))
    memory = flat(problem.weights)
    layers = problem.network.unflatten(memory)
    for layer in layers:
        layer.flags.writeable = False
    simulate(problem, "descent", 0.01, 3, layers, overwrite_weights=True)
    np.testing.assert_array_equal(memory, flat(problem.weights))


def test_the_engine_is_chosen_by_the_network_alone() -> None:
    for widths, name in (((255, 255, 1), "ensemble"), ((256, 256, 1), "wide")):
        problem = make_problem(widths, "plain", 5, seed=1)
        for runs in (1, 3):
            weights = [np.stack([layer] * runs) for layer in problem.weights]
            result = dl.simulate(
                problem.landscape, weights, dl.GradientDescent(1e-3), steps=1, every=None
            )
            assert result.engine.item() == name


def test_a_run_that_no_step_is_short_enough_for_leaves_nothing_to_the_next() -> None:
    """It ends with a rejected step, whose norms of the weights would make the next one's too long.

    At 1e40 times the weights the risk is finite, some 1e240, and the error of any step is not.
    """
    problem = problem_of((12, 40, 33, 1))
    weights = [np.stack([1e40 * layer, layer]) for layer in problem.weights]

    def run(some: list[Array]) -> xr.Dataset:
        flow = dl.GradientFlow("dopri5", rtol=1e-8, atol=1e-12)
        time = 20 * gentle_step(problem)
        return dl.simulate(problem.landscape, some, flow, time=time, engine="wide", threads=1)

    both, alone = run(weights), run(some_runs(weights, slice(1, 2)))
    assert list(both.status.values) == ["diverged", "completed"]
    assert_same_bits(both.isel(run=slice(1, 2)), alone, ("risk",))
