"""Numba, one network: loops over the vector chain, a pass for the pull and one for push and update.

``fastmath`` lets LLVM sum a row in vectors; without it the loops are what one writes first. In
``parallel`` every layer is split over the threads, by columns in the pull and by rows in the push,
which needs no sums over threads; entering a parallel loop costs several microseconds, so that it
gains where layers are large.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange

from deeplinear.bench.baselines import Job
from deeplinear.bench.problems import Array, Problem, as_layers


def gradient_descent(
    problem: Problem, dtype: str, fastmath: bool = False, parallel: bool = False
) -> Job:
    """Train the network, which continues in place."""
    C, b = problem.moments(dtype)
    square, last = problem.square_weights(dtype)
    rate = np.dtype(dtype).type(problem.learning_rate)
    parts = get_num_threads() if parallel else 1
    train = _compile(fastmath, parallel)

    def run(steps: int) -> tuple[Array, Array]:
        train(square[0], last[0], C, b, rate, steps, parts)
        return square, last

    return Job(run, lambda result: as_layers(*result))


@cache
def _compile(fastmath: bool, parallel: bool) -> Callable[..., Any]:
    @njit(fastmath=fastmath)
    def pull(W, u, pulled, first, last):
        for j in range(first, last):
            pulled[j] = 0
        for i in range(W.shape[0]):
            factor = u[i]
            for j in range(first, last):
                pulled[j] += W[i, j] * factor

    @njit(fastmath=fastmath)
    def push(W, u, v, pushed, rate, first, last):
        for i in range(first, last):
            total = W.dtype.type(0)
            factor = rate * u[i]
            for j in range(W.shape[1]):
                weight = W[i, j]
                total += weight * v[j]
                W[i, j] = weight - factor * v[j]
            pushed[i] = total

    @njit(fastmath=fastmath, parallel=parallel)
    def train(W, w, C, b, rate, steps, parts):
        depth, d = W.shape[0], W.shape[1]
        u = np.empty((depth + 1, d), W.dtype)
        v = np.empty((depth + 1, d), W.dtype)
        for _ in range(steps):
            u[depth] = w
            for k in range(depth - 1, -1, -1):
                for part in prange(parts):
                    pull(W[k], u[k + 1], u[k], d * part // parts, d * (part + 1) // parts)
            for i in range(d):
                total = -b[i]
                for j in range(d):
                    total += C[i, j] * u[0, j]
                v[0, i] = 2 * total
            for k in range(depth):
                for part in prange(parts):
                    first, last = d * part // parts, d * (part + 1) // parts
                    push(W[k], u[k + 1], v[k], v[k + 1], rate, first, last)
            for j in range(d):
                w[j] -= rate * v[depth, j]

    return train
