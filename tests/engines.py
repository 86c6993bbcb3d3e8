"""What the laws run over: every engine, the models that it takes, both precisions, all methods.

A new engine is a line of ENGINES, a new kind of model a line of MODELS. Activations, methods and
records are the package's own lists, so that a new one is here with its first appearance there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
from deeplinear import _core
from deeplinear.records import Record
from strategies import (
    NONLINEAR,
    Problem,
    bent,
    make_problem,
    one_run,
    random_ensemble,
    with_test_data,
)

Array = NDArray[Any]

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
DTYPES = tuple(EPSILON)
KINKED = ("relu",)  # activations that are not smooth


# Models


@dataclass(frozen=True)
class Model:
    """A kind of network and data that an engine has to tell apart."""

    name: str
    widths: tuple[int, ...]
    n: int
    readout: str = "plain"
    activation: str = "identity"
    samples: bool | None = None  # True: a linear network through its samples

    @property
    def linear(self) -> bool:
        return self.activation == "identity"

    @property
    def smooth(self) -> bool:
        return self.activation not in KINKED

    @property
    def small(self) -> bool:
        """Whether the reference takes milliseconds for a step."""
        return max(self.widths) < 32

    @property
    def problem(self) -> Problem:
        return _problem(self)

    @property
    def landscape(self) -> dl.Landscape:
        """With test data."""
        return _landscape(self)

    @property
    def records(self) -> tuple[str, ...]:
        """All that is defined for it, where it has test data."""
        return records_of(self.problem)

    def weights(self, runs: int, low: float = 0.6, high: float = 1.1) -> list[Array]:
        """Runs of scales between low and high; the first ones of more are those of fewer."""
        every = random_ensemble(self.problem, max(runs, 64), seed=5, low=low, high=high)
        return [layer[:runs] for layer in every]

    def __str__(self) -> str:
        return self.name


@cache
def _problem(model: Model) -> Problem:
    problem = make_problem(model.widths, model.readout, model.n, seed=8)
    if model.linear:
        return problem.with_activation("identity", model.samples)
    return bent(problem, model.activation)


@cache
def _landscape(model: Model) -> dl.Landscape:
    return with_test_data(model.problem)[0]


MODELS = (
    Model("plain", (3, 4, 3, 1), 10),
    Model("readout", (3, 4, 2, 3), 8, readout="any"),
    Model("one layer", (5, 1), 12),
    Model("few samples", (7, 4, 4, 1), 5),  # C is singular: by the modes of the data
    Model("large layers", (65, 64, 129, 1), 50),
    Model("through the samples", (3, 4, 3, 1), 10, samples=True),
    *(Model(activation, (3, 4, 3, 1), 9, activation=activation) for activation in NONLINEAR),
    *(
        Model(f"{activation}, readout", (3, 4, 2, 3), 9, readout="any", activation=activation)
        for activation in NONLINEAR
    ),
)


def named(*names: str) -> list[Model]:
    found = [model for model in MODELS if model.name in names]
    assert len(found) == len(names)
    return found


def records_of(problem: Problem, test_data: bool = True) -> tuple[str, ...]:
    """All that is defined for it, with test data or without."""
    landscape = with_test_data(problem)[0] if test_data else problem.landscape
    return tuple(name for name in dl.RECORDABLE if not _core.record_lacks(landscape._problem, name))


def variable(record: str) -> str:
    """The name that it has in results."""
    return Record(record).variable


# Engines


@dataclass(frozen=True)
class Engine:
    """An engine with a number of runs and of threads at which it works in another way."""

    name: str
    runs: int
    threads: int

    def takes(self, problem: Problem) -> bool:
        return not _core.engine_lacks(problem.landscape._problem, self.name)

    def __str__(self) -> str:
        # Not the word that picks the tests for the thread sanitizer
        return f"{self.name} {self.runs}x{self.threads}"


ENGINES = (
    Engine("ensemble", runs=3, threads=1),
    Engine("ensemble", runs=37, threads=2),
    Engine("wide", runs=2, threads=1),
    Engine("wide", runs=1, threads=3),
    Engine("emulated", runs=5, threads=2),
)
NAMES = tuple(dict.fromkeys(engine.name for engine in ENGINES))
assert set(NAMES) == set(_core.engines())


def engines_of(problem: Problem) -> tuple[str, ...]:
    """The names of those that take it."""
    return tuple(dict.fromkeys(engine.name for engine in ENGINES if engine.takes(problem)))


@dataclass(frozen=True)
class Case:
    """An engine with one of its models and a precision."""

    engine: Engine
    model: Model
    dtype: str = "float64"

    def simulate(self, weights: Any, dynamics: Any, **options: Any) -> xr.Dataset:
        arguments = {"engine": self.engine.name, "threads": self.engine.threads}
        return dl.simulate(
            self.model.landscape, weights, dynamics, **(arguments | {"dtype": self.dtype} | options)
        )

    def weights(self, **scales: float) -> list[Array]:
        return self.model.weights(self.engine.runs, **scales)

    def __str__(self) -> str:
        return f"{self.engine}, {self.model}, {self.dtype}"


def cases(models: Iterable[Model] = MODELS, dtypes: tuple[str, ...] = DTYPES) -> list[Case]:
    return [
        Case(engine, model, dtype)
        for engine in ENGINES
        for model in models
        for dtype in dtypes
        # What is emulated is the same source in both; random runs of tests/device have both.
        if engine.takes(model.problem) and (engine.name != "emulated" or dtype == DTYPES[0])
    ]


def over(found: list[Case]) -> Any:
    return pytest.mark.parametrize("case", found, ids=str)


def one_of_each(models: Iterable[Model] = MODELS) -> list[Case]:
    """The first case of every engine's name and model, in the first precision."""
    found: dict[Any, Case] = {}
    for case in cases(models, DTYPES[:1]):
        found.setdefault((case.engine.name, case.model), case)
    return list(found.values())


