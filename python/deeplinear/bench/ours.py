"""What this package does, as it is timed: whole calls, with their checks and labelled results."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear.bench.problems import Problem
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.init import Gaussian
from deeplinear.landscape import Landscape, Sharpness
from deeplinear.network import Network
from deeplinear.regression import Regression
from deeplinear.simulation import simulate
from deeplinear.sweeps import sweep

__all__ = ["descent", "flow", "landscape", "sampled_runs", "sharpness", "sweep_runs"]

RTOL, ATOL = 1e-6, 1e-9


def landscape(problem: Problem, threads: int, activation: str = "identity") -> Landscape:
    """Make the landscape, on so many threads where it has any."""
    options: dict[str, Any] = {}
    if "threads" in signature(Landscape).parameters:
        options["threads"] = threads
    network = Network(problem.widths, activation=activation)
    return Landscape(network, Regression(*problem.data()), **options)


def descent(
    problem: Problem, dtype: str, threads: int, activation: str = "identity", **rule: Any
) -> Callable[[int], Any]:
    """Train from the start for so many steps; `rule` are more fields of `GradientDescent`."""
    dynamics = GradientDescent(problem.learning_rate, **rule)
    return _training(problem, dtype, threads, dynamics, activation)


def flow(problem: Problem, dtype: str, threads: int, method: str) -> Callable[[float], Any]:
    """Follow the flow from the start, to a time in units of the learning rate."""
    dynamics = GradientFlow(method, problem.learning_rate, RTOL, ATOL)
    return _training(problem, dtype, threads, dynamics)


def _training(
    problem: Problem, dtype: str, threads: int, dynamics: Dynamics, activation: str = "identity"
) -> Callable[[Any], Any]:
    where = landscape(problem, threads, activation)
    weights = problem.weights(dtype)

    def run(amount: float) -> Any:
        if isinstance(dynamics, GradientDescent):
            until: dict[str, Any] = {"steps": amount}
        else:
            until = {"time": amount * problem.learning_rate}
        options: dict[str, Any] = {"every": None, "dtype": dtype, "threads": threads}
        return simulate(where, weights, dynamics, record=("risk",), **until, **options)

    ended = run(2)
    if not np.all(ended.status == "completed"):
        raise RuntimeError("a run of the benchmark has diverged")
    return run


SHORT_STEPS = 20


def sweep_runs(problem: Problem, threads: int) -> Callable[[int], Any]:
    """Sweep over so many short runs for every unit of the amount, seeds drawn by the core."""
    where, law, dynamics = _short(problem, threads)

    def run(amount: int) -> Any:
        options: dict[str, Any] = {"steps": SHORT_STEPS, "threads": threads, "progress": False}
        return sweep(where, law, dynamics, seeds=problem.runs * amount, **options)

    return run


def sampled_runs(problem: Problem, threads: int, *, sampled: bool) -> Callable[[int], Any]:
    """Train the same runs by `simulate`; where `sampled`, from weights drawn one by one first."""
    where, law, dynamics = _short(problem, threads)

    def draw(seeds: int) -> list[npt.NDArray[Any]]:
        vectors = np.empty((seeds, where.network.parameters))
        for seed, vector in enumerate(vectors):
            for layer, drawn in zip(
                where.network.unflatten(vector), law.sample(where.network, seed), strict=True
            ):
                layer[:] = drawn
        return where.network.unflatten(vectors)

    there: dict[int, list[npt.NDArray[Any]]] = {}

    def run(amount: int) -> Any:
        seeds = problem.runs * amount
        if sampled or seeds not in there:
            there.clear()
            there[seeds] = draw(seeds)
        options: dict[str, Any] = {"steps": SHORT_STEPS, "every": None, "threads": threads}
        return simulate(where, there[seeds], dynamics, **options)

    return run


def _short(problem: Problem, threads: int) -> tuple[Landscape, Gaussian, GradientDescent]:
    descent = GradientDescent(problem.learning_rate)
    return landscape(problem, threads), Gaussian(problem.scale), descent


def sharpness(
    problem: Problem,
    tolerance: float,
    threads: int,
    *,
    activation: str = "identity",
    warm: bool = False,
) -> Callable[[int], Sharpness]:
    """Compute it so many times; `warm` after a step, from the eigenvector before it."""
    where = landscape(problem, threads, activation)
    # views of one vector, as they come from an initialization or a run
    weights = where.network.unflatten(where.network.flatten(problem.layers("float64")))
    start = None
    if warm:
        start = where.sharpness(weights, tolerance)
        step = GradientDescent(problem.learning_rate)
        moved = simulate(where, weights, step, steps=1, record=("risk",), every=None)
        weights = where.network.unflatten(moved.weights.values[0])

    def run(times: int) -> Sharpness:
        for _ in range(times):
            found = where.sharpness(weights, tolerance, start=start)
        return found

    if not run(1).converged:
        raise RuntimeError("a sharpness of the benchmark has not converged")
    return run
