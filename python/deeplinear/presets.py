"""Experiments as data: what is trained, from where, how and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from deeplinear.init import Gaussian
from deeplinear.network import Network
from deeplinear.regression import Regression, gaussian_regression

__all__ = ["PLAIN", "PRESETS", "GaussianData", "Preset", "Training"]


@dataclass(frozen=True)
class GaussianData:
    """Data of `deeplinear.gaussian_regression`, but for its seed.

    Attributes
    ----------
    n, d : int
        Samples and inputs.
    noise : float
        Standard deviation of the noise.
    """

    n: int
    d: int
    noise: float

    def regression(self, seed: int) -> Regression:
        """Draw the data."""
        return gaussian_regression(self.n, self.d, self.noise, seed)


@dataclass(frozen=True)
class Training:
    """Gradient descent at one learning rate.

    Attributes
    ----------
    learning_rate : float
        The learning rate.
    steps : int
        Steps of every run.
    runs : int
        Runs per scale of the initial weights.
    """

    learning_rate: float
    steps: int
    runs: int


@dataclass(frozen=True)
class Preset:
    """An experiment: a plain network on Gaussian data, at every learning rate from every scale.

    Attributes
    ----------
    name : str
        What its files are called.
    title : str
        What it is, in a few words.
    data : GaussianData
        The problem.
    depth : int
        The number L of layers: L - 1 of shape (d, d), and a last one of shape (1, d).
    init : Gaussian
        The law of the initial weights, with the sequence of its scales.
    training : tuple of Training
        One entry per learning rate.
    record : tuple of str
        What is measured at the start and at the end, names of `deeplinear.RECORDABLE`.
    seed : int
        What data and initial weights are drawn from, unless the run is given another.
    """

    name: str
    title: str
    data: GaussianData
    depth: int
    init: Gaussian
    training: tuple[Training, ...]
    record: tuple[str, ...] = ("risk", "distance", "sharpness")
    seed: int = 0

    @property
    def network(self) -> Network:
        """The network."""
        return Network((self.data.d,) * self.depth + (1,))

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales of the initial weights."""
        return tuple(np.atleast_1d(self.init.scale).tolist())

    @property
    def runs(self) -> int:
        """Runs of all cells together."""
        return len(self.scales) * sum(training.runs for training in self.training)

    @property
    def steps(self) -> int:
        """Steps of all runs together, if none diverges."""
        return len(self.scales) * sum(t.runs * t.steps for t in self.training)

    def quick(self) -> Preset:
        """Make it small: every third scale, and at most eight runs per cell.

        Learning rates and steps stay, so that what is left equals the same cells of the whole.
        """
        return replace(
            self,
            name=f"{self.name}-quick",
            title=f"{self.title}, a small version",
            init=replace(self.init, scale=self.scales[::3]),
            training=tuple(replace(t, runs=min(t.runs, 8)) for t in self.training),
        )


#: The first experiment of Marion and Chizat (NeurIPS 2024): 1,600 runs, 13.2 million steps.
PLAIN = Preset(
    name="plain",
    title="plain networks from Gaussian weights",
    data=GaussianData(n=50, d=5, noise=1.0),
    depth=10,
    init=Gaussian(np.linspace(0.25, 0.6, 10)),
    training=(
        Training(learning_rate=0.005, steps=40_000, runs=20),
        Training(learning_rate=0.02, steps=10_000, runs=20),
        Training(learning_rate=0.07, steps=4_000, runs=20),
        Training(learning_rate=0.1, steps=4_000, runs=20),
        Training(learning_rate=0.2, steps=2_000, runs=80),
    ),
)

#: The presets by name.
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in (PLAIN,)})
