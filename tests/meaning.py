"""What each record is, by the reference: explicit products and NumPy's dense decompositions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import reference
from deeplinear import _core
from reference import Weights
from strategies import Problem, flat

Array = NDArray[Any]

# What comes from iterations, and is as exact as its tolerance of 1e-8
ITERATIVE = tuple(name for name, (*_, iterative) in _core.observables().items() if iterative)


@dataclass(frozen=True)
class At:
    """Weights of a problem, and the problem of its test data."""

    problem: Problem
    tests: Problem
    weights: Weights

    @cached_property
    def hessian(self) -> Array:
        return np.asarray(self.problem.objective.hessian(self.weights).astype(float))

    @cached_property
    def spectrum(self) -> Array:
        return np.linalg.eigvalsh(self.hessian)

    @property
    def end_to_end(self) -> Array:
        return self.problem.reference.end_to_end(self.weights)

    @property
    def outputs_slope(self) -> Array:
        """Of the outputs at the samples in all weights, (n, P), by complex steps."""
        if self.problem.linear:
            return self.problem.reference.samples[0] @ self.problem.reference.jacobian(self.weights)
        objective: Any = replace(self.problem.objective, dtype=np.complex128)
        vector, step = objective.flatten(self.weights), 1e-30
        columns = [
            objective.outputs(objective.unflatten(vector + 1j * step * unit)).imag / step
            for unit in np.eye(len(vector))
        ]
        return np.stack(columns, axis=1)

    @property
    def blocks(self) -> list[Array]:
        """The diagonal blocks of the Hessian, a layer each."""
        ends = np.cumsum([layer.size for layer in self.weights])
        starts = [0, *ends[:-1]]
        return [self.hessian[a:b, a:b] for a, b in zip(starts, ends, strict=True)]

    def gauss_newton(self) -> float:
        slope = self.outputs_slope.astype(float)
        return float(2 * np.linalg.norm(slope, 2) ** 2 / len(slope))

    def singular_values(self) -> Array:
        """Of each layer, NaN where it has fewer than others."""
        values = [np.linalg.svd(layer, compute_uv=False) for layer in self.weights]
        most = max(map(len, values))
        return np.array([[*s, *[np.nan] * (most - len(s))] for s in values])


# A new record is a line.
MEANING: dict[str, Callable[[At], Any]] = {
    "risk": lambda at: at.problem.objective.risk(at.weights),
    "test_risk": lambda at: at.tests.objective.risk(at.weights),
    "distance": lambda at: np.sum(
        (at.end_to_end - reference.minimizer(at.problem.X, at.problem.y)) ** 2
    ),
    "sharpness": lambda at: at.spectrum[-1],
    "lowest_eigenvalue": lambda at: at.spectrum[0],
    "layer_norm": lambda at: reference.layer_norm(at.weights),
    "rank_one_gap": lambda at: reference.rank_one_gap(at.weights),
    "alignment": lambda at: reference.alignment(at.weights),
    "balancedness": lambda at: reference.balancedness(at.weights),
    "end_to_end": lambda at: at.end_to_end,
    "weights": lambda at: flat(at.weights),
    "gradient_norm": lambda at: np.linalg.norm(
        flat(at.problem.objective.gradient(at.weights)).astype(float)
    ),
    "hessian_trace": lambda at: np.trace(at.hessian),
    "gauss_newton": At.gauss_newton,
    "layer_sharpness": lambda at: [np.linalg.eigvalsh(block)[-1] for block in at.blocks],
    "singular_values": At.singular_values,
    "eigenvalues": lambda at: at.spectrum[::-1][:5],
}


def meaning(name: str, at: At) -> Array:
    return np.asarray(MEANING[name](at)).astype(float)
