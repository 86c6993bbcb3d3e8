"""Plain NumPy for one run at a time: slow, short and what every technique is checked against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from deeplinear.bench.problems import Array, Problem

Layers = list[Array]
Gradient = Callable[..., Layers]


def gradient(weights: Layers, C: Array, b: Array) -> Layers:
    """``grad_k = u_k v_{k-1}^T`` of the risk ``|X w - y|^2 / n``."""
    pulled = [np.ones(1)]
    for layer in reversed(weights):
        pulled.append(layer.T @ pulled[-1])
    pulled.reverse()
    pushed = [2 * (C @ pulled[0] - b)]
    for layer in weights:
        pushed.append(layer @ pushed[-1])
    return [np.outer(u, v) for u, v in zip(pulled[1:], pushed[:-1], strict=True)]


def gelu_gradient(weights: Layers, X: Array, y: Array) -> Layers:
    return _gradient_through(gelu, weights, X, y)


def tanh_gradient(weights: Layers, X: Array, y: Array) -> Layers:
    return _gradient_through(tanh, weights, X, y)


def _gradient_through(
    activation: Callable[[Array], tuple[Array, Array]], weights: Layers, X: Array, y: Array
) -> Layers:
    """``grad_k = delta_k h_{k-1}^T`` of ``|f(X) - y|^2 / n``, one sample per column of h, delta."""
    hidden, slopes = [X.T], []
    for layer in weights[:-1]:
        value, slope = activation(layer @ hidden[-1])
        hidden.append(value)
        slopes.append(slope)
    delta = 2 * (weights[-1] @ hidden[-1] - y) / len(y)
    gradients = [delta @ hidden[-1].T]
    for layer, slope, before in zip(weights[:0:-1], slopes[::-1], hidden[-2::-1], strict=True):
        delta = slope * (layer.T @ delta)
        gradients.append(delta @ before.T)
    return gradients[::-1]


def gelu(z: Array) -> tuple[Array, Array]:
    """``s = z / 2 (1 + tanh(g))`` with ``g = sqrt(2 / pi) (z + 0.044715 z^3)``, and ``s'``."""
    tanh = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    inner_slope = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)
    return z / 2 * (1 + tanh), (1 + tanh) / 2 + z / 2 * (1 - tanh**2) * inner_slope


def tanh(z: Array) -> tuple[Array, Array]:
    """``s = tanh(z)``, and ``s'``."""
    return np.tanh(z), 1 / np.cosh(z) ** 2


def gradient_descent(problem: Problem, steps: int) -> Layers:
    return _descend(problem, steps, gradient, problem.moments("float64"))


def gelu_gradient_descent(problem: Problem, steps: int) -> Layers:
    return _descend(problem, steps, gelu_gradient, problem.data())


def tanh_gradient_descent(problem: Problem, steps: int) -> Layers:
    return _descend(problem, steps, tanh_gradient, problem.data())


def runge_kutta(problem: Problem, steps: int) -> Layers:
    C, b = problem.moments("float64")
    h = problem.learning_rate

    def train(weights: Layers) -> Layers:
        for _ in range(steps):
            first = gradient(weights, C, b)
            second = gradient(_add(weights, -h / 2, first), C, b)
            third = gradient(_add(weights, -h / 2, second), C, b)
            fourth = gradient(_add(weights, -h, third), C, b)
            for slope, weight in ((first, 1), (second, 2), (third, 2), (fourth, 1)):
                weights = _add(weights, -h / 6 * weight, slope)
        return weights

    return _each_run(problem, train)


def flow(problem: Problem, time: float) -> Layers:
    """Gradient flow by SciPy, three digits tighter than what is timed."""
    C, b = problem.moments("float64")

    def train(weights: Layers) -> Layers:
        def field(_: float, parameters: Array) -> Array:
            return -_flat(gradient(_unflat(parameters, weights), C, b))

        solution = solve_ivp(field, (0.0, time), _flat(weights), rtol=1e-9, atol=1e-12)
        return _unflat(solution.y[:, -1], weights)

    return _each_run(problem, train)


def sharpness(problem: Problem) -> float:
    return _largest_eigenvalue(problem, gradient, problem.moments("float64"))


def gelu_sharpness(problem: Problem) -> float:
    return _largest_eigenvalue(problem, gelu_gradient, problem.data())


def tanh_sharpness(problem: Problem) -> float:
    return _largest_eigenvalue(problem, tanh_gradient, problem.data())


def _descend(problem: Problem, steps: int, gradient: Gradient, data: tuple[Array, ...]) -> Layers:
    def train(weights: Layers) -> Layers:
        for _ in range(steps):
            weights = _add(weights, -problem.learning_rate, gradient(weights, *data))
        return weights

    return _each_run(problem, train)


def _largest_eigenvalue(problem: Problem, gradient: Gradient, data: tuple[Array, ...]) -> float:
    """Of the Hessian, whose columns are central differences of the gradient."""
    weights = [layer[0] for layer in problem.weights("float64")]
    parameters, step = _flat(weights), 1e-5
    columns = []
    for direction in step * np.eye(parameters.size):
        ahead = _flat(gradient(_unflat(parameters + direction, weights), *data))
        behind = _flat(gradient(_unflat(parameters - direction, weights), *data))
        columns.append((ahead - behind) / (2 * step))
    hessian = np.array(columns)
    return float(np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1])


def _each_run(problem: Problem, train: Callable[[Layers], Layers]) -> Layers:
    ensemble = problem.weights("float64")
    runs = [train([layer[run] for layer in ensemble]) for run in range(problem.runs)]
    return [np.stack(layer) for layer in zip(*runs, strict=True)]


def _add(weights: Layers, factor: float, direction: Layers) -> Layers:
    return [w + factor * g for w, g in zip(weights, direction, strict=True)]


def _flat(weights: Layers) -> Array:
    return np.concatenate([layer.ravel() for layer in weights])


def _unflat(parameters: Array, like: Layers) -> Layers:
    pieces = np.split(parameters, np.cumsum([layer.size for layer in like])[:-1])
    return [piece.reshape(layer.shape) for piece, layer in zip(pieces, like, strict=True)]
