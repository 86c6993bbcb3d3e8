"""JAX: vmap over the runs of a scan over the layers, the whole training compiled.

The square layers are stacked and the last one kept apart, which saves its padding. Products as
``layer @ vector`` beat a product followed by a sum, by 2 to 4 times; runs first or last makes
little difference; so do blocks of runs that fit a cache. XLA runs one device on about one core
here, so ``shard`` makes one device of each core, and ``unroll`` writes the layers out (up to 20 of
them: beyond that the loop is faster, and compiles in finite time).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from deeplinear.bench.baselines import Job, Unavailable
from deeplinear.bench.baselines.jax_devices import set_up
from deeplinear.bench.problems import Array, Problem, as_layers

set_up()

MOST_UNROLLED = 20

Weights = tuple[
    jax.Array, jax.Array
]  # square layers (depth - 1, width, width), last layer (width,)


def gradient_descent(
    problem: Problem,
    dtype: str,
    *,
    autodiff: bool = False,
    shard: bool = False,
    unroll: bool = False,
) -> Job:
    """Train all runs from the start."""
    C, b = map(jnp.asarray, problem.moments(dtype))
    rate = np.dtype(dtype).type(problem.learning_rate)
    at_once = layers_at_once(problem, unroll)

    def risk(weights: Weights) -> jax.Array:
        end_to_end, _ = lax.scan(_pull, weights[1], weights[0], reverse=True, unroll=at_once)
        return end_to_end @ C @ end_to_end - 2 * b @ end_to_end

    def autodiff_step(weights: Weights) -> Weights:
        return jax.tree.map(lambda x, g: x - rate * g, weights, jax.grad(risk)(weights))

    step = autodiff_step if autodiff else rank_one_step(problem, dtype, at_once)
    return _train(problem, dtype, step, shard)


def rank_one_step(problem: Problem, dtype: str, at_once: int = 1) -> Callable[[Weights], Weights]:
    """Make the gradient step of one run by the vector chain, so many layers of a scan at once."""
    C, b = map(jnp.asarray, problem.moments(dtype))
    rate = np.dtype(dtype).type(problem.learning_rate)

    def step(weights: Weights) -> Weights:
        W, w = weights
        end_to_end, U = lax.scan(_pull, w, W, reverse=True, unroll=at_once)

        def push(v: jax.Array, layer_and_u: Weights) -> Weights:
            layer, u = layer_and_u
            return layer @ v, layer - rate * jnp.outer(u, v)

        v, W = lax.scan(push, 2 * (C @ end_to_end - b), (W, U), unroll=at_once)
        return W, w - rate * v

    return step


def runge_kutta(problem: Problem, dtype: str, *, shard: bool = False, unroll: bool = False) -> Job:
    """Train by the classical method. Stages as low-rank corrections are slower here than copies."""
    slope = flow_field(problem, dtype, unroll)
    h = np.dtype(dtype).type(problem.learning_rate)

    def along(factor: float, weights: Weights, direction: Weights) -> Weights:
        return jax.tree.map(lambda x, g: x + factor * g, weights, direction)

    def step(weights: Weights) -> Weights:
        first = slope(weights)
        second = slope(along(h / 2, weights, first))
        third = slope(along(h / 2, weights, second))
        fourth = slope(along(h, weights, third))
        return jax.tree.map(
            lambda x, k1, k2, k3, k4: x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4),
            *(weights, first, second, third, fourth),
        )

    return _train(problem, dtype, step, shard)


def flow_field(problem: Problem, dtype: str, unroll: bool) -> Callable[[Weights], Weights]:
    """Make minus the gradient of the risk, for one run."""
    C, b = map(jnp.asarray, problem.moments(dtype))
    at_once = layers_at_once(problem, unroll)

    def field(weights: Weights) -> Weights:
        W, w = weights
        end_to_end, U = lax.scan(_pull, w, W, reverse=True, unroll=at_once)
        start = -2 * (C @ end_to_end - b)
        v, V = lax.scan(lambda v, layer: (layer @ v, v), start, W, unroll=at_once)
        return U[:, :, None] * V[:, None, :], v

    return field


def over_runs(
    function: Callable[..., Any], shard: bool, block: int | None = None
) -> Callable[..., Any]:
    """Compile for (weights of all runs, argument); ``shard`` splits the runs over devices.

    With a ``block`` of runs one block follows the other; without, all runs advance together.
    """
    every_run = jax.vmap(function, in_axes=(0, None))
    if block is not None:

        def every_run(weights: Any, argument: Any) -> Any:
            return lax.map(lambda run: function(run, argument), weights, batch_size=block)

    if shard:
        runs, same = PartitionSpec("runs"), PartitionSpec()
        every_run = jax.shard_map(
            every_run, mesh=_mesh(), in_specs=(runs, same), out_specs=runs, check_vma=False
        )
    return jax.jit(every_run)


def initial(problem: Problem, dtype: str, shard: bool) -> Weights:
    """Put the initial weights on the devices."""
    weights = tuple(map(jnp.asarray, problem.square_weights(dtype)))
    if not shard:
        return weights
    split = NamedSharding(_mesh(), PartitionSpec("runs"))
    return tuple(jax.device_put(array, split) for array in weights)


def layers(weights: Weights) -> list[Array]:
    """Give one array (runs, d_k, d_{k-1}) per layer."""
    return as_layers(*map(np.asarray, weights))


def _train(problem: Problem, dtype: str, step: Callable[[Weights], Weights], shard: bool) -> Job:
    def train(weights: Weights, steps: jax.Array) -> Weights:
        return lax.fori_loop(0, steps, lambda _, now: step(now), weights)

    compiled = over_runs(train, shard)
    start = initial(problem, dtype, shard)
    return Job(lambda steps: jax.block_until_ready(compiled(start, steps)), layers)


def _pull(u: jax.Array, layer: jax.Array) -> tuple[jax.Array, jax.Array]:
    return layer.T @ u, u


def layers_at_once(problem: Problem, unroll: bool) -> int:
    """Say how many layers of a scan are written out."""
    if unroll and problem.depth > MOST_UNROLLED:
        raise Unavailable(f"more than {MOST_UNROLLED} layers are not written out: a scan is faster")
    return problem.depth - 1 if unroll else 1


def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((jax.device_count(),), ("runs",))
