"""Random problems: data, a network and weights, of any depth and widths."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

import deeplinear as dl
from deeplinear import _core
from reference import NonlinearReference, Objective, Reference, Weights
from reference import minimizer as least_squares

Array = NDArray[Any]

NONLINEAR = tuple(name for name in _core.activations() if name != "identity")
READOUTS = ("plain", "unit", "any")  # d_L = 1 without p; |p| = 1; p of any length

# Random cases of a property; fewer where the sanitizers make every one of them slow.
EXAMPLES = int(os.environ.get("DEEPLINEAR_EXAMPLES", "60"))

PROPERTY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True, eq=False)
class Problem:
    X: Array  # (n, d)
    y: Array  # (n,)
    widths: tuple[int, ...]
    readout: Array | None
    weights: list[Array]
    activation: str = "identity"
    samples: bool | None = None  # of the landscape: whether it goes through the samples

    @property
    def linear(self) -> bool:
        return self.activation == "identity"

    @property
    def depth(self) -> int:
        return len(self.weights)

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.weights)

    @property
    def reference(self) -> Reference:
        return Reference(self.X, self.y, self.widths, self.readout)

    @property
    def objective(self) -> Objective:
        """The reference of these samples that knows the activation."""
        if self.activation == "identity" and not self.samples:
            return self.reference
        return NonlinearReference(
            self.X, self.y, self.widths, self.readout, activation=self.activation
        )

    @property
    def regression(self) -> dl.Regression:
        return dl.Regression(self.X, self.y)

    @property
    def network(self) -> dl.Network:
        return dl.Network(self.widths, readout=self.readout, activation=self.activation)

    @property
    def landscape(self) -> dl.Landscape:
        if self.samples is None:
            return dl.Landscape(self.network, self.regression)
        return dl.Landscape(self.network, self.regression, samples=self.samples)

    def with_weights(self, weights: Weights) -> Problem:
        return replace(self, weights=list(weights))

    def with_activation(self, activation: str, samples: bool | None = None) -> Problem:
        return replace(self, activation=activation, samples=samples)


def make_problem(widths: tuple[int, ...], readout: str, n: int, seed: int) -> Problem:
    """Gaussian data and weights; the layers are scaled so that 1/2 <= |w| <= 2."""
    rng = np.random.default_rng([seed, n, *widths])
    X = rng.standard_normal((n, widths[0]))
    y = X @ rng.standard_normal(widths[0]) / np.sqrt(widths[0]) + 0.5 * rng.standard_normal(n)
    p = None
    if readout != "plain":
        p = rng.standard_normal(widths[-1])
        p *= (1.0 if readout == "unit" else rng.uniform(0.5, 2)) / np.linalg.norm(p)
    shapes = zip(widths[1:], widths[:-1], strict=True)
    weights = [rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in shapes]
    norm = float(np.linalg.norm(Reference(X, y, widths, p).end_to_end(weights)))
    factor = (rng.uniform(0.5, 2) / norm) ** (1 / len(weights))
    return Problem(X, y, widths, p, [factor * layer for layer in weights])


def random_problem(
    seed: int, max_depth: int = 12, max_width: int = 9, readout: str | None = None
) -> Problem:
    """Uniform over depths 1..max_depth and widths 1..max_width, plain and readout, n around d."""
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, max_depth + 1))
    widths = [int(width) for width in rng.integers(1, max_width + 1, depth + 1)]
    kind = readout or READOUTS[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    if kind == "plain":
        widths[-1] = 1
    n = int(rng.integers(max(1, widths[0] // 2), 2 * widths[0] + 3))
    return make_problem(tuple(widths), kind, n, seed)


@st.composite
def problems(draw: st.DrawFn, max_depth: int = 12, max_width: int = 9) -> Problem:
    width = st.integers(1, max_width)
    kind = draw(st.sampled_from(READOUTS))
    widths = draw(st.lists(width, min_size=1, max_size=max_depth))
    last = 1 if kind == "plain" else draw(width)
    n = draw(st.integers(1, 2 * max_width))
    return make_problem((*widths, last), kind, n, draw(st.integers(0, 1000)))


@st.composite
def nonlinear_problems(
    draw: st.DrawFn, max_depth: int = 6, max_width: int = 9, max_n: int = 20
) -> Problem:
    """Samples in any number, so that seldom a multiple of what is computed at once."""
    width = st.integers(1, max_width)
    kind = draw(st.sampled_from(READOUTS))
    widths = draw(st.lists(width, min_size=1, max_size=max_depth))
    last = 1 if kind == "plain" else draw(width)
    seed = draw(st.integers(0, 1000))
    problem = make_problem((*widths, last), kind, draw(st.integers(1, max_n)), seed)
    return bent(problem, draw(st.sampled_from(NONLINEAR)), seed)


def bent(problem: Problem, activation: str, seed: int = 0) -> Problem:
    """Gaussian layers of scales around 1.5, so that the activation is seen on both its sides."""
    rng = np.random.default_rng([seed, 1])
    weights = [
        rng.uniform(1, 2) * rng.standard_normal(layer.shape) / np.sqrt(layer.shape[1])
        for layer in problem.weights
    ]
    return problem.with_activation(activation).with_weights(weights)


def minimizing_weights(problem: Problem) -> list[Array]:
    """The problem's weights with the first layer changed least so that w = w*.

    w = W_1^T u with u of the layers above it, so W_1 <- W_1 + u (w* - W_1^T u)^T / |u|^2; twice, so
    that what remains is the rounding of one product.
    """
    weights = [layer.copy() for layer in problem.weights]
    target = least_squares(problem.X, problem.y)
    p = np.ones(1) if problem.readout is None else problem.readout
    u = p @ problem.reference.product(weights, problem.depth, 2)
    for _ in range(2):
        missing = target - problem.reference.end_to_end(weights)
        weights[0] = weights[0] + np.outer(u, missing / (u @ u)).astype(float)
    return weights


def with_test_data(problem: Problem) -> tuple[dl.Landscape, Problem]:
    """A landscape that has test data too, and the problem of these."""
    rng = np.random.default_rng(3)
    n, d = 6, problem.widths[0]
    tests = replace(problem, X=rng.standard_normal((n, d)), y=rng.standard_normal(n))
    regression = dl.Regression(problem.X, problem.y, tests.X, tests.y)
    return dl.Landscape(problem.network, regression, samples=problem.samples), tests


def random_direction(problem: Problem, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(layer.shape) for layer in problem.weights]


def random_ensemble(
    problem: Problem, runs: int, seed: int, low: float = 0.5, high: float = 1.2
) -> list[Array]:
    """Runs of Gaussian layers of scales between low and high, (runs, d_k, d_{k-1}) each."""
    rng = np.random.default_rng(seed)
    scales = rng.uniform(low, high, (runs, 1, 1))
    return [
        scales * rng.standard_normal((runs, *layer.shape)) / np.sqrt(layer.shape[1])
        for layer in problem.weights
    ]


def one_run(weights: Weights, run: int) -> list[Array]:
    return [layer[run] for layer in weights]


def some_runs(weights: Weights, runs: Any) -> list[Array]:
    return [layer[runs] for layer in weights]


def flat(weights: Weights) -> Array:
    """L arrays (..., d_k, d_{k-1}) to (..., P)."""
    leading = np.shape(weights[0])[:-2]
    return np.concatenate([np.reshape(layer, (*leading, -1)) for layer in weights], axis=-1)


def relative_error(result: Any, expected: Any) -> float:
    """|result - expected| / |expected| in the Euclidean norm; 0/0 is 0."""
    expected = np.asarray(expected).ravel()
    difference = float(np.linalg.norm((np.asarray(result).ravel() - expected).astype(float)))
    norm = float(np.linalg.norm(expected.astype(float)))
    return difference / norm if norm > 0 else difference
