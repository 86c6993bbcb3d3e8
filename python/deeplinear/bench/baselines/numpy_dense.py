"""NumPy: all columns of the Hessian at once by the vector chain, then a dense eigensolver.

One thread: on matrices this small a second one of BLAS only spins, and with other work on the
machine it costs a hundred times the computation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import ThreadpoolController

from deeplinear.bench.problems import Problem


def sharpness(problem: Problem, tolerance: float) -> Callable[[], float]:
    """Prepare it to rounding, whatever the tolerance."""
    C, b = problem.moments("float64")
    weights = problem.layers("float64")
    parameters = sum(layer.size for layer in weights)
    bounds = np.cumsum([0, *(layer.size for layer in weights)])
    identity = np.eye(parameters)
    # One direction per parameter, in the shape of each layer: (parameters, d_k, d_{k-1}).
    directions = [
        identity[:, low:high].reshape(parameters, *layer.shape)
        for layer, low, high in zip(weights, bounds[:-1], bounds[1:], strict=True)
    ]

    libraries = ThreadpoolController()

    def largest() -> float:
        pulled, pulled_change = [np.ones(1)], [np.zeros((parameters, 1))]
        for layer, change in zip(reversed(weights), reversed(directions), strict=True):
            pulled_change.append(
                np.einsum("pij,i->pj", change, pulled[-1]) + pulled_change[-1] @ layer
            )
            pulled.append(layer.T @ pulled[-1])
        v, v_change = 2 * (C @ pulled.pop() - b), 2 * pulled_change.pop() @ C
        blocks = []
        for layer, change in zip(weights, directions, strict=True):
            u, u_change = pulled.pop(), pulled_change.pop()
            block = u_change[:, :, None] * v + u[:, None] * v_change[:, None, :]
            blocks.append(block.reshape(parameters, -1))
            v, v_change = layer @ v, np.einsum("pij,j->pi", change, v) + v_change @ layer.T
        hessian = np.concatenate(blocks, axis=1)
        with libraries.limit(limits=1, user_api="blas"):
            return float(np.linalg.eigvalsh(hessian)[-1])

    return largest
