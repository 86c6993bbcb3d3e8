"""JAX and SciPy, GELU networks: compiled Hessian products, Lanczos by ``eigsh``.

Forward over reverse: faster than differentiating in reverse twice with the first pass kept, than a
scan over the layers, and than the dense Hessian with ``eigvalsh``.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from ..problems import Problem

jax.config.update("jax_enable_x64", True)


def gelu_sharpness(problem: Problem, tolerance: float) -> Callable[[], float]:
    X, y = map(jnp.asarray, problem.data())
    square, last = problem.square_weights("float64")
    parameters = jnp.concatenate([square[0].ravel(), last[0]])
    first = np.random.default_rng(0).standard_normal(parameters.size)

    def risk(parameters: jax.Array) -> jax.Array:
        hidden = X.T
        for layer in parameters[: -problem.width].reshape(square[0].shape):
            hidden = jax.nn.gelu(layer @ hidden)
        return ((parameters[-problem.width :] @ hidden - y) ** 2).mean()

    @jax.jit
    def product(at: jax.Array, along: jax.Array) -> jax.Array:
        return jax.jvp(jax.grad(risk), (at,), (along,))[1]

    def apply(vector: NDArray) -> NDArray:
        return np.asarray(product(parameters, vector.reshape(-1)))

    hessian = LinearOperator((parameters.size,) * 2, matvec=apply, dtype=np.float64)

    def largest() -> float:
        (value,) = eigsh(
            hessian, k=1, which="LA", tol=tolerance, v0=first, return_eigenvectors=False
        )
        return float(value)

    return largest
