"""JAX, one network: the gradient of the risk over the samples, and the vector chain.

Both scan over the stacked square layers, as a thousand layers written out do not compile in finite
time. The chain's weights are donated, so that a step may write where it reads, and the loop over
steps is compiled: a call per step copies them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deeplinear.bench.baselines import Job
from deeplinear.bench.baselines.jax_chain import Weights, layers, rank_one_step
from deeplinear.bench.problems import Problem


def samples(problem: Problem, dtype: str) -> Job:
    """Train as one writes it first: the jitted step of a training loop."""
    X, y = (jnp.asarray(array, dtype) for array in problem.data())
    rate = np.dtype(dtype).type(problem.learning_rate)

    def risk(weights: Weights) -> jax.Array:
        hidden, _ = lax.scan(lambda h, layer: (layer @ h, None), X.T, weights[0])
        return ((weights[1] @ hidden - y) ** 2).mean()

    @jax.jit
    def step(weights: Weights) -> Weights:
        return jax.tree.map(lambda x, g: x - rate * g, weights, jax.grad(risk)(weights))

    def train(weights: Weights, steps: int) -> Weights:
        for _ in range(steps):
            weights = step(weights)
        return weights

    return _continuing(problem, dtype, train)


def bent_samples(problem: Problem, dtype: str) -> Job:
    """Train with tanh after every layer but the last: layers written out, all steps compiled."""
    X, y = (jnp.asarray(array, dtype) for array in problem.data())
    rate = np.dtype(dtype).type(problem.learning_rate)

    def risk(weights: Weights) -> jax.Array:
        hidden = X.T
        for layer in weights[0]:
            hidden = jnp.tanh(layer @ hidden)
        return ((weights[1] @ hidden - y) ** 2).mean()

    def step(_: Any, now: Weights) -> Weights:
        return jax.tree.map(lambda x, g: x - rate * g, now, jax.grad(risk)(now))

    def train(weights: Weights, steps: jax.Array) -> Weights:
        return lax.fori_loop(0, steps, step, weights)

    return _continuing(problem, dtype, jax.jit(train, donate_argnums=0))


def vector_chain(problem: Problem, dtype: str) -> Job:
    """Train with rank-one gradients by two scans, in a compiled loop over the steps."""
    step = rank_one_step(problem, dtype)

    def train(weights: Weights, steps: jax.Array) -> Weights:
        return lax.fori_loop(0, steps, lambda _, now: step(now), weights)

    return _continuing(problem, dtype, jax.jit(train, donate_argnums=0))


def _continuing(problem: Problem, dtype: str, train: Callable[[Weights, Any], Weights]) -> Job:
    square, last = problem.square_weights(dtype)
    now: list[Weights] = [(jnp.asarray(square[0]), jnp.asarray(last[0]))]

    def run(steps: int) -> Weights:
        now[0] = jax.block_until_ready(train(now[0], steps))
        return now[0]

    return Job(run, lambda result: layers((result[0][None], result[1][None])))
