"""The networks and data of every comparison; NumPy only, so that baselines run on their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Problem:
    """An ensemble of plain networks of widths ``(width,) * depth + (1,)`` on the same data."""

    width: int
    depth: int
    runs: int
    scale: float  # standard deviation of the initial weights; keeps every run alive
    learning_rate: float = 1e-3
    samples: int = 50
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.width}x{self.width} L={self.depth}"

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.width,) * self.depth + (1,)

    @property
    def parameters(self) -> int:
        return (self.depth - 1) * self.width**2 + self.width

    @property
    def flops(self) -> int:
        """Of one gradient step, linear: a product and a sum per weight in pull, push and update."""
        return 6 * self.parameters

    def data(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gaussian inputs, noisy targets; scaled to a least-squares minimizer of norm one."""
        generator = np.random.default_rng(self.seed)
        X = generator.standard_normal((self.samples, self.width))
        y = X @ generator.standard_normal(self.width) + generator.standard_normal(self.samples)
        return X, y / np.linalg.norm(np.linalg.lstsq(X, y, rcond=None)[0])

    def moments(self, dtype: str) -> tuple[NDArray, NDArray]:
        """``C = X^T X / n`` and ``b = X^T y / n``."""
        X, y = self.data()
        return (X.T @ X / self.samples).astype(dtype), (X.T @ y / self.samples).astype(dtype)

    def square_weights(self, dtype: str) -> tuple[NDArray, NDArray]:
        """The square layers (runs, depth - 1, width, width) and the last one (runs, width)."""
        generator = np.random.default_rng(self.seed + 1)
        shape = (self.runs, self.depth - 1, self.width, self.width)
        square = self.scale * generator.standard_normal(shape)
        last = self.scale * generator.standard_normal((self.runs, self.width))
        return square.astype(dtype), last.astype(dtype)

    def weights(self, dtype: str) -> list[NDArray]:
        """The same weights, as one array (runs, d_k, d_{k-1}) per layer."""
        return as_layers(*self.square_weights(dtype))


def as_layers(square: NDArray, last: NDArray) -> list[NDArray]:
    """From (runs, depth - 1, width, width) and (runs, width) to one array per layer."""
    layers = [np.ascontiguousarray(square[:, k]) for k in range(square.shape[1])]
    return [*layers, np.ascontiguousarray(last[:, None, :])]


# Below the scale 1 / sqrt(width), at which a layer keeps the mean square norm of a vector.
SMALL = Problem(width=5, depth=10, runs=2048, scale=0.35)
WIDE = Problem(width=20, depth=5, runs=512, scale=0.18)
DEEP = Problem(width=5, depth=100, runs=512, scale=0.40)
BATCH = Problem(width=5, depth=10, runs=64, scale=0.35)  # of adaptive flows
SINGLE = Problem(width=5, depth=10, runs=1, scale=0.35)  # one sharpness
# Layers followed by a GELU, the last one linear.
GELU = Problem(width=5, depth=10, runs=512, scale=0.5)
SINGLE_GELU = Problem(width=5, depth=10, runs=1, scale=0.5)
