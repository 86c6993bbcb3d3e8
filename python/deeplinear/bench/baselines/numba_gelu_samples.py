"""Numba, GELU networks, one run per iteration of a parallel loop: inner loops over the samples.

LLVM turns a loop over samples into vector instructions, except for a call of ``exp``, which then
takes about half of the time. ``written_exp`` writes it out, so that it is vectorised too; the
power of two is put together from its bits. The activation is ``z / (1 + exp(-2 g))``, which is
faster than ``z / 2 (1 + tanh(g))``; its derivative is kept for the backward pass, and a layer is
updated as soon as that has left it. One loop over samples for each weight is faster than one for
all weights of a row. Without fastmath the sums over samples are not vectorised, and it is a third
slower. The width compiled in makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, prange

from deeplinear.bench.baselines import Job
from deeplinear.bench.baselines.numba_gelu_runs import A, B
from deeplinear.bench.problems import Array, Problem, as_layers

# Of a floating-point type: the integer of its size, the bits of a fraction, the bias of the
# exponent, the largest argument of exp, and the degree at which the series of exp on
# |r| <= log(2) / 2 ends below its rounding.
FORMATS: dict[str, tuple[Any, ...]] = {
    "float64": (np.int64, 52, 1023, 700.0, 12),
    "float32": (np.int32, 23, 127, 80.0, 7),
}


def gradient_descent(problem: Problem, dtype: str, written_exp: bool = False) -> Job:
    """Train all runs; they continue in place."""
    square, last = problem.square_weights(dtype)
    X, y = problem.data()
    inputs, targets = np.ascontiguousarray(X.T, dtype), y.astype(dtype)
    rate = np.dtype(dtype).type(problem.learning_rate)
    train = _compile(dtype, written_exp)

    def run(steps: int) -> tuple[Array, Array]:
        train(square, last, inputs, targets, rate, steps)
        return square, last

    return Job(run, lambda result: as_layers(*result))


def _compile(dtype: str, written_exp: bool) -> Callable[..., None]:
    real = np.dtype(dtype).type
    integer, *_ = FORMATS[dtype]
    a, b, one, two = real(2 * A), real(2 * B), real(1), real(2)
    slope_b = real(6 * B)
    exponential = _written_exponential(dtype) if written_exp else _called_exponential()

    @njit(fastmath=True)
    def activate(z, slope, bits, power):
        """``z`` becomes ``s(z)``, ``slope`` is ``s'(z)``."""
        for m in range(len(z)):
            slope[m] = -z[m] * (a + b * z[m] * z[m])
        exponential(slope, bits, power)
        for m in range(len(z)):
            x = z[m]
            gate = one / (one + slope[m])
            slope[m] = gate + x * gate * (one - gate) * (a + slope_b * x * x)
            z[m] = x * gate

    @njit(parallel=True, fastmath=True)
    def train(W, w, inputs, targets, rate, steps):
        depth, d, n = W.shape[1], W.shape[2], len(targets)
        for run in prange(W.shape[0]):
            hidden = np.empty((depth + 1, d, n), W.dtype)
            slope = np.empty((depth, d, n), W.dtype)
            delta = np.empty((d, n), W.dtype)
            pulled = np.empty((d, n), W.dtype)
            error = np.empty(n, W.dtype)
            bits = np.empty(d * n, integer)
            power = bits.view(real)
            hidden[0] = inputs
            for _ in range(steps):
                for k in range(depth):
                    for i in range(d):
                        for m in range(n):
                            hidden[k + 1, i, m] = W[run, k, i, 0] * hidden[k, 0, m]
                        for j in range(1, d):
                            weight = W[run, k, i, j]
                            for m in range(n):
                                hidden[k + 1, i, m] += weight * hidden[k, j, m]
                    activate(hidden[k + 1].reshape(-1), slope[k].reshape(-1), bits, power)
                for m in range(n):
                    error[m] = -targets[m]
                for i in range(d):
                    for m in range(n):
                        error[m] += w[run, i] * hidden[depth, i, m]
                for m in range(n):
                    error[m] *= two / real(n)
                for i in range(d):
                    total = real(0)
                    for m in range(n):
                        delta[i, m] = w[run, i] * error[m] * slope[depth - 1, i, m]
                        total += error[m] * hidden[depth, i, m]
                    w[run, i] -= rate * total
                for k in range(depth - 1, -1, -1):
                    if k > 0:
                        for j in range(d):
                            for m in range(n):
                                pulled[j, m] = W[run, k, 0, j] * delta[0, m]
                            for i in range(1, d):
                                weight = W[run, k, i, j]
                                for m in range(n):
                                    pulled[j, m] += weight * delta[i, m]
                            for m in range(n):
                                pulled[j, m] *= slope[k - 1, j, m]
                    for i in range(d):
                        for j in range(d):
                            total = real(0)
                            for m in range(n):
                                total += delta[i, m] * hidden[k, j, m]
                            W[run, k, i, j] -= rate * total
                    delta, pulled = pulled, delta

    return train


def _called_exponential() -> Callable[..., None]:
    @njit(fastmath=True)
    def exponential(x, bits, power):
        for m in range(len(x)):
            x[m] = math.exp(x[m])

    return exponential


def _written_exponential(dtype: str) -> Callable[..., None]:
    """``exp(x) = 2^k exp(r)``, with ``k`` the integer nearest to ``x / log(2)``."""
    real = np.dtype(dtype).type
    integer, fraction, bias, limit, degree = FORMATS[dtype]
    limit, log2, per_log2 = real(limit), real(math.log(2)), real(1 / math.log(2))
    exponent_bias, rounding = real(bias), real(bias + 0.5)
    coefficients = tuple(real(1 / math.factorial(i)) for i in range(degree, -1, -1))

    @njit(fastmath=True)
    def exponential(x, bits, power):
        for m in range(len(x)):
            t = limit if x[m] > limit else x[m]
            t = -limit if t < -limit else t
            # Thirty-two bits: every processor converts vectors of them.
            bits[m] = integer(np.int32(t * per_log2 + rounding)) << fraction
        for m in range(len(x)):
            t = limit if x[m] > limit else x[m]
            t = -limit if t < -limit else t
            k = real(np.int32(t * per_log2 + rounding)) - exponent_bias
            r = t - k * log2
            series = coefficients[0]
            for coefficient in coefficients[1:]:
                series = series * r + coefficient
            x[m] = series * power[m]

    return exponential
