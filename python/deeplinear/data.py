"""Laws of the data: frozen settings that make a regression problem.

A field that holds a sequence becomes a dimension of a sweep over `Landscapes`; `regression` takes
single values.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from deeplinear._support.checks import (
    Counts,
    FloatArray,
    Names,
    Numbers,
    check_fields,
    describe,
    non_negative,
    one_of,
    positive,
    positive_integer,
    sequence_fields,
)
from deeplinear._support.files import user_path
from deeplinear.init import Orthogonal
from deeplinear.network import Network
from deeplinear.regression import Regression, gaussian_regression
from deeplinear.seeds import check_seed

__all__ = ["Data", "File", "Gaussian", "Spectral"]


class Data(ABC):
    """A law of the data: a frozen dataclass that makes them."""

    @abstractmethod
    def regression(self) -> Regression:
        """Make the data.

        Raises
        ------
        ValueError
            If a field holds a sequence, or fields do not fit each other.
        """


def require_single(law: object) -> None:
    """Refuse settings of which a field holds a sequence."""
    for name in sequence_fields(law):
        raise ValueError(f"{name} must be one value here; got a sequence.")


@dataclass(frozen=True)
class Gaussian(Data):
    """Data of `deeplinear.gaussian_regression`.

    Parameters
    ----------
    n, d : int or sequence of int
        Samples and inputs.
    noise : float or sequence of float, default 1
        Standard deviation of the noise, zero or above.
    seed : int or sequence of int, default 0
        What the data are drawn from; the dimension of several is ``data_seed``.
    """

    n: Counts
    d: Counts
    noise: Numbers = 1.0
    seed: Counts = 0

    def __post_init__(self) -> None:
        check_fields(
            self,
            n=positive_integer,
            d=positive_integer,
            noise=non_negative,
            seed=check_seed,
        )

    def regression(self) -> Regression:  # noqa: D102  (inherited)
        require_single(self)
        return gaussian_regression(self.n, self.d, self.noise, self.seed)  # type: ignore[arg-type]


def _condition(name: str, value: object) -> float:
    number = positive(name, value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {describe(value)}.")
    return number


def _end(name: str, value: object) -> str:
    return one_of(name, value, ("top", "bottom"))


@dataclass(frozen=True)
class Spectral(Data):
    """Noiseless data whose covariance has exactly the asked eigenvalues.

    ``X = sqrt(n) Q diag(sqrt(lambda)) V^T``, so that ``C = V diag(lambda) V^T``, with eigenvalues
    ``lambda`` in geometric progression from ``1 / condition`` to 1, and Haar matrices Q (n, d) and
    V (d, d) that the seed alone decides. ``y = X w*`` with ``w*`` a unit eigenvector.

    Parameters
    ----------
    n, d : int or sequence of int
        Samples and inputs, ``n >= d >= 2``.
    condition : float or sequence of float
        The condition number of C, at least 1.
    along : {"top", "bottom"} or sequence of them, default "top"
        Whether ``w*`` is the eigenvector of the largest or of the smallest eigenvalue.
    seed : int or sequence of int, default 0
        What Q and V are drawn from; the dimension of several is ``data_seed``.
    """

    n: Counts
    d: Counts
    condition: Numbers
    along: Names = "top"
    seed: Counts = 0

    def __post_init__(self) -> None:
        check_fields(
            self,
            n=positive_integer,
            d=positive_integer,
            condition=_condition,
            along=_end,
            seed=check_seed,
        )
        n, d = np.min(self.n), np.max(self.d)
        if np.min(self.d) < 2:
            least = np.min(self.d)
            raise ValueError(f"d must be at least 2, to have a top and a bottom; got {least}.")
        if n < d:
            raise ValueError(f"n must be at least d = {d}, for a covariance of full rank; got {n}.")

    @np.errstate(over="ignore", under="ignore")
    def regression(self) -> Regression:  # noqa: D102  (inherited)
        require_single(self)
        n, d, condition = int(self.n), int(self.d), float(self.condition)  # type: ignore[arg-type]
        # Layers of shapes (d, d) and (n, d) with orthonormal columns.
        shape = Network((d, d, n), readout=np.ones(n))
        V, Q = Orthogonal(1.0).sample(shape, self.seed)  # type: ignore[arg-type]
        eigenvalues = condition ** -np.linspace(1, 0, d)  # (d,), ascending to exactly 1
        k = d - 1 if self.along == "top" else 0
        root = np.sqrt(n * eigenvalues)
        # y = X w* = sqrt(n lambda_k) Q_k for w* = V_k
        try:
            return Regression(Q * root @ V.T, root[k] * Q[:, k])
        except ValueError as error:
            raise ValueError(
                f"condition must be one whose data are in range; got {condition:g}: {error}"
            ) from None


@dataclass(frozen=True)
class File(Data):
    """Data of a person's own, from a CSV or an NPZ file.

    Of CSV, the first line has the names of the columns; all but the target are inputs. Of NPZ, the
    arrays are ``X`` (n, d) and the target (n,), and ``X_test`` and the target's name with
    ``_test``, if there are test data. What the numbers mean is not changed: nothing is centred or
    scaled.

    Parameters
    ----------
    path : path-like
        The file, whose name ends with .csv or .npz; it is kept as an absolute path.
    target : str, default "y"
        The name of what is predicted.
    sha256 : str, optional
        What the SHA-256 of the file must be; by default what it is. Results keep it.

    Raises
    ------
    ValueError
        If the file cannot be read or is another than `sha256` says; by `regression` also if it
        holds no such data.
    """

    path: str
    target: str = "y"
    sha256: str | None = None

    def __post_init__(self) -> None:
        path = os.path.abspath(user_path("path", self.path))
        object.__setattr__(self, "path", path)
        if not isinstance(self.target, str):
            raise TypeError(f"target must be a text; got {describe(self.target)}.")
        if not path.lower().endswith((".csv", ".npz")):
            raise ValueError(f"path must end with .csv or .npz; got {describe(path)}.")
        digest = hashlib.sha256(self._bytes()).hexdigest()
        if self.sha256 is not None and self.sha256 != digest:
            raise ValueError(
                f"sha256 must be that of {path}, {digest}; got {describe(self.sha256)}: the file "
                "is another one than before."
            )
        object.__setattr__(self, "sha256", digest)

    def _bytes(self) -> bytes:
        try:
            return user_path("path", self.path).read_bytes()
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(
                f"path must be a file; {self.path} could not be read: {reason}."
            ) from None

    def regression(self) -> Regression:  # noqa: D102  (inherited)
        content = io.BytesIO(self._bytes())
        if hashlib.sha256(content.getbuffer()).hexdigest() != self.sha256:
            raise ValueError(f"path must be the file that was described; {self.path} has changed.")
        read = self._csv if self.path.lower().endswith(".csv") else self._npz
        try:
            return Regression(*read(content))
        except _UnknownTarget:
            raise
        except (*_UNREADABLE, ValueError, TypeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ValueError(f"path must hold data; {self.path} does not: {reason}.") from None

    def _check_target(self, names: Iterable[str]) -> None:
        if self.target not in names:
            held = ", ".join(map(repr, names)) or "nothing"
            raise _UnknownTarget(
                f"target must be one of {held}, which {self.path} holds; got {self.target!r}."
            )

    def _csv(self, content: io.BytesIO) -> tuple[FloatArray, ...]:
        # Not by pandas, whose versions differ in the last digit.
        lines = csv.reader(io.TextIOWrapper(content, "utf-8-sig", newline=""), strict=True)
        names = [name.strip() for name in next(lines, [])]
        if not all(names):
            raise ValueError("every column must have a name, which line 1 holds")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"columns must have different names; two are {name!r}")
        self._check_target(names)
        rows = []
        for row in filter(None, lines):
            if len(row) != len(names):
                raise ValueError(
                    f"line {lines.line_num} must have {len(names)} entries, as line 1 has; it has "
                    f"{len(row)}"
                )
            where = f"line {lines.line_num} must hold a finite number for"
            rows.append([_entry(f"{where} {n!r}", x) for n, x in zip(names, row, strict=True)])
        table = np.array(rows, np.float64).reshape(-1, len(names))
        k = names.index(self.target)
        return np.delete(table, k, axis=1), table[:, k].copy()

    def _npz(self, content: io.BytesIO) -> tuple[FloatArray, ...]:
        arrays = np.load(content, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        with arrays:
            tests = ("X_test", f"{self.target}_test")
            held = arrays.files
            self._check_target([name for name in held if name not in ("X", *tests)])
            there = [name for name in tests if name in held]
            for name in ("X", *(tests if there else ())):
                if name not in held:
                    raise ValueError(f"it must hold {name!r}; it holds {', '.join(held)}")
            return tuple(arrays[name] for name in ("X", self.target, *there))


#: What is raised beside ValueError and TypeError by files that are not what they should be.
_UNREADABLE = (csv.Error, EOFError, OSError, zipfile.BadZipFile, zlib.error)


class _UnknownTarget(ValueError):
    """The target is not in the file."""


def _entry(takes: str, text: str) -> float:
    try:
        number = float("" if "_" in text else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{takes}; it holds {text!r}")
    return number
