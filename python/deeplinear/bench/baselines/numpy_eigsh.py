"""NumPy and SciPy, one network: Hessian products in two passes over the layers, with ``eigsh``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from deeplinear.bench.problems import Array, Problem


def sharpness(problem: Problem, tolerance: float) -> Callable[[], float]:
    """Prepare the largest eigenvalue of ``V -> du_k v_{k-1}^T + u_k dv_{k-1}^T``."""
    C, b = problem.moments("float64")
    layers = problem.layers("float64")
    first = np.random.default_rng(0).standard_normal(problem.parameters)
    bounds = np.cumsum([0, *(layer.size for layer in layers)])

    def blocks(vector: Array) -> list[Array]:
        pieces = zip(bounds[:-1], bounds[1:], layers, strict=True)
        return [vector[low:high].reshape(layer.shape) for low, high, layer in pieces]

    def largest() -> float:
        # u_{k-1} = W_k^T u_k,  v_k = W_k v_{k-1}
        u = [np.ones(1)]
        for layer in reversed(layers):
            u.append(layer.T @ u[-1])
        u.reverse()
        v = [2 * (C @ u[0] - b)]
        for layer in layers[:-1]:
            v.append(layer @ v[-1])

        def product(vector: Array) -> Array:
            directions = blocks(vector.reshape(-1))
            result = np.empty(vector.size)
            du = [np.zeros(1)]
            for k in range(len(layers) - 1, -1, -1):
                du.append(directions[k].T @ u[k + 1] + layers[k].T @ du[-1])
            du.reverse()
            dv = 2 * (C @ du[0])
            for k, block in enumerate(blocks(result)):
                np.multiply(du[k + 1][:, None], v[k], out=block)
                block += u[k + 1][:, None] * dv
                dv = directions[k] @ v[k] + layers[k] @ dv
            return result

        hessian = LinearOperator((first.size,) * 2, matvec=product, dtype=np.float64)
        (value,) = eigsh(
            hessian, k=1, which="LA", tol=tolerance, v0=first, return_eigenvectors=False
        )
        return float(value)

    return largest
