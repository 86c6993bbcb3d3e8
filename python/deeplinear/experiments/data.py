"""Laws of the data of an experiment: frozen settings that draw regressions from a seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from deeplinear._support.checks import (
    FloatArray,
    Names,
    Numbers,
    describe,
    non_negative,
    one_of,
    positive,
    positive_integer,
    scalar_or_sequence,
    sequence_fields,
)
from deeplinear.init import Orthogonal
from deeplinear.network import Network
from deeplinear.regression import Regression, gaussian_regression

__all__ = ["Data", "GaussianData", "Problem", "SpectralData"]


def different(name: str, values: Iterable[Any]) -> None:
    """Refuse a value that is listed twice: its runs would be the same."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{name} must be different values; got {describe(value)} twice.")
        seen.add(value)


def keep(instance: object, **values: object) -> None:
    """Keep checked values in a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


@dataclass(frozen=True)
class Problem:
    """Data to train on, and what tells them from the other data of the experiment.

    Attributes
    ----------
    regression : Regression
        The data.
    labels : mapping
        Values by name; they become coordinates of the runs.
    """

    regression: Regression
    labels: Mapping[str, float | str]


class Data(ABC):
    """A law of the data: a frozen dataclass that draws them from a seed."""

    n: int
    d: int
    #: Whether there are test data.
    tested: bool

    @property
    def count(self) -> int:
        """The number of problems."""
        return 1

    @abstractmethod
    def problems(self, seed: int) -> list[Problem]:
        """Draw the problems, of the same n and d."""


@dataclass(frozen=True)
class GaussianData(Data):
    """Data of `deeplinear.gaussian_regression`, but for its seed: one problem.

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

    tested = True

    def __post_init__(self) -> None:
        n, d = (positive_integer(name, getattr(self, name)) for name in ("n", "d"))
        keep(self, n=n, d=d, noise=non_negative("noise", self.noise))

    def regression(self, seed: int) -> Regression:
        """Draw the data."""
        return gaussian_regression(self.n, self.d, self.noise, seed)

    def problems(self, seed: int) -> list[Problem]:
        """Draw the one problem, without labels."""
        return [Problem(self.regression(seed), {})]


def _condition(name: str, value: object) -> float:
    number = positive(name, value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {describe(value)}.")
    return number


def _end(name: str, value: object) -> str:
    return one_of(name, value, ("top", "bottom"))


@dataclass(frozen=True)
class SpectralData(Data):
    """Noiseless data whose covariance has exactly the asked eigenvalues.

    ``X = sqrt(n) Q diag(sqrt(lambda)) V^T``, so that ``C = V diag(lambda) V^T``, with eigenvalues
    ``lambda`` in geometric progression from ``1 / condition`` to 1, and Haar matrices Q (n, d) and
    V (d, d) that the seed alone decides. ``y = X w*`` with ``w*`` a unit eigenvector.

    Attributes
    ----------
    n, d : int
        Samples and inputs, ``n >= d >= 2``.
    condition : float or sequence of float
        The condition number of C, at least 1.
    along : {"top", "bottom"} or sequence of them
        Whether ``w*`` is the eigenvector of the largest or of the smallest eigenvalue.
    """

    n: int
    d: int
    condition: Numbers
    along: Names

    tested = False

    def __post_init__(self) -> None:
        n, d = (positive_integer(name, getattr(self, name)) for name in ("n", "d"))
        if d < 2:
            raise ValueError(f"d must be at least 2, to have a top and a bottom; got {d}.")
        if n < d:
            raise ValueError(f"n must be at least d = {d}, for a covariance of full rank; got {n}.")
        condition = scalar_or_sequence("condition", self.condition, _condition)
        along = scalar_or_sequence("along", self.along, _end)
        keep(self, n=n, d=d, condition=condition, along=along)
        for name, values in sequence_fields(self).items():
            different(name, values)

    @property
    def _conditions(self) -> tuple[float, ...]:
        return tuple(np.atleast_1d(self.condition).tolist())

    @property
    def _ends(self) -> tuple[str, ...]:
        return (self.along,) if isinstance(self.along, str) else tuple(self.along)

    @property
    def count(self) -> int:
        """The number of problems: one per condition number and direction."""
        return len(self._conditions) * len(self._ends)

    def problems(self, seed: int) -> list[Problem]:
        """Draw the problems, labelled by ``condition`` and ``along``; all have the same Q and V."""
        # Layers of shapes (d, d) and (n, d) with orthonormal columns.
        shape = Network((self.d, self.d, self.n), readout=np.ones(self.n))
        V, Q = Orthogonal(1.0).sample(shape, seed)
        return [
            Problem(self._regression(Q, V, condition, end), {"condition": condition, "along": end})
            for condition, end in product(self._conditions, self._ends)
        ]

    @np.errstate(over="ignore", under="ignore")
    def _regression(self, Q: FloatArray, V: FloatArray, condition: float, end: str) -> Regression:
        eigenvalues = condition ** -np.linspace(1, 0, self.d)  # (d,), ascending to exactly 1
        k = self.d - 1 if end == "top" else 0
        root = np.sqrt(self.n * eigenvalues)
        # y = X w* = sqrt(n lambda_k) Q_k for w* = V_k
        return Regression(Q * root @ V.T, root[k] * Q[:, k])
