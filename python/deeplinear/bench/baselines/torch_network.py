"""PyTorch, one network: the usual training loop, and forms without an optimizer or autograd."""

from __future__ import annotations

import torch

from deeplinear.bench.baselines import Job, processors
from deeplinear.bench.problems import Array, Problem


def samples(problem: Problem, dtype: str) -> Job:
    """Train as one writes it first: backward over the samples, and an optimizer."""
    torch.set_num_threads(processors())
    X, y = (torch.from_numpy(array.astype(dtype)) for array in problem.data())
    weights = [torch.from_numpy(layer).requires_grad_() for layer in problem.layers(dtype)]
    optimizer = torch.optim.SGD(weights, lr=problem.learning_rate)

    def run(steps: int) -> list[torch.Tensor]:
        for _ in range(steps):
            optimizer.zero_grad()
            hidden = X
            for layer in weights:
                hidden = hidden @ layer.T
            ((hidden[:, 0] - y) ** 2).mean().backward()
            optimizer.step()
        return weights

    return Job(run, _arrays)


def bent_samples(problem: Problem, dtype: str) -> Job:
    """Train with tanh after every layer but the last: autograd, and weights updated in place.

    An optimizer takes some 3 % more; ``torch.compile`` needs a compiler, and gains nothing where
    matrix products are nine tenths of the time.
    """
    torch.set_num_threads(processors())
    X, y = (torch.from_numpy(array.astype(dtype)) for array in problem.data())
    weights = [torch.from_numpy(layer).requires_grad_() for layer in problem.layers(dtype)]

    def run(steps: int) -> list[torch.Tensor]:
        for _ in range(steps):
            hidden = X
            for layer in weights[:-1]:
                hidden = torch.tanh(hidden @ layer.T)
            risk = (((hidden @ weights[-1].T)[:, 0] - y) ** 2).mean()
            slopes = torch.autograd.grad(risk, weights)
            with torch.no_grad():
                for layer, slope in zip(weights, slopes, strict=True):
                    layer.sub_(slope, alpha=problem.learning_rate)
        return weights

    return Job(run, _arrays)


def vector_chain(problem: Problem, dtype: str) -> Job:
    """Train with matrix-vector products, and ``W_k -= rate u_k v_{k-1}^T`` in place."""
    torch.set_num_threads(processors())
    C, b = map(torch.from_numpy, problem.moments(dtype))
    weights = [torch.from_numpy(layer) for layer in problem.layers(dtype)]
    *square, last = weights
    transposed = [layer.T for layer in square]
    pulled = torch.empty((problem.depth, problem.width), dtype=last.dtype)
    rows = list(pulled)

    @torch.inference_mode()
    def run(steps: int) -> list[torch.Tensor]:
        for _ in range(steps):
            rows[-1].copy_(last[0])
            for k in range(len(square) - 1, -1, -1):
                torch.mv(transposed[k], rows[k + 1], out=rows[k])
            v = torch.mv(C, rows[0]).sub_(b).mul_(2)
            for layer, u in zip(square, rows[1:], strict=True):
                pushed = torch.mv(layer, v)
                layer.addr_(u, v, alpha=-problem.learning_rate)
                v = pushed
            last[0].sub_(v, alpha=problem.learning_rate)
        return weights

    return Job(run, _arrays)


def _arrays(weights: list[torch.Tensor]) -> list[Array]:
    return [layer.detach().numpy()[None].copy() for layer in weights]
