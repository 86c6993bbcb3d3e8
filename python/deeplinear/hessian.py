"""The Hessian of the risk: products, its spectrum, and the sharpness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import (
    FloatArray,
    non_negative_integer,
    one_of,
    positive,
    positive_integer,
)
from deeplinear._support.memory import require_memory
from deeplinear.network import Network
from deeplinear.spectrum import SpectralDensity

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Weights = Iterable[npt.ArrayLike]
T = TypeVar("T")

#: Random vectors of a spectral density: more bring less than three digits are worth.
MOST_VECTORS = 1_000_000
_MOST = 2**62  # what the core counts to


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


class Hessian(ABC):
    """What a landscape knows of its Hessian; its other half is `Landscape`."""

    network: Network
    samples: bool
    threads: int
    _problem: _core.Problem

    @abstractmethod
    def _flatten(
        self, weights: Weights, name: str = "weights", *, finite: bool = True
    ) -> FloatArray:
        """Return the checked weights as a vector (P,); finite too, unless that is left out."""

    def _at(self, function: Callable[..., T], weights: Weights, *arguments: Any) -> T:
        """Call a function of the core at checked weights.

        Its passes over a linear network find weights that are not finite; looking before would be
        one more pass.
        """
        vector = self._flatten(weights, finite=self.samples)
        try:
            return function(self._problem, vector, *arguments, self.threads)
        except _core.NotFiniteError:
            self._flatten(self.network.unflatten(vector))  # says which layer it is
            raise

    def hessian_vector_product(self, weights: Weights, direction: Weights) -> list[FloatArray]:
        """Compute the Hessian's product with a direction, in two passes over the weights.

        Parameters
        ----------
        weights, direction : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        list of L ndarray, shapes (d_k, d_{k-1})

        Raises
        ------
        TypeError, ValueError
            If one of them does not fit the network, or is not finite.
        """
        product = self._at(
            _core.hessian_vector_product, weights, self._flatten(direction, "direction")
        )
        return self.network.unflatten(product)

    def hessian(self, weights: Weights) -> FloatArray:
        """Compute the whole Hessian; for small networks.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        ndarray, shape (P, P)
            Layers first to last, each row by row; exactly symmetric.

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network, or are not finite.
        MemoryError
            If P^2 numbers do not fit into memory.
        """
        require_memory("the Hessian", self.network, float(self.network.parameters) ** 2)
        return self._at(_core.hessian, weights)

    def compressed_hessian(self, weights: Weights) -> FloatArray:
        """Compute the Hessian on a subspace that contains its range.

        Its eigenvalues are those of the whole Hessian but for zeros.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        ndarray, shape (m, m)
            In an orthonormal basis of the directions ``alpha_k v_{k-1}^T + u_k beta_k^T`` with
            alpha_k orthogonal to u_k: ``m = sum_k (d_k - 1 + d_{k-1})`` unless a vector u_k or
            v_{k-1} of the gradient's ``u_k v_{k-1}^T`` is zero; then less.

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network, or are not finite, or the landscape is computed
            through the samples.
        MemoryError
            If the matrix and the basis do not fit into memory.
        """
        if self.samples:
            raise ValueError(
                "compressed_hessian needs a linear network and samples=False: the Hessian of a "
                f"mean over samples has no smaller range; got {self.network.activation!r} networks."
            )
        widths = self.network.widths
        size = sum(below + above - 1 for below, above in pairwise(widths))
        # the basis, and the matrix three times at its symmetrization
        require_memory("the compressed Hessian", self.network, 4.0 * size**2)
        return self._at(_core.compressed_hessian, weights)

    def hessian_trace(self, weights: Weights) -> float:
        """Compute the trace of the Hessian exactly, without the Hessian.

        ``tr H = 2 sum_k |u_k|^2 tr(A_k C A_k^T)`` with ``u_k = W_{k+1}^T ... W_L^T p`` and
        ``A_k = W_{k-1} ... W_1`` in a linear network; through the samples, by a Hessian product per
        weight.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network, or are not finite.
        """
        return self._at(_core.hessian_trace, weights)

    def sharpness(
        self,
        weights: Weights,
        tolerance: float = 1e-8,
        *,
        which: str = "largest",
        start: Weights | Sharpness | None = None,
        max_products: int = 10_000,
    ) -> Sharpness:
        """Compute the algebraically largest or lowest eigenvalue of the Hessian over all weights.

        By Lanczos with full reorthogonalization, and thick restarts above 2,048 dimensions, or a
        dense eigensolver where the Hessian is small; of a linear network on the compressed Hessian,
        and at a minimizer, to the tolerance, from the d x d matrix that has the same largest
        eigenvalue there, ``2 C^(1/2) (sum_k |u_k|^2 A_k^T A_k) C^(1/2)``.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})
        tolerance : float, default 1e-8
            Largest residual, relative to the eigenvalue. Rounding limits the residual to some
            1e-15 of the Hessian's norm; that counts as converged.
        which : {"largest", "lowest"}
            Which end of the spectrum: the largest is the sharpness.
        start : Sharpness or sequence of L array_like, optional
            A first guess of the eigenvector: what was found at nearby weights, or its ``vector``.
            The result depends on it within the tolerance alone. Without one, a pseudorandom
            vector; of a linear network with as much of the gradient.
        max_products : int, default 10000
            Where to give up, with the best that is known and ``converged`` false.

        Returns
        -------
        Sharpness
            NaN and not converged where a product of the layers overflows.

        Raises
        ------
        TypeError, ValueError
            If the weights or the start do not fit the network or are not finite, or an option is
            not as above.
        """
        return self._eigenvalues(weights, 1, tolerance, which, start, max_products)[0]

    def eigenvalues(
        self,
        weights: Weights,
        k: int = 6,
        tolerance: float = 1e-8,
        *,
        which: str = "largest",
        max_products: int = 10_000,
    ) -> list[Sharpness]:
        """Compute the k algebraically largest or lowest eigenvalues of the Hessian.

        From one orthonormal basis that grows as that of Lanczos, by a product each, so that all
        together take no more products than the Hessian has dimensions; where k is a large part of
        them, from the dense matrix. A repeated eigenvalue comes as often as it is there, and the
        zeros outside the Hessian's range are included. After one that has not converged none has.
        Of more than 384 dimensions one after another as `sharpness`, each without those before it:
        for some dozens of them that is faster than one basis, and their residuals add up.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})
        k : int, default 6
            How many; fewer come where there are fewer weights.
        tolerance, which, max_products
            As of `sharpness`; the limit is for each of them, and so is ``products``.

        Returns
        -------
        list of Sharpness
            The extreme one first.

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network or are not finite, or an option is not as above.
        """
        count = min(positive_integer("k", k, None), self.network.parameters)
        return self._eigenvalues(weights, count, tolerance, which, None, max_products)

    def _eigenvalues(
        self,
        weights: Weights,
        count: int,
        tolerance: float,
        which: str,
        start: Weights | Sharpness | None,
        max_products: int,
    ) -> list[Sharpness]:
        found = self._at(
            _core.extreme_eigenvalues,
            weights,
            count,
            one_of("which", which, ("largest", "lowest")) == "largest",
            positive("tolerance", tolerance),
            min(positive_integer("max_products", max_products, None), _MOST),
            self._direction(start),
        )
        return [
            Sharpness(value, residual, products, converged, self.network, direction)
            for value, residual, products, converged, direction in found
        ]

    def _direction(self, start: Weights | Sharpness | None) -> _core.Direction | None:
        if start is None:
            return None
        if isinstance(start, Sharpness):
            if start._network != self.network:
                raise ValueError(
                    f"start must be of the landscape's network; got widths {start._network.widths}."
                )
            return None if np.isnan(start.value) else start._direction
        return _core.Direction(self._flatten(start, "start"))

    def spectral_density(
        self, weights: Weights, *, vectors: int = 10, steps: int = 80, seed: int = 0
    ) -> SpectralDensity:
        """Estimate the density of the Hessian's eigenvalues by stochastic Lanczos quadrature.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})
        vectors : int, default 10
            Random vectors; the error falls with the root of their number.
        steps : int, default 80
            Lanczos steps per vector, a Hessian product each.
        seed : int, default 0
            Of the random vectors.

        Returns
        -------
        SpectralDensity

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network or are not finite, or an option is not as above.
        MemoryError
            If nodes and weights do not fit into memory.

        Notes
        -----
        Lin, Saad and Yang, "Approximating spectral densities of large matrices", SIAM Review 2016.
        Of a linear network the vectors lie in the range of the Hessian; the eigenvalue zero of its
        complement is known exactly.
        """
        count = positive_integer("vectors", vectors, MOST_VECTORS)
        steps = min(positive_integer("steps", steps, None), self.network.parameters)
        require_memory("the spectral density", self.network, 4.0 * count * steps)
        nodes, mass, zeros = self._at(
            _core.spectral_density,
            weights,
            count,
            steps,
            non_negative_integer("seed", seed) % 2**64,
        )
        return SpectralDensity(nodes, mass, zeros)

    def hessian_operator(self, weights: Weights) -> LinearOperator:
        """Return the Hessian as an operator of SciPy, for its iterative solvers.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})
            Views of one vector are not copied, and must not change.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator, shape (P, P)
            Real and symmetric; it can be pickled, with the weights.

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network, or are not finite.
        ImportError
            If SciPy is not installed.
        """
        from deeplinear.hessian_operator import HessianOperator

        return HessianOperator(self, self._flatten(weights))