# Methods


@dataclass(frozen=True)
class Method:
    """A way to go on in steps of one size."""

    name: str
    stages: int = 1  # gradients of a step
    order: int = 1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    @property
    def descends(self) -> bool:
        return self.name not in FLOWS

    @property
    def axis(self) -> str:
        return "step" if self.descends else "time"

    @property
    def rule(self) -> dict[str, Any]:
        """What descent takes beside the learning rate."""
        names = ("momentum", "nesterov", "weight_decay")
        return {name: getattr(self, name) for name in names}

    def rate(self, step: float) -> float:
        """The learning rate that goes as far, in the long run, as plain descent with `step`."""
        return step * (1 - self.momentum)

    def dynamics(self, step: float) -> Any:
        if self.descends:
            return dl.GradientDescent(self.rate(step), **self.rule)
        return dl.GradientFlow(self.name, step=step)

    def length(self, step: float, steps: int) -> dict[str, Any]:
        return {"steps": steps} if self.descends else {"time": steps * step}

    def states(self, problem: Problem, weights: list[Array], step: float, steps: int) -> Array:
        """By the reference, after 0 .. steps steps, (steps + 1, P)."""
        if self.descends:
            return problem.objective.descent(weights, self.rate(step), steps, **self.rule)
        return problem.objective.integrate(weights, [step] * steps, self.name)

    def __str__(self) -> str:
        return self.name


FLOWS = tuple(_core.methods())
DESCENT = Method("descent")
MOMENTUM = Method("momentum", momentum=0.5, weight_decay=0.1)
NESTEROV = Method("nesterov", momentum=0.5, nesterov=True)
EULER, RK4 = Method("euler"), Method("rk4", stages=4, order=4)
FIXED = (DESCENT, MOMENTUM, NESTEROV, EULER, RK4)
FIXED_FLOWS = tuple(method for method in FIXED if not method.descends)
assert {method.name for method in FIXED_FLOWS} == set(FLOWS) - {"dopri5"}


def over_methods(methods: tuple[Method, ...] = FIXED) -> Any:
    return pytest.mark.parametrize("method", methods, ids=str)


def gentle_step(problem: Problem, weights: list[Array]) -> float:
    """0.2 / |H| at the start of the runs, or the largest of it where it is felt at all.

    The tolerance of 1e-3 would only make the steps longer or shorter by that.
    """
    largest = 0.0
    for run in range(len(weights[0])):
        for which in ("largest", "lowest"):
            found = problem.landscape.sharpness(one_run(weights, run), 1e-3, which=which)
            largest = max(largest, abs(found.value))
    return 0.2 / largest if largest > 0 else 1.0


def rounding(widths: tuple[int, ...], dtype: str, steps: int, stages: int) -> float:
    """Of the weights after steps of 0.2 / |H|, relative to their norm.

    A step rounds the weights once, by eps / 2. Its gradient passes all layers: as many roundings
    as there are widths in all, by sqrt(sum of widths) eps where they are independent, and as many
    again in the wide engine, which takes waiting updates into account. It comes with a factor eta:
    eta |gradient| <= eta |H| |W| is at most 0.2 |W|. A deviation grows by exp(0.2) per step, and
    the sum over the steps is at most (exp(0.2 steps) - 1) / (exp(0.2) - 1) times that of one.
    """
    growth = (np.exp(0.2 * steps) - 1) / (np.exp(0.2) - 1)
    return float(stages * (0.5 + 0.4 * np.sqrt(sum(widths))) * growth * EPSILON[dtype])


# Bits


def assert_same_bits(one: xr.Dataset, other: xr.Dataset, names: tuple[str, ...] = ()) -> None:
    for name in (*map(variable, names), "weights", "status", "last_step", "out_of_range_layer"):
        first, second = one[name].values, other[name].values
        assert first.dtype == second.dtype or name == "status"
        same = np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert same, f"{name} differs"
