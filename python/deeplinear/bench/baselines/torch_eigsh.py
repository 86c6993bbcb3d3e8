"""PyTorch and SciPy: Hessian products by differentiating twice, Lanczos by ``eigsh``.

The gradient is differentiated again for every product; ``keep_graph`` builds its graph once
instead of for each, which is twice as fast. On small networks one thread is faster: a second one
only adds its synchronisation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from deeplinear.bench.baselines import processors
from deeplinear.bench.problems import Array, Problem

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda z: z,
    "gelu": partial(torch.nn.functional.gelu, approximate="tanh"),
    "tanh": torch.tanh,
}


def sharpness(
    problem: Problem,
    tolerance: float,
    keep_graph: bool,
    activation: str = "identity",
    threads: int | None = None,
) -> Callable[[], float]:
    """Prepare the largest eigenvalue; by default on all processors."""
    torch.set_num_threads(threads or processors())
    X, y = map(torch.from_numpy, problem.data())
    start = problem.layers("float64")
    sizes = [layer.size for layer in start]
    first = np.random.default_rng(0).standard_normal(sum(sizes))

    def risk(weights: list[torch.Tensor]) -> torch.Tensor:
        hidden = X
        for layer in weights[:-1]:
            hidden = ACTIVATIONS[activation](hidden @ layer.T)
        return (((hidden @ weights[-1].T)[:, 0] - y) ** 2).mean()

    def gradient(weights: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(risk(weights), weights, create_graph=True)

    def largest() -> float:
        weights = [torch.tensor(layer, requires_grad=True) for layer in start]
        kept = gradient(weights) if keep_graph else None

        def product(vector: Array) -> Array:
            pieces = torch.split(torch.from_numpy(vector.reshape(-1)), sizes)
            direction = [piece.view_as(w) for piece, w in zip(pieces, weights, strict=True)]
            slopes = kept or gradient(weights)
            parts = torch.autograd.grad(slopes, weights, direction, retain_graph=keep_graph)
            return torch.cat([part.reshape(-1) for part in parts]).numpy()

        hessian = LinearOperator((sum(sizes),) * 2, matvec=product, dtype=np.float64)
        (value,) = eigsh(
            hessian, k=1, which="LA", tol=tolerance, v0=first, return_eigenvectors=False
        )
        return float(value)

    return largest
