"""The runs of an experiment as the claims need them: who arrived where, and how near."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import FloatArray
from deeplinear.options import arrived

__all__ = ["CONVERGED", "SETTLED", "Mask", "Row", "Runs"]

Mask = npt.NDArray[np.bool_]

#: The sharpness at the end is a minimizer's where the excess risk is at most this share of the zero
#: map's, and does not rise: above 2 / learning rate a minimizer repels, and a run that passes near
#: one is on its way out.
CONVERGED = 1e-10
#: The same for nonlinear networks, which come no nearer in the steps that they are given.
SETTLED = 1e-4
#: Changes of the excess risk below this many roundings of the risk are none.
ROUNDINGS = 64


@dataclass(frozen=True)
class Row:
    """One expectation and what was measured.

    Attributes
    ----------
    claim : int
        Number of the claim, of `CLAIMS`.
    experiment : str
        Whose data it is from.
    quantity, expected, measured : str
        In words and numbers.
    agrees : bool or None
        None where the data can't tell.
    """

    claim: int
    experiment: str
    quantity: str
    expected: str
    measured: str
    agrees: bool | None


@dataclass(frozen=True)
class Runs:
    """Some runs of an experiment."""

    data: xr.Dataset
    name: str

    def only(self, mask: Mask) -> Runs:
        """Keep the runs where the mask, (run,), is true."""
        return Runs(self.data.isel(run=np.flatnonzero(mask)), self.name)

    def by(self, name: str) -> Iterator[tuple[float, Runs]]:
        """Cut by the values of a coordinate, ascending; NaN is none."""
        values = self.column(name)
        for value in np.unique(values[~np.isnan(values)]):
            yield float(value), self.only(values == value)

    def column(self, name: str) -> FloatArray:
        """Return a column of numbers, (run,)."""
        return np.asarray(self.data[name].values, dtype=np.float64)

    def end(self, name: str) -> FloatArray:
        """Return what was recorded at the end, (run[, layer or pair])."""
        return np.asarray(self.data[name].isel(record=-1).values)

    def start(self, name: str) -> FloatArray:
        """Return what was recorded at the start, (run[, layer or pair])."""
        return np.asarray(self.data[name].isel(record=0).values)

    @property
    def count(self) -> int:
        """The number of runs."""
        return self.data.sizes["run"]

    @property
    def recorded(self) -> set[str]:
        """What was recorded."""
        return set(str(self.data.attrs["record"]).split())

    @property
    def linear(self) -> bool:
        """Whether the networks are."""
        return bool(self.data.attrs["activation"] == "identity")

    @property
    def picture(self) -> int:
        """Number of the claim whose picture gradient descent shows here: 5, 6 or 7."""
        if not self.linear:
            return 7
        return 6 if int(self.data.attrs["n"]) < int(self.data.attrs["d"]) else 5

    @property
    def flow(self) -> Mask:
        """Which runs are of gradient flow."""
        return np.asarray(np.isnan(self.column("learning_rate")))

    @property
    def reached(self) -> Mask:
        """Which runs reached a minimizer, to the share of the dataset's ``reached_below``."""
        return np.asarray(self.data["reached"].values, dtype=bool)

    @property
    def diverged(self) -> Mask:
        """Which runs diverged."""
        return np.asarray(self.data["status"].values == "diverged")

    @property
    def arrived(self) -> Mask:
        """Which runs came to an end of their own, with numbers in the last record."""
        return arrived(self.data["status"].values)

    @property
    def scales(self) -> list[float]:
        """Scales of the initial weights, ascending."""
        return [float(x) for x in np.unique(self.column("scale"))]

    @property
    def rates(self) -> list[float]:
        """Learning rates, ascending."""
        return [rate for rate, _ in self.by("learning_rate")]

    @cached_property
    def _zero(self) -> FloatArray:
        """Excess risk of the zero map, ``|X w*|^2 / n`` or ``|y|^2 / n``, (run,)."""
        y = self.data["y"].values
        if self.linear:
            y = np.einsum("psi,pi->ps", self.data["X"].values, self.data["minimizer"].values)
        zero = (y**2).mean(axis=1)
        return np.asarray(zero[self.data["problem"].values])

    def _share(self, risk: FloatArray) -> FloatArray:
        least = self.column("minimum_risk") if self.linear else 0.0
        return np.asarray((risk - least) / self._zero)

    @cached_property
    def excess(self) -> FloatArray:
        """Excess risk at the end over the zero map's, (run,)."""
        return self._share(self.end("risk"))

    @cached_property
    def speed(self) -> FloatArray:
        """Fall of the logarithm of the excess risk per step, just before the end, (run,)."""
        before = self._share(self.column("risk_before_end"))
        with np.errstate(divide="ignore", invalid="ignore"):
            fall = np.log(before / self.excess) / int(self.data.attrs["reached_for_steps"])
        return np.asarray(fall)

    @cached_property
    def converged(self) -> Mask:
        """Which runs ended so near a minimizer that its sharpness decides whether they stay."""
        eps = float(np.finfo(str(self.data.attrs["dtype"])).eps)
        rounding = ROUNDINGS * eps * (1 + self.end("risk") / self._zero)
        before = self._share(self.column("risk_before_end"))
        near = self.excess <= np.maximum(CONVERGED if self.linear else SETTLED, rounding)
        falls = np.isnan(before) | (self.excess <= np.maximum(before, rounding))
        return np.asarray(self.reached & near & falls)

    @property
    def edge(self) -> FloatArray:
        """Final sharpness over 2 / learning rate, (run,)."""
        return np.asarray(self.end("sharpness") * self.column("learning_rate") / 2)

    def row(
        self, claim: int, quantity: str, expected: str, measured: str, agrees: bool | None
    ) -> Row:
        """Make a row of this experiment."""
        verdict = None if agrees is None else bool(agrees)
        return Row(claim, self.name, quantity, expected, measured, verdict)
