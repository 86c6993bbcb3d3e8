"""An independent reference: the mathematics written out with explicit matrix products.

Nothing here uses the two passes over the layers that the package is built on. The end-to-end map
is a product of matrices, its Jacobian `J = dw/dtheta` and second derivatives are written out entry
by entry,

    w = (W_L ... W_1)^T p,        R = |y - X w|^2 / n,        g = dR/dw = 2 X^T (X w - y) / n,
    dw / dW_k[i, j] = (p^T W_L ... W_{k+1})_i (W_{k-1} ... W_1)[j, :],
    gradient = J^T g,             Hessian = 2 J^T C J + sum_a g_a d^2 w_a / dtheta^2.

With an activation between the layers the risk is a sum over samples, its gradient the chain rule,
and its Hessian a complex step of the gradient.

Everything is done in extended precision unless told otherwise, so that a difference from the
package is the package's own rounding. With a complex dtype the same code serves complex steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from activations import ACTIVATIONS

Array = NDArray[Any]
Weights = Sequence[Array]


@dataclass(frozen=True, eq=False)
class Objective:
    """A risk of the layers of a network on the samples `X` (n, d), `y` (n,), and its dynamics."""

    X: Array
    y: Array
    widths: tuple[int, ...]
    readout: Array | None = None
    dtype: Any = np.longdouble

    def risk(self, weights: Weights) -> Any:
        raise NotImplementedError

    def gradient(self, weights: Weights) -> list[Array]:
        raise NotImplementedError

    def hessian(self, weights: Weights) -> Array:
        raise NotImplementedError

    @property
    def depth(self) -> int:
        return len(self.widths) - 1

    @property
    def samples(self) -> tuple[Array, Array, Array]:
        """X, y and p in the working precision; p = (1,) for a plain network."""
        p = np.ones(1) if self.readout is None else self.readout
        return self.X.astype(self.dtype), self.y.astype(self.dtype), p.astype(self.dtype)

    def layers(self, weights: Weights) -> list[Array]:
        return [np.asarray(layer).astype(self.dtype) for layer in weights]

    def flatten(self, weights: Weights) -> Array:
        return np.concatenate([layer.ravel() for layer in self.layers(weights)])

    def unflatten(self, vector: Array) -> list[Array]:
        layers, start = [], 0
        for rows, columns in zip(self.widths[1:], self.widths[:-1], strict=True):
            layers.append(vector[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        return layers

    def spectrum(self, weights: Weights) -> Array:
        """All eigenvalues of the Hessian, ascending, in double precision."""
        return np.linalg.eigvalsh(self.hessian(weights).astype(float))

    # The dynamics, on flat vectors.

    def descent_direction(self, vector: Array) -> Array:
        return -self.flatten(self.gradient(self.unflatten(vector)))

    def integrate(self, weights: Weights, steps: Sequence[float], method: str) -> Array:
        """The states after 0, 1, ..., len(steps) steps of the given sizes, (len(steps) + 1, P)."""
        stepper = {"euler": _euler, "rk4": _rk4}[method]
        states = [self.flatten(weights)]
        for step in steps:
            states.append(stepper(self.descent_direction, states[-1], self.dtype(step)))
        return np.stack(states)

    def descent(
        self,
        weights: Weights,
        learning_rate: float,
        steps: int,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> Array:
        """The weights W after 0..steps steps, (steps + 1, P), as a recursion without M.

        W' = W - eta g + m (W - W_before) is the heavy ball. Nesterov's is the same for the shifted
        Z = W + eta m M, at which no gradient is taken: W' = Z' - eta m M', Z' - Z = -eta M'.
        """
        eta, m, decay = self.dtype(learning_rate), self.dtype(momentum), self.dtype(weight_decay)
        states = [self.flatten(weights)]
        Z = before = states[0]
        for _ in range(steps):
            W = states[-1]
            g = decay * W - self.descent_direction(W)
            Z, before = Z - eta * g + m * (Z - before), Z
            states.append(Z + m * (Z - before) if nesterov else Z)
        return np.stack(states)

    def gradient_descent(self, weights: Weights, learning_rate: float, steps: int) -> Array:
        """The weights after 0..steps steps, (steps + 1, P)."""
        return self.descent(weights, learning_rate, steps)

    def flow(self, weights: Weights, times: Sequence[float]) -> Array:
        """The gradient flow at `times` (which begin at 0), (len(times), P), to about 1e-12."""
        double = replace(self, dtype=np.float64)
        solution = solve_ivp(
            lambda _, vector: double.descent_direction(vector),
            (times[0], times[-1]),
            double.flatten(weights),
            method="DOP853",
            t_eval=times,
            rtol=1e-13,
            atol=1e-14,
        )
        assert solution.success, solution.message
        states: Array = solution.y.T
        if len(times) > 2:  # the interpolant is less exact than the steps: end a solution at each
            states = np.stack(
                [states[0]] + [self.flow(weights, [times[0], t])[-1] for t in times[1:]]
            )
        return states


@dataclass(frozen=True, eq=False)
class Reference(Objective):
    """Risk of a deep linear network."""

    def product(self, weights: Weights, upper: int, lower: int) -> Array:
        """W_upper ... W_lower, (d_upper, d_{lower-1}); the identity where upper = lower - 1."""
        result = np.eye(self.widths[lower - 1], dtype=self.dtype)
        for k in range(lower, upper + 1):
            result = weights[k - 1].astype(self.dtype) @ result
        return result

    def end_to_end(self, weights: Weights) -> Array:
        return self.product(weights, self.depth, 1).T @ self.samples[2]

    def risk_of_map(self, w: Array) -> Any:
        X, y, _ = self.samples
        residual = y - X @ w
        return np.sum(residual * residual) / len(y)

    def slope(self, w: Array) -> Array:
        X, y, _ = self.samples
        return 2 * (X.T @ (X @ w - y)) / len(y)

    @property
    def covariance(self) -> Array:
        X, y, _ = self.samples
        return X.T @ X / len(y)

    def risk(self, weights: Weights) -> Any:
        return self.risk_of_map(self.end_to_end(weights))

    def _tops(self, weights: Weights) -> list[Array]:
        """p^T W_L ... W_{k+1}, (d_k,), of k = 1..L."""
        p = self.samples[2]
        return [p @ self.product(weights, self.depth, k + 1) for k in range(1, self.depth + 1)]

    def _bottoms(self, weights: Weights) -> list[Array]:
        """W_{k-1} ... W_1, (d_{k-1}, d), of k = 1..L."""
        return [self.product(weights, k - 1, 1) for k in range(1, self.depth + 1)]

    def jacobian(self, weights: Weights) -> Array:
        """dw / dtheta, (d, P)."""
        d = self.widths[0]
        blocks = [
            np.einsum("i,ja->aij", top, bottom).reshape(d, -1)
            for top, bottom in zip(self._tops(weights), self._bottoms(weights), strict=True)
        ]
        return np.concatenate(blocks, axis=1)

    def gradient(self, weights: Weights) -> list[Array]:
        return self.unflatten(self.jacobian(weights).T @ self.slope(self.end_to_end(weights)))

    def hessian(self, weights: Weights) -> Array:
        """(P, P). The block of W_k[i, j] and W_l[m, n], k < l, of the second derivatives is

        (p^T W_L ... W_{l+1})_m (W_{l-1} ... W_{k+1})[n, i] (W_{k-1} ... W_1 g)_j.
        """
        jacobian = self.jacobian(weights)
        result = 2 * jacobian.T @ (self.covariance @ jacobian)
        g = self.slope(self.end_to_end(weights))
        tops, bottoms = self._tops(weights), self._bottoms(weights)
        sizes = [a * b for a, b in zip(self.widths[1:], self.widths[:-1], strict=True)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        layers = self.layers(weights)
        for k in range(1, self.depth + 1):
            middle = np.eye(self.widths[k], dtype=self.dtype)
            for m in range(k + 1, self.depth + 1):
                block = np.einsum("m,ni,j->ijmn", tops[m - 1], middle, bottoms[k - 1] @ g)
                block = block.reshape(sizes[k - 1], sizes[m - 1])
                rows = slice(starts[k - 1], starts[k])
                columns = slice(starts[m - 1], starts[m])
                result[rows, columns] += block
                result[columns, rows] += block.T
                middle = layers[m - 1] @ middle
        return result

    def hessian_vector_product(self, weights: Weights, direction: Weights) -> list[Array]:
        return self.unflatten(self.hessian(weights) @ self.flatten(direction))

    def hessian_trace(self, weights: Weights) -> Any:
        """2 tr(C J J^T): a layer enters w linearly, so its own second derivatives vanish."""
        jacobian = self.jacobian(weights)
        return 2 * np.sum(jacobian * (self.covariance @ jacobian))


@dataclass(frozen=True, eq=False)
class NonlinearReference(Objective):
    """Risk of f(x) = p^T W_L s(W_{L-1} s(... s(W_1 x))): no activation after the last layer."""

    activation: str = "gelu"

    def _forward(self, layers: Weights) -> tuple[list[Array], list[Array]]:
        """What goes into the layers and comes out of them, one row per sample.

        H_0 = X,  Z_k = H_{k-1} W_k^T (n, d_k),  H_k = s(Z_k).
        """
        s = ACTIVATIONS[self.activation][0]
        inputs = [self.samples[0]]
        outputs = [inputs[0] @ layers[0].T]
        for layer in layers[1:]:
            inputs.append(s(outputs[-1]))
            outputs.append(inputs[-1] @ layer.T)
        return inputs, outputs

    def outputs(self, weights: Weights) -> Array:
        """f of every sample, (n,)."""
        return np.asarray(self._forward(self.layers(weights))[1][-1] @ self.samples[2])

    def risk(self, weights: Weights) -> Any:
        residual = self.outputs(weights) - self.samples[1]
        return np.sum(residual * residual) / len(residual)

    def gradient(self, weights: Weights) -> list[Array]:
        """E_k^T H_{k-1}, with E_k = dR / dZ_k, (n, d_k),

        E_L = 2 (f - y) p^T / n,        E_k = s'(Z_k) * (E_{k+1} W_{k+1}).
        """
        _, y, p = self.samples
        slope = ACTIVATIONS[self.activation][1]
        layers = self.layers(weights)
        inputs, outputs = self._forward(layers)
        error = np.outer(2 * (outputs[-1] @ p - y) / len(y), p)
        result = [error.T @ inputs[-1]]
        for k in range(self.depth - 1, 0, -1):
            error = slope(outputs[k - 1]) * (error @ layers[k])
            result.insert(0, error.T @ inputs[k - 1])
        return result

    def hessian_vector_product(self, weights: Weights, direction: Weights) -> list[Array]:
        """Im gradient(W + i h V) / h, with an error O(h^2): no difference is taken.

        So h may be so small that h^2 is zero, and an argument of zero stays at the ReLU's kink.
        """
        step = np.sqrt(np.finfo(self.dtype).smallest_subnormal) / self.dtype(1e10)
        stepper = replace(self, dtype=np.result_type(self.dtype, 1j).type)
        shifted = [
            layer + 1j * step * along
            for layer, along in zip(self.layers(weights), self.layers(direction), strict=True)
        ]
        return [block.imag / step for block in stepper.gradient(shifted)]

    def hessian(self, weights: Weights) -> Array:
        """(P, P), one complex step per column."""
        columns = [
            self.flatten(self.hessian_vector_product(weights, self.unflatten(unit)))
            for unit in np.eye(len(self.flatten(weights)), dtype=self.dtype)
        ]
        return np.stack(columns, axis=1)

    def hessian_trace(self, weights: Weights) -> Any:
        return np.trace(self.hessian(weights))


def _euler(f: Callable[[Array], Array], x: Array, h: Any) -> Array:
    return x + h * f(x)


def _rk4(f: Callable[[Array], Array], x: Array, h: Any) -> Array:
    k1 = f(x)
    k2 = f(x + h / 2 * k1)
    k3 = f(x + h / 2 * k2)
    k4 = f(x + h * k3)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def minimizer(X: Array, y: Array) -> Array:
    """The least-squares minimizer of least norm."""
    return np.asarray(np.linalg.pinv(X) @ y)


def layer_norm(weights: Weights) -> Array:
    """First singular value of each layer, (L,)."""
    return np.array([np.linalg.svd(layer, compute_uv=False)[0] for layer in weights])


def rank_one_gap(weights: Weights) -> Array:
    """Second over first singular value of each layer, (L,); 0 where there is no second."""
    values = [np.linalg.svd(layer, compute_uv=False) for layer in weights]
    return np.array([s[1] / s[0] if len(s) > 1 else 0.0 for s in values])


def alignment(weights: Weights) -> Array:
    """|first left singular vector of W_k . first right singular vector of W_{k+1}|, (L - 1,)."""
    factors = [np.linalg.svd(layer, full_matrices=False) for layer in weights]
    return np.array([abs(lower[0][:, 0] @ upper[2][0]) for lower, upper in pairwise(factors)])


def imbalances(weights: Weights) -> list[Array]:
    """W_{k+1}^T W_{k+1} - W_k W_k^T of k = 1..L-1, which the flow conserves."""
    return [upper.T @ upper - lower @ lower.T for lower, upper in pairwise(weights)]


def balancedness(weights: Weights) -> float:
    """Largest Frobenius norm of the imbalances; 0 for a single layer."""
    return max((float(np.linalg.norm(matrix)) for matrix in imbalances(weights)), default=0.0)


def sharpness_at_minimizer(reference: Reference, weights: Weights) -> float:
    """2 lambda_max(C^(1/2) M C^(1/2)), M = J J^T = sum_k |u_k|^2 A_k^T A_k: a d x d problem."""
    jacobian = reference.jacobian(weights).astype(float)
    values, vectors = np.linalg.eigh(reference.covariance.astype(float))
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return float(2 * np.linalg.eigvalsh(root @ (jacobian @ jacobian.T) @ root)[-1])
