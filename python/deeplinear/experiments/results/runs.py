"""The one view of a result, which claims, figures and summaries read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import FloatArray
from deeplinear.options import STATUS

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "CONVERGED",
    "SETTLED",
    "Mask",
    "Runs",
    "arrived",
    "ended",
    "endings",
    "excess_of_zero",
]

Mask = npt.NDArray[np.bool_]

#: The sharpness at the end is a minimizer's where the excess risk is at most this share of the zero
#: map's, and does not rise: above 2 / learning rate a minimizer repels, and a run that passes near
#: one is on its way out.
CONVERGED = 1e-10
#: The same for nonlinear networks, which come no nearer in the steps that they are given.
SETTLED = 1e-4
#: Changes of the excess risk below this many roundings of the risk are none.
ROUNDINGS = 64


def arrived(status: npt.NDArray[np.str_]) -> Mask:
    """Say of every run whether it came to an end of its own, and its last record is a number."""
    return np.isin(status, ("completed", "converged"))


def ended(status: npt.NDArray[np.str_]) -> Mask:
    """Say of every run whether it came to an end, before Ctrl-C came."""
    return np.asarray(status != "unfinished")


def endings(status: npt.NDArray[np.str_]) -> str:
    """Count the runs that diverged, and those that ended early in another way, if there are any."""
    counts = {name: int((status == name).sum()) for name in STATUS}
    others = (name for name in counts if name not in ("completed", "converged", "diverged"))
    words = [f"{counts['diverged']:,} diverged"]
    return ", ".join(words + [f"{counts[name]:,} {name}" for name in others if counts[name]])


def excess_of_zero(
    X: FloatArray, y: FloatArray, minimizer: FloatArray, *, linear: bool
) -> FloatArray:
    """Compute the excess risk of the zero map, ``|X w*|^2 / n``.

    The least risk of a nonlinear network is not known and counts as zero: ``|y|^2 / n``.

    Parameters
    ----------
    X : ndarray, shape (..., n, d)
        Inputs.
    y : ndarray, shape (..., n)
        Targets.
    minimizer : ndarray, shape (..., d)
        The minimizer ``w*`` of the risk.
    linear : bool
        Whether the networks are.

    Returns
    -------
    ndarray, shape (...)
        The excess.
    """
    targets = np.einsum("...si,...i->...s", X, minimizer) if linear else y
    return np.asarray((targets**2).mean(axis=-1))


@dataclass(frozen=True)
class Runs:
    """Some runs of an experiment.

    Parameters
    ----------
    data : xarray.Dataset
        What `deeplinear.experiments.run.run` returned or `save` wrote, or some of its runs.
    """

    data: xr.Dataset

    def only(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Runs:
        """Keep the runs where a mask, (run,), is true, or those of these numbers in this order."""
        return Runs(self.data.isel(run=chosen))

    def by(self, name: str) -> Iterator[tuple[float, Runs]]:
        """Cut by the values of a coordinate, ascending; NaN is none."""
        values = self.column(name)
        for value in np.unique(values[~np.isnan(values)]):
            yield float(value), self.only(values == value)

    def column(self, name: str) -> FloatArray:
        """Return a column of numbers, (run,)."""
        return np.asarray(self.data[name].values, dtype=np.float64)

    def first(self, name: str) -> float:
        """Return the number of the first run, such as a bound that all runs share."""
        return float(self.data[name].values[0])

    def records(self, name: str) -> FloatArray:
        """Return what was recorded, (run, record[, layer or pair])."""
        return np.asarray(self.data[name].values)

    def end(self, name: str) -> FloatArray:
        """Return what was recorded at the end, (run[, layer or pair])."""
        return self.records(name)[:, -1]

    def start(self, name: str) -> FloatArray:
        """Return what was recorded at the start, (run[, layer or pair])."""
        return self.records(name)[:, 0]

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return str(self.data.attrs["experiment"])

    @property
    def count(self) -> int:
        """The number of runs."""
        return self.data.sizes["run"]

    @property
    def recorded(self) -> set[str]:
        """What was recorded, without the number that a name may have."""
        names = str(self.data.attrs["record"]).split()
        return {name.partition(":")[0] for name in names}

    @property
    def figures(self) -> list[str]:
        """The names of the figures that the experiment asks for."""
        return str(self.data.attrs["figures"]).split()

    @property
    def linear(self) -> bool:
        """Whether the networks are."""
        return bool(self.data.attrs["activation"] == "identity")

    @property
    def gaussian(self) -> bool:
        """Whether the initial weights are."""
        return bool(self.data.attrs["init"] == "Gaussian")

    @property
    def few_samples(self) -> bool:
        """Whether there are fewer samples than inputs."""
        return int(self.data.attrs["n"]) < int(self.data.attrs["d"])

    @property
    def status(self) -> npt.NDArray[np.str_]:
        """How each run ended."""
        return np.asarray(self.data["status"].values)

    @property
    def seeds(self) -> npt.NDArray[np.int64]:
        """Seeds of the initial weights, (run,)."""
        return np.asarray(self.data["seed"].values)

    @property
    def is_flow(self) -> Mask:
        """Which runs are of gradient flow."""
        return np.asarray(np.isnan(self.column("learning_rate")))

    @property
    def flow(self) -> Runs:
        """The runs of gradient flow."""
        return self.only(self.is_flow)

    @property
    def descent(self) -> Runs:
        """The runs of gradient descent."""
        return self.only(~self.is_flow)

    @property
    def in_between(self) -> Mask:
        """Which runs have records between start and end."""
        return np.asarray(np.isfinite(self.records("risk")[:, 1:-1]).any(axis=1))

    @property
    def reached(self) -> Mask:
        """Which runs reached a minimizer, to the share of the dataset's ``reached_below``."""
        return np.asarray(self.data["reached"].values, dtype=bool)

    @property
    def diverged(self) -> Mask:
        """Which runs diverged."""
        return np.asarray(self.status == "diverged")

    @property
    def arrived(self) -> Mask:
        """Which runs came to an end of their own, with numbers in the last record."""
        return arrived(self.status)

    @property
    def ended(self) -> Mask:
        """Which runs came to an end, before Ctrl-C came."""
        return ended(self.status)

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
        """Excess risk of the zero map, (run,)."""
        X, y, minimizer = (self.data[name].values for name in ("X", "y", "minimizer"))
        of_problem = excess_of_zero(X, y, minimizer, linear=self.linear)
        return np.asarray(of_problem[self.data["problem"].values])

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
