"""The risk as a function of the weights: its value, gradient, Hessian and spectrum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import (
    FloatArray,
    instance_of,
    non_negative_integer,
    number_of_threads,
    one_of,
    positive,
    positive_integer,
)
from deeplinear._support.memory import require_memory
from deeplinear.network import Network
from deeplinear.problem import core_problem, goes_through_samples
from deeplinear.regression import Regression
from deeplinear.spectrum import Sharpness, SpectralDensity

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__all__ = ["Landscape", "Sharpness", "number_of_threads"]

Weights = Iterable[npt.ArrayLike]
T = TypeVar("T")

#: Random vectors of a spectral density: more bring less than three digits are worth.
MOST_VECTORS = 1_000_000
_MOST = 2**62  # what the core counts to
#: Smaller networks are passed before several threads have met.
_SHARED_FROM = 65536


class Landscape:
    """The risk ``R(W) = |y - X w(W)|^2 / n`` of a network on a regression problem.

    Parameters
    ----------
    network : Network
        With ``d_0`` equal to the dimension of the data.
    regression : Regression
        The data.
    samples : bool, optional
        Whether to compute the risk as a mean over the samples, as networks that are not linear
        need it, instead of as a function of the end-to-end map. None, the default, does so only
        where it must.
    loss : str, default "squared"
        The loss of an output; "squared" is ``(f - y)^2``. Every other one goes through the samples.
    threads : int, optional
        The number of threads that the functions of linear networks share a layer between; by
        default as many as there are processors for networks of 65,536 weights or more, and one for
        others. Results do not depend on it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, the widths do not fit the data, or `samples` is false for a
        network that is not linear or for another loss.

    Notes
    -----
    Every method takes weights of one network, a sequence of L array_like of shapes (d_k, d_{k-1}),
    and raises a `TypeError` or a `ValueError` if they do not fit the network or are not finite, or
    if an option is not as the method says. Everything is computed in float64.

    In a linear network the gradient of layer k is the outer product ``u_k v_{k-1}^T`` of two
    vectors of a chain, and the Hessian's range has ``sum_k d_k + d_{k-1}`` dimensions at most, so a
    product with either reads the weights twice, whatever the number of samples. Through the
    samples, gradients and Hessian products pass all of them forward and back, and need memory for
    ``n sum_k d_k`` numbers.
    """

    def __init__(
        self,
        network: Network,
        regression: Regression,
        *,
        samples: bool | None = None,
        loss: str = "squared",
        threads: int | None = None,
    ) -> None:
        self.network = instance_of("network", network, Network)
        self.regression = instance_of("regression", regression, Regression)
        if network.widths[0] != regression.d:
            raise ValueError(
                f"network must have as many inputs, widths[0], as the data have dimensions, "
                f"{regression.d}; got {network.widths[0]}."
            )
        self.loss = one_of("loss", loss, tuple(_core.losses()))
        self.samples = goes_through_samples(network, samples, self.loss)
        small = threads is None and network.parameters < _SHARED_FROM
        self.threads = 1 if small else number_of_threads(threads)
        self._problem = core_problem(network, regression, samples=self.samples, loss=self.loss)

    def __reduce__(self) -> tuple[object, ...]:
        again = partial(Landscape, samples=self.samples, loss=self.loss, threads=self.threads)
        return again, (self.network, self.regression)

    def __repr__(self) -> str:
        return f"Landscape({self.network!r}, {self.regression!r})"

    def _flatten(
        self, weights: Weights, name: str = "weights", *, finite: bool = True
    ) -> FloatArray:
        return self.network._gather_one(weights, name, finite=finite, threads=self.threads)

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

    def end_to_end(self, weights: Weights) -> FloatArray:
        """Compute the end-to-end map ``w = W_1^T ... W_L^T p``.

        Returns
        -------
        ndarray, shape (d,)

        Raises
        ------
        ValueError
            If the network is not linear.
        """
        if not self.network.linear:
            raise ValueError(
                "network must be linear to have an end-to-end map; "
                f"got activation {self.network.activation!r}."
            )
        return self._at(_core.end_to_end, weights)

    def risk(self, weights: Weights) -> float:
        """Compute the risk ``|y - X w|^2 / n``, the mean without a factor 1/2."""
        return self._at(_core.risk, weights)

    def gradient(self, weights: Weights) -> list[FloatArray]:
        """Compute the gradient of the risk, layer by layer.

        Returns
        -------
        list of L ndarray, shapes (d_k, d_{k-1})
        """
        return self.network.unflatten(self._at(_core.gradient, weights))

    def hessian_vector_product(self, weights: Weights, direction: Weights) -> list[FloatArray]:
        """Compute the Hessian's product with a direction, in two passes over the weights.

        Parameters
        ----------
        weights, direction : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        list of L ndarray, shapes (d_k, d_{k-1})
        """
        vector = self._flatten(direction, "direction")
        return self.network.unflatten(self._at(_core.hessian_vector_product, weights, vector))

    def _product(self, vector: FloatArray, direction: FloatArray) -> FloatArray:
        """Multiply the Hessian at checked weights (P,) with a direction (P,)."""
        weights = np.require(vector, np.float64, ("C", "ALIGNED"))  # also one from a pickle
        return _core.hessian_vector_product(self._problem, weights, direction, self.threads)

    def hessian(self, weights: Weights) -> FloatArray:
        """Compute the whole Hessian; for small networks.

        Returns
        -------
        ndarray, shape (P, P)
            Layers first to last, each row by row; exactly symmetric.

        Raises
        ------
        MemoryError
            If P^2 numbers do not fit into memory.
        """
        require_memory("the Hessian", self.network, float(self.network.parameters) ** 2)
        return self._at(_core.hessian, weights)

    def compressed_hessian(self, weights: Weights) -> FloatArray:
        """Compute the Hessian on a subspace that has all its eigenvalues but for zeros.

        Returns
        -------
        ndarray, shape (m, m)
            In an orthonormal basis of the directions ``alpha_k v_{k-1}^T + u_k beta_k^T`` with
            alpha_k orthogonal to u_k: ``m = sum_k (d_k - 1 + d_{k-1})`` unless a vector u_k or
            v_{k-1} of the gradient's ``u_k v_{k-1}^T`` is zero; then less.

        Raises
        ------
        ValueError
            If the landscape is computed through the samples.
        MemoryError
            If the matrix and the basis do not fit into memory.
        """
        if self.samples:
            raise ValueError(
                "compressed_hessian needs a linear network and samples=False: the Hessian of a "
                f"mean over samples has no smaller range; got {self.network.activation!r} networks."
            )
        size = sum(below + above - 1 for below, above in pairwise(self.network.widths))
        # the basis, and the matrix three times at its symmetrization
        require_memory("the compressed Hessian", self.network, 4.0 * size**2)
        return self._at(_core.compressed_hessian, weights)

    def hessian_trace(self, weights: Weights) -> float:
        """Compute the trace of the Hessian exactly, without the Hessian.

        ``tr H = 2 sum_k |u_k|^2 tr(A_k C A_k^T)`` with ``u_k = W_{k+1}^T ... W_L^T p`` and
        ``A_k = W_{k-1} ... W_1`` in a linear network; through the samples, by a Hessian product per
        weight.
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
        if not isinstance(start, Sharpness):
            return None if start is None else _core.Direction(self._flatten(start, "start"))
        if start._network != self.network:
            raise ValueError(
                f"start must be of the landscape's network; got widths {start._network.widths}."
            )
        return None if np.isnan(start.value) else start._direction

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
        seed = non_negative_integer("seed", seed) % 2**64
        nodes, mass, zeros = self._at(_core.spectral_density, weights, count, steps, seed)
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
        ImportError
            If SciPy is not installed.
        """
        from deeplinear.hessian_operator import HessianOperator

        return HessianOperator(
            partial(self._product, self._flatten(weights)), self.network.parameters
        )
