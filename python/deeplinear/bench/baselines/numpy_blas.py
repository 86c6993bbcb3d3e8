"""NumPy, one network: the vector chain, with BLAS products and rank-one updates in place.

A layer ``W`` lies row by row, so that its transpose is what BLAS calls a matrix: ``W^T -= v u^T``
is ``dger`` on that view, which writes where it reads. NumPy's product with ``out`` calls ``dgemv``
with less overhead than SciPy's wrapper of it.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import get_blas_funcs

from deeplinear.bench.baselines import Job
from deeplinear.bench.problems import Array, Problem


def gradient_descent(problem: Problem, dtype: str) -> Job:
    """Train by one pull, then one push that updates each layer as it passes it."""
    C, b = problem.moments(dtype)
    rate = np.dtype(dtype).type(problem.learning_rate)
    *square, last = problem.layers(dtype)
    w = last[0]
    (rank_one,) = get_blas_funcs(("ger",), dtype=np.dtype(dtype))
    views = [layer.T for layer in square]
    pulled = np.empty((problem.depth, problem.width), dtype)
    pushed = np.empty_like(pulled)
    if not np.shares_memory(rank_one(0, w, w, a=views[0], overwrite_a=True), square[0]):
        raise RuntimeError("ger copied the layer instead of writing to it")

    def run(steps: int) -> list[Array]:
        for _ in range(steps):
            pulled[-1] = w
            for k in range(len(square) - 1, -1, -1):
                np.dot(views[k], pulled[k + 1], out=pulled[k])
            pushed[0] = 2 * (C @ pulled[0] - b)
            for k, layer in enumerate(square):
                np.dot(layer, pushed[k], out=pushed[k + 1])
                rank_one(-rate, pushed[k], pulled[k + 1], a=views[k], overwrite_a=True)
            w[:] -= rate * pushed[-1]
        return [*square, last]

    return Job(run, lambda result: [layer[None].copy() for layer in result])
