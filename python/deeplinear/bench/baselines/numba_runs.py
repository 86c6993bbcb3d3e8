"""Numba, one run per iteration of a parallel loop: plain loops over the vector chain.

``fixed`` compiles for the width, which lets LLVM unroll the loops over a row: twice as fast at
width 5, slower at 20. Rows are read in the order in which they lie in memory; the layer's vectors
stay in one small array.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numba import njit, prange

from deeplinear.bench.baselines import Job
from deeplinear.bench.problems import Array, Problem, as_layers


def gradient_descent(problem: Problem, dtype: str, fixed: bool = False) -> Job:
    """Train all runs; they continue in place."""
    square, last = problem.square_weights(dtype)
    C, b = problem.moments(dtype)
    rate = np.dtype(dtype).type(problem.learning_rate)
    train = _compile(problem.width if fixed else None)

    def run(steps: int) -> tuple[Array, Array]:
        train(square, last, C, b, rate, steps)
        return square, last

    return Job(run, lambda result: as_layers(*result))


@cache
def _compile(width: int | None) -> Callable[..., None]:
    @njit(parallel=True, fastmath=True)
    def train(W, w, C, b, rate, steps):
        depth = W.shape[1]
        d = W.shape[2] if width is None else width
        for run in prange(W.shape[0]):
            u = np.empty((depth + 1, d), W.dtype)
            v = np.empty(d, W.dtype)
            pushed = np.empty(d, W.dtype)
            for _ in range(steps):
                for j in range(d):
                    u[depth, j] = w[run, j]
                for k in range(depth - 1, -1, -1):
                    for j in range(d):
                        u[k, j] = 0
                    for i in range(d):
                        factor = u[k + 1, i]
                        for j in range(d):
                            u[k, j] += W[run, k, i, j] * factor
                for i in range(d):
                    total = -b[i]
                    for j in range(d):
                        total += C[i, j] * u[0, j]
                    v[i] = 2 * total
                for k in range(depth):
                    for i in range(d):
                        total = W.dtype.type(0)
                        factor = rate * u[k + 1, i]
                        for j in range(d):
                            weight = W[run, k, i, j]
                            total += weight * v[j]
                            W[run, k, i, j] = weight - factor * v[j]
                        pushed[i] = total
                    for i in range(d):
                        v[i] = pushed[i]
                for j in range(d):
                    w[run, j] -= rate * v[j]

    return train
