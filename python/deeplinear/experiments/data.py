"""The data of an experiment: laws of `deeplinear.data` but for the seed, which the experiment has.

A field that holds a sequence makes several problems, of which each has its values as labels.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

from deeplinear._support.checks import (
    Names,
    Numbers,
    describe,
    positive_integer,
    sequence_fields,
)
from deeplinear.data import Data as Law
from deeplinear.data import File, Gaussian, Spectral
from deeplinear.regression import Regression

__all__ = ["Data", "FileData", "GaussianData", "Problem", "SpectralData"]


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
    """The data of an experiment: a frozen dataclass, which makes a law of a seed."""

    n: int
    d: int
    #: Whether there are test data.
    tested: bool
    #: Fields that are labels even where they hold one value.
    labelled: tuple[str, ...] = ()

    @abstractmethod
    def law(self, seed: int) -> Law:
        """Return the law of `deeplinear.data`; of several problems it is a family."""

    @property
    def count(self) -> int:
        """The number of problems: one per combination of the values."""
        return prod(map(len, sequence_fields(self).values()))

    def labels(self) -> list[dict[str, Any]]:
        """Return what tells the problems apart, in the order of the family."""
        several = sequence_fields(self)
        fixed = {name: getattr(self, name) for name in self.labelled}
        return [
            {**fixed, **dict(zip(several, values, strict=True))}
            for values in product(*several.values())
        ]

    def problems(self, seed: int) -> list[Problem]:
        """Make the problems, of the same n and d."""
        law = self.law(seed)
        several = sequence_fields(self)
        return [
            Problem(
                replace(law, **{name: labels[name] for name in several}).regression(),  # type: ignore[type-var]
                labels,
            )
            for labels in self.labels()
        ]


class _Drawn(Data):
    """Data that are drawn by a law with the same fields, and a seed."""

    kind: type[Any]

    def law(self, seed: int) -> Law:
        own = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        law: Law = self.kind(**own, seed=seed)
        return law

    def __post_init__(self) -> None:
        for name in ("n", "d"):  # which all problems share
            keep(self, **{name: positive_integer(name, getattr(self, name))})
        checked = self.law(0)
        keep(self, **{one.name: getattr(checked, one.name) for one in fields(self)})  # type: ignore[arg-type]
        for name, values in sequence_fields(self).items():
            different(name, values)


@dataclass(frozen=True)
class GaussianData(_Drawn):
    """Data of `deeplinear.gaussian_regression`.

    Attributes
    ----------
    n, d : int
        Samples and inputs.
    noise : float or sequence of float
        Standard deviation of the noise.
    """

    n: int
    d: int
    noise: Numbers

    kind = Gaussian
    tested = True

    def regression(self, seed: int) -> Regression:
        """Draw the data, of one noise."""
        return self.law(seed).regression()


@dataclass(frozen=True)
class SpectralData(_Drawn):
    """Data of `deeplinear.data.Spectral`, whose covariance has exactly the asked eigenvalues.

    Problems are labelled by ``condition`` and ``along``, and all have the same Q and V.

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

    kind = Spectral
    tested = False
    labelled = ("condition", "along")


@dataclass(frozen=True)
class FileData(Data):
    """Data of a person's own, from a CSV or an NPZ file: `deeplinear.data.File`. One problem.

    Attributes
    ----------
    path : str
        The file; the text of the experiment has it as it is here.
    target : str
        The name of what is predicted.
    sha256 : str, optional
        What the SHA-256 of the file must be; by default what it is.
    folder : str
        Where a relative path begins, by default where the process is. It is no part of what is
        compared or written.
    """

    path: str
    target: str = "y"
    sha256: str | None = None
    folder: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        law = self.law(0)
        keep(self, path=os.fspath(self.path), sha256=law.sha256)
        self._held  # noqa: B018  (so that a file without such data is refused here)

    def law(self, seed: int) -> File:
        """Return the law of `deeplinear.data`, the same for every seed."""
        path = self.path
        if self.folder and isinstance(path, (str, os.PathLike)):
            path = os.path.join(self.folder, os.path.expanduser(path))
        return File(path, self.target, self.sha256)

    @cached_property
    def _held(self) -> Regression:
        return self.law(0).regression()

    @property
    def n(self) -> int:  # type: ignore[override]
        """Samples."""
        return self._held.n

    @property
    def d(self) -> int:  # type: ignore[override]
        """Inputs."""
        return self._held.d

    @property
    def tested(self) -> bool:  # type: ignore[override]
        """Whether there are test data."""
        return self._held.X_test is not None
