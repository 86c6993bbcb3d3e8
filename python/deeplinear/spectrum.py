"""What is found of the Hessian's spectrum: an extreme eigenvalue, or the density of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import (
    LARGEST_COUNT,
    FloatArray,
    finite_array,
    non_negative_integer,
    positive,
)
from deeplinear._support.memory import require_memory
from deeplinear.network import Network

__all__ = ["Sharpness", "SpectralDensity"]


@dataclass(frozen=True)
class Sharpness:
    """An extreme eigenvalue of the Hessian, with what is known of its accuracy.

    Attributes
    ----------
    value : float
        The eigenvalue, in units of risk per squared weight.
    residual : float
        ``|H x - value x|`` of the unit vector x: an eigenvalue lies within it of `value`. What
        Lanczos knows of it, exact up to rounding; where that counts, from a product of its own.
    products : int
        Hessian products that it took.
    converged : bool
        Whether the residual met the tolerance.
    vector : list of L ndarray, shapes (d_k, d_{k-1})
        The eigenvector x, of norm one over all layers. Of a linear network it takes memory beside
        the weights only once it is asked for.
    """

    value: float
    residual: float
    products: int
    converged: bool
    _network: Network = field(repr=False, compare=False)
    _direction: _core.Direction = field(repr=False, compare=False)

    @cached_property
    def vector(self) -> list[FloatArray]:  # noqa: D102  (documented above)
        require_memory("an eigenvector", self._network, self._network.parameters)
        return self._network.unflatten(self._direction.expand(self._network.widths))

    def __reduce__(self) -> tuple[object, ...]:
        # As arrays: the core's class bears the name of the SIMD level that was loaded.
        known = (self.value, self.residual, self.products, self.converged, self._network)
        return _restored, (*known, self._direction.__getstate__())


def _restored(
    value: float,
    residual: float,
    products: int,
    converged: bool,
    network: Network,
    state: tuple[FloatArray, ...],
) -> Sharpness:
    direction = _core.Direction.__new__(_core.Direction)
    direction.__setstate__(state)
    return Sharpness(value, residual, products, converged, network, direction)


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
