"""Curvature with far more inputs than samples, beside NumPy in the space of the samples.

An expert writes C = F^T F with F = X / sqrt(n) (n, d), and never forms C: the trace is the sum of
|u_k|^2 |A_k F^T|^2, the sharpness at a minimizer an n x n eigenproblem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deeplinear as dl

N, D = 30, 3000
REGRESSION = dl.gaussian_regression(n=N, d=D, seed=0)
NETWORK = dl.Network((D, 5, 5, 1))
LANDSCAPE = dl.Landscape(NETWORK, REGRESSION)
WEIGHTS = dl.init.Gaussian(0.3).sample(NETWORK, 0)
MINIMIZER = dl.theory.aligned_minimizer(NETWORK, REGRESSION)


def gram(weights: list[Any]) -> list[Any]:
    """Return |u_k|^2 (A_k F^T)^T A_k F^T, (n, n), of every layer."""
    above = [np.ones(1)]
    for layer in reversed(weights[1:]):
        above.append(layer.T @ above[-1])
    below = REGRESSION.X.T / np.sqrt(N)
    terms = []
    for layer, u in zip(weights, reversed(above), strict=True):
        terms.append((u @ u) * (below.T @ below))
        below = layer @ below
    return terms


def numpy_trace(weights: list[Any]) -> float:
    return float(2 * sum(np.trace(term) for term in gram(weights)))


def numpy_sharpness(weights: list[Any]) -> float:
    return float(2 * np.linalg.eigvalsh(sum(gram(weights)))[-1])


CASES: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
    "trace": (lambda: LANDSCAPE.hessian_trace(WEIGHTS), lambda: numpy_trace(WEIGHTS)),
    "sharpness at a minimizer": (
        lambda: LANDSCAPE.sharpness(MINIMIZER).value,
        lambda: numpy_sharpness(MINIMIZER),
    ),
    "sharpness of the aligned minimizer": (
        lambda: dl.theory.aligned_sharpness(REGRESSION, 3),
        lambda: numpy_sharpness(MINIMIZER),
    ),
}


@pytest.mark.parametrize("by", ["deeplinear", "NumPy"])
@pytest.mark.parametrize("quantity", CASES)
def test_few_samples(benchmark: Any, quantity: str, by: str) -> None:
    ours, other = CASES[quantity]
    found = benchmark(ours if by == "deeplinear" else other)
    assert found == pytest.approx(other(), rel=1e-8)
