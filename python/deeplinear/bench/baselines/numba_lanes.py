"""Numba, many runs per iteration: weights of a group lie element by element, lanes innermost.

LLVM turns each loop over lanes into vector instructions. Of the forms tried (accumulators per row,
one loop over lanes around a whole layer, generated straight-line code, lanes known to the
compiler), this is the fastest: at most three arrays in a loop, so that the checks against overlap
stay cheap, the width compiled in, and the number of lanes left to run time, so that the loops are
not unrolled before they are vectorised. The best number of lanes depends on the width and the type,
so it is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter

import numpy as np
from numba import get_num_threads, njit, prange, set_num_threads

from deeplinear.bench.baselines import Job
from deeplinear.bench.problems import Array, Problem, as_layers

LANES = (16, 32, 64, 128, 256)


def gradient_descent(problem: Problem, dtype: str) -> Job:
    """Train all runs; they continue in place."""
    C, b = problem.moments(dtype)
    rate = np.dtype(dtype).type(problem.learning_rate)
    train = _compile(problem.width)
    threads = get_num_threads()
    groups = {lanes: problem.runs / lanes for lanes in LANES if problem.runs % lanes == 0}
    # At least two groups per thread, so that none of them idles.
    choices = [lanes for lanes, n in groups.items() if n >= 2 * threads] or [min(groups)]

    def seconds(lanes: int) -> float:
        """On one thread, which other work on the machine disturbs least."""
        W, w = _to_lanes(*problem.square_weights(dtype), lanes)
        train(W, w, C, b, rate, 1)
        times = []
        for _ in range(5):
            start = perf_counter()
            train(W, w, C, b, rate, 20)
            times.append(perf_counter() - start)
        return min(times)

    set_num_threads(1)
    best = min(choices, key=seconds) if len(choices) > 1 else choices[0]
    set_num_threads(threads)
    W, w = _to_lanes(*problem.square_weights(dtype), best)

    def run(steps: int) -> tuple[Array, Array]:
        train(W, w, C, b, rate, steps)
        return W, w

    return Job(run, lambda result: as_layers(*_from_lanes(*result)))


def _to_lanes(square: Array, last: Array, lanes: int) -> tuple[Array, Array]:
    groups = len(last) // lanes
    W = square.reshape(groups, lanes, *square.shape[1:]).transpose(0, 2, 3, 4, 1)
    w = last.reshape(groups, lanes, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(W), np.ascontiguousarray(w)


def _from_lanes(W: Array, w: Array) -> tuple[Array, Array]:
    square = W.transpose(0, 4, 1, 2, 3).reshape(-1, *W.shape[1:4])
    return square, w.transpose(0, 2, 1).reshape(-1, w.shape[1])


@cache
def _compile(d: int) -> Callable[..., None]:
    @njit(fastmath=True)
    def pull(W, u, pulled):
        lanes = W.shape[2]
        for j in range(d):
            for lane in range(lanes):
                pulled[j, lane] = W[0, j, lane] * u[0, lane]
        for i in range(1, d):
            for j in range(d):
                for lane in range(lanes):
                    pulled[j, lane] += W[i, j, lane] * u[i, lane]

    @njit(fastmath=True)
    def push(W, u, v, pushed, rate):
        lanes = W.shape[2]
        for i in range(d):
            for lane in range(lanes):
                total = W[i, 0, lane] * v[0, lane]
                for j in range(1, d):
                    total += W[i, j, lane] * v[j, lane]
                pushed[i, lane] = total
            for lane in range(lanes):
                u[i, lane] *= rate
            for j in range(d):
                for lane in range(lanes):
                    W[i, j, lane] -= u[i, lane] * v[j, lane]

    @njit(parallel=True, fastmath=True)
    def train(W, w, C, b, rate, steps):
        depth, lanes = W.shape[1], W.shape[4]
        for group in prange(W.shape[0]):
            u = np.empty((depth + 1, d, lanes), W.dtype)
            v = np.empty((2, d, lanes), W.dtype)
            for _ in range(steps):
                u[depth] = w[group]
                for k in range(depth - 1, -1, -1):
                    pull(W[group, k], u[k + 1], u[k])
                for i in range(d):
                    for lane in range(lanes):
                        total = -b[i]
                        for j in range(d):
                            total += C[i, j] * u[0, j, lane]
                        v[0, i, lane] = 2 * total
                old = 0
                for k in range(depth):
                    push(W[group, k], u[k + 1], v[old], v[1 - old], rate)
                    old = 1 - old
                for j in range(d):
                    for lane in range(lanes):
                        w[group, j, lane] -= rate * v[old, j, lane]

    return train
