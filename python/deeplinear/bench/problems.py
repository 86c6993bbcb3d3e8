"""The networks and data of every comparison; NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """Runs of plain networks of widths ``(width,) * depth + (1,)`` on the same data.

    Parameters
    ----------
    width, depth, runs : int
        The size of a network, and how many of them there are.
    scale : float
        Standard deviation of the initial weights; such that every run stays alive.
    learning_rate : float, default 1e-3
        The step of gradient descent and of flows with a fixed step.
    samples : int, default 50
        The number n of samples.
    seed : int, default 0
        Of the data; the weights have the next one.
    """

    width: int
    depth: int
    runs: int
    scale: float
    learning_rate: float = 1e-3
    samples: int = 50
    seed: int = 0

    @property
    def name(self) -> str:
        """Say the size, in the words of the tables."""
        if self.runs == 1:
            return f"L={self.depth} width {self.width}"
        return f"{self.width}x{self.width} L={self.depth}"

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths d_0..d_L."""
        return (self.width,) * self.depth + (1,)

    @property
    def parameters(self) -> int:
        """The number P of weights of a run."""
        return (self.depth - 1) * self.width**2 + self.width

    @property
    def flops(self) -> int:
        """Count those of a linear gradient step: a product and a sum in pull, push and update."""
        return 6 * self.parameters

    @property
    def sample_flops(self) -> int:
        """Count those of a gradient over the samples: forward, back, and the sum of products."""
        return 6 * self.samples * self.parameters

    def data(self) -> tuple[Array, Array]:
        """Draw Gaussian inputs and noisy targets, scaled to a least-norm minimizer of norm one."""
        generator = np.random.default_rng(self.seed)
        X = generator.standard_normal((self.samples, self.width))
        y = X @ generator.standard_normal(self.width) + generator.standard_normal(self.samples)
        return X, y / np.linalg.norm(np.linalg.lstsq(X, y, rcond=None)[0])

    def moments(self, dtype: str) -> tuple[Array, Array]:
        """Compute ``C = X^T X / n`` and ``b = X^T y / n``."""
        X, y = self.data()
        return (X.T @ X / self.samples).astype(dtype), (X.T @ y / self.samples).astype(dtype)

    def square_weights(self, dtype: str) -> tuple[Array, Array]:
        """Draw the square layers (runs, depth - 1, width, width) and the last one (runs, width)."""
        generator = np.random.default_rng(self.seed + 1)
        shape = (self.runs, self.depth - 1, self.width, self.width)
        square = generator.standard_normal(shape)
        square *= self.scale
        last = self.scale * generator.standard_normal((self.runs, self.width))
        return square.astype(dtype, copy=False), last.astype(dtype, copy=False)

    def weights(self, dtype: str) -> list[Array]:
        """Draw the same weights, as one array (runs, d_k, d_{k-1}) per layer."""
        return as_layers(*self.square_weights(dtype))

    def layers(self, dtype: str) -> list[Array]:
        """Draw those of the first run alone, as one array (d_k, d_{k-1}) per layer."""
        square, last = self.square_weights(dtype)
        return [*square[0], last[:1]]


def as_layers(square: Array, last: Array) -> list[Array]:
    """Go from (runs, depth - 1, width, width) and (runs, width) to one array per layer."""
    layers = [np.ascontiguousarray(square[:, k]) for k in range(square.shape[1])]
    return [*layers, np.ascontiguousarray(last[:, None, :])]


def one_network(width: int, depth: int) -> Problem:
    """Make one large network; its layers keep the mean square norm of a vector."""
    return Problem(width, depth, runs=1, scale=width**-0.5, learning_rate=1e-6)


# Below the scale 1 / sqrt(width), at which a layer keeps the mean square norm of a vector.
SMALL = Problem(width=5, depth=10, runs=2048, scale=0.35)
WIDE = Problem(width=20, depth=5, runs=512, scale=0.18)
DEEP = Problem(width=5, depth=100, runs=512, scale=0.40)
BATCH = Problem(width=5, depth=10, runs=64, scale=0.35)  # of adaptive flows
SINGLE = Problem(width=5, depth=10, runs=1, scale=0.35)  # one sharpness
SHORT = Problem(width=2, depth=4, runs=20_000, scale=0.5)  # runs of a few steps
# Layers followed by a GELU, the last one linear.
GELU = Problem(width=5, depth=10, runs=512, scale=0.5)
SINGLE_GELU = Problem(width=5, depth=10, runs=1, scale=0.5)
# One large network.
DEEP_NETWORK = one_network(width=128, depth=1000)
WIDE_NETWORK = one_network(width=512, depth=100)
MIDDLE_NETWORK = one_network(width=64, depth=100)


def bent_network(width: int, samples: int) -> Problem:
    """Make one network of four layers, tanh after each but the last."""
    return Problem(width, 4, 1, scale=width**-0.5, learning_rate=1e-3, samples=samples)


BENT_NETWORK = bent_network(width=256, samples=2000)
