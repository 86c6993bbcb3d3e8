"""NumPy, one network, as one writes it first: backpropagation over the samples, dense gradients."""

from __future__ import annotations

from deeplinear.bench.baselines import Job
from deeplinear.bench.problems import Array, Problem


def gradient_descent(problem: Problem, dtype: str) -> Job:
    """Train with one sample per column of ``h_k = W_k h_{k-1}``; ``grad_k = delta_k h_{k-1}^T``."""
    X, y = (array.astype(dtype) for array in problem.data())
    layers = problem.layers(dtype)

    def run(steps: int) -> list[Array]:
        for _ in range(steps):
            hidden = [X.T]
            for layer in layers:
                hidden.append(layer @ hidden[-1])
            delta = 2 * (hidden.pop() - y) / len(y)
            gradients = []
            for layer, before in zip(reversed(layers), reversed(hidden), strict=True):
                gradients.append(delta @ before.T)
                delta = layer.T @ delta
            for layer, gradient in zip(reversed(layers), gradients, strict=True):
                layer -= problem.learning_rate * gradient
        return layers

    return Job(run, lambda result: [layer[None].copy() for layer in result])
