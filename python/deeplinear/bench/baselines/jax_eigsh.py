"""JAX and SciPy: compiled Hessian products by the derivative of the gradient, with ``eigsh``.

Forward over reverse: faster than differentiating in reverse twice with the first pass kept, and of
small networks than the dense Hessian with ``eigvalsh``. There the layers are written out, which is
faster than a scan; many do not compile in finite time.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.sparse.linalg import LinearOperator, eigsh

from deeplinear.bench.baselines.jax_devices import set_up
from deeplinear.bench.problems import Array, Problem

set_up()


MOST_UNROLLED = 20
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "identity": lambda z: z,
    "gelu": jax.nn.gelu,
    "tanh": jnp.tanh,
}


def sharpness(
    problem: Problem, tolerance: float, activation: str = "identity"
) -> Callable[[], float]:
    """Prepare the largest eigenvalue of the Hessian of the risk over the samples."""
    X, y = map(jnp.asarray, problem.data())
    square, last = problem.square_weights("float64")
    parameters = jnp.concatenate([square[0].ravel(), last[0]])
    first = np.random.default_rng(0).standard_normal(parameters.size)
    at_once = problem.depth - 1 if problem.depth <= MOST_UNROLLED else 1

    def forward(hidden: jax.Array, layer: jax.Array) -> tuple[jax.Array, None]:
        return ACTIVATIONS[activation](layer @ hidden), None

    def risk(parameters: jax.Array) -> jax.Array:
        layers = parameters[: -problem.width].reshape(square[0].shape)
        hidden, _ = lax.scan(forward, X.T, layers, unroll=at_once)
        return ((parameters[-problem.width :] @ hidden - y) ** 2).mean()

    @jax.jit
    def product(at: jax.Array, along: jax.Array) -> jax.Array:
        return jax.jvp(jax.grad(risk), (at,), (along,))[1]

    def apply(vector: Array) -> Array:
        return np.asarray(product(parameters, vector.reshape(-1)))

    hessian = LinearOperator((parameters.size,) * 2, matvec=apply, dtype=np.float64)

    def largest() -> float:
        (value,) = eigsh(
            hessian, k=1, which="LA", tol=tolerance, v0=first, return_eigenvectors=False
        )
        return float(value)

    return largest
