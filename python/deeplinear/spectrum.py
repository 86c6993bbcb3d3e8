"""An estimate of the density of the Hessian's eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    LARGEST_COUNT,
    FloatArray,
    finite_array,
    non_negative_integer,
    positive,
)

__all__ = ["SpectralDensity"]


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """The spectral measure of a Hessian, of mass one over all P eigenvalues in expectation.

    Attributes
    ----------
    nodes : ndarray, shape (vectors, steps)
        Eigenvalues that stand for those near them, by random vector.
    weights : ndarray, shape (vectors, steps)
        The share of the eigenvalues that each stands for, so that ``mean over vectors of sum of
        weights f(nodes)``, plus ``zeros f(0)``, estimates ``tr f(H) / P``.
    zeros : float
        The share of the eigenvalue zero of the complement of the range, which is exact.
    """

    nodes: FloatArray
    weights: FloatArray
    zeros: float

    def moment(self, power: int = 1) -> float:
        """Estimate ``tr H^power / P``.

        Parameters
        ----------
        power : int, default 1
            Zero or above.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If the power is not as above.
        """
        power = non_negative_integer("power", power, LARGEST_COUNT)
        with np.errstate(all="ignore"):  # beyond float64 it is infinite
            mean = float((self.weights * self.nodes**power).sum(axis=1).mean())
        return mean + self.zeros if power == 0 else mean

    def density(self, values: npt.ArrayLike, width: float) -> FloatArray:
        """Evaluate the density of the nonzero eigenvalues, each widened to a normal law.

        Parameters
        ----------
        values : array_like, shape (m,)
            Where to evaluate it.
        width : float
            The standard deviation of the normal laws, in the units of the eigenvalues.

        Returns
        -------
        ndarray, shape (m,)
            Its integral is ``1 - zeros``, in expectation.

        Raises
        ------
        TypeError, ValueError
            If the values are not finite numbers, or the width is not positive.
        """
        grid = finite_array("values", values, 1, "(m,)")
        width = positive("width", width)
        nodes, mass = self.nodes.ravel(), self.weights.ravel() / len(self.weights)
        with np.errstate(all="ignore"):  # far from a node its law is zero
            offsets = (grid[:, None] - nodes) / width
            bells: FloatArray = np.exp(-0.5 * offsets**2) / (width * np.sqrt(2 * np.pi))
            return bells @ mass
