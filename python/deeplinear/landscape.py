"""The risk as a function of the weights: its value, gradient and Hessian."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear.checks import (
    FloatArray,
    describe,
    instance_of,
    one_of,
    positive,
    positive_integer,
)
from deeplinear.network import Network
from deeplinear.regression import Regression

__all__ = ["Landscape", "Sharpness"]

Weights = Iterable[npt.ArrayLike]


@dataclass(frozen=True)
class Sharpness:
    """An extreme eigenvalue of the Hessian, with what is known of its accuracy.

    Attributes
    ----------
    value : float
        The eigenvalue, in units of risk per squared weight.
    residual : float
        ``|H x - value x|`` of the unit vector x: an eigenvalue lies within it of `value`.
    products : int
        Hessian products that it took.
    converged : bool
        Whether the residual met the tolerance.
    vector : list of L ndarray, shapes (d_k, d_{k-1})
        The eigenvector x, of norm one over all layers.
    """

    value: float
    residual: float
    products: int
    converged: bool
    vector: list[FloatArray]


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

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the widths do not fit the data, or `samples` is false for a network that is not linear.

    Notes
    -----
    Weights are a sequence of L arrays of shapes (d_k, d_{k-1}); everything is computed in float64.
    In a linear network the gradient of layer k is the outer product ``u_k v_{k-1}^T`` of two
    vectors of a chain, and the Hessian's range has ``sum_k d_k + d_{k-1}`` dimensions at most, so a
    product with either reads the weights twice, whatever the number of samples. Through the
    samples, gradients and Hessian products pass all of them forward and back, and need memory for
    ``n sum_k d_k`` numbers.
    """

    network: Network
    regression: Regression
    samples: bool

    def __init__(
        self, network: Network, regression: Regression, *, samples: bool | None = None
    ) -> None:
        self.network = instance_of("network", network, Network)
        self.regression = instance_of("regression", regression, Regression)
        if network.widths[0] != regression.d:
            raise ValueError(
                f"network must have as many inputs, widths[0], as the data have dimensions, "
                f"{regression.d}; got {network.widths[0]}."
            )
        if samples is not None and not isinstance(samples, (bool, np.bool_)):
            raise TypeError(f"samples must be True, False or None; got {describe(samples)}.")
        if samples is not None and not samples and not network.linear:
            raise ValueError(
                "samples must be True or None for a network that is not linear; got False."
            )
        self.samples = not network.linear if samples is None else bool(samples)
        test_risk = regression.test_risk_at_minimizer
        self._problem = _core.Problem(
            network.widths,
            network.readout_vector,
            regression.covariance,
            regression.minimizer,
            float(regression.minimum_risk) if network.linear else 0.0,
            regression.test_covariance,
            regression.test_gradient_half,
            0.0 if test_risk is None else float(test_risk),
            *self._sample_arguments(),
        )

    def _sample_arguments(self) -> tuple[Any, ...]:
        if not self.samples:
            return (None,) * 5
        data, activation = self.regression, self.network.activation
        return activation, data.X, data.y, data.X_test, data.y_test

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Landscape, samples=self.samples), (self.network, self.regression)

    def __repr__(self) -> str:
        return f"Landscape({self.network!r}, {self.regression!r})"

    def _flatten(self, weights: Weights, name: str = "weights") -> FloatArray:
        vector = self.network.flatten(weights, name)
        if vector.ndim != 1:
            raise ValueError(
                f"{name} must be of one network, without leading axes; "
                f"got leading axes {vector.shape[:-1]}."
            )
        return vector

    def end_to_end(self, weights: Weights) -> FloatArray:
        """Compute the end-to-end map ``w = W_1^T ... W_L^T p``.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        ndarray, shape (d,)

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network, or are not finite, or the network is not linear.
        """
        if not self.network.linear:
            raise ValueError(
                "network must be linear to have an end-to-end map; "
                f"got activation {self.network.activation!r}."
            )
        return self._problem.end_to_end(self._flatten(weights))

    def risk(self, weights: Weights) -> float:
        """Compute the risk ``|y - X w|^2 / n``, the mean without a factor 1/2.

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
        return self._problem.risk(self._flatten(weights))

    def gradient(self, weights: Weights) -> list[FloatArray]:
        """Compute the gradient of the risk, layer by layer.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})

        Returns
        -------
        list of L ndarray, shapes (d_k, d_{k-1})

        Raises
        ------
        TypeError, ValueError
            If the weights do not fit the network, or are not finite.
        """
        return self.network.unflatten(self._problem.gradient(self._flatten(weights)))

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
        product = self._problem.hessian_vector_product(
            self._flatten(weights), self._flatten(direction, "direction")
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
        return self._problem.hessian(self._flatten(weights))

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
        """
        if self.samples:
            raise ValueError(
                "compressed_hessian needs a linear network and samples=False: the Hessian of a "
                f"mean over samples has no smaller range; got {self.network.activation!r} networks."
            )
        return self._problem.compressed_hessian(self._flatten(weights))

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
        return self._problem.hessian_trace(self._flatten(weights))

    def sharpness(
        self,
        weights: Weights,
        tolerance: float = 1e-8,
        *,
        which: str = "largest",
        start: Weights | None = None,
        max_products: int = 10_000,
    ) -> Sharpness:
        """Compute the algebraic largest or smallest eigenvalue of the Hessian over all weights.

        By Lanczos with full reorthogonalization, or a dense eigensolver where the Hessian is small;
        of a linear network on the compressed Hessian.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (d_k, d_{k-1})
        tolerance : float, default 1e-8
            Largest residual, relative to the eigenvalue. Rounding limits the residual to some
            1e-15 of the Hessian's norm; that counts as converged.
        which : {"largest", "lowest"}
            Which end of the spectrum: the largest is the sharpness.
        start : sequence of L array_like, optional
            A first guess of the eigenvector, such as ``vector`` of nearby weights. The result
            depends on it within the tolerance alone.
        max_products : int, default 10000
            Where to give up, with ``converged`` false.

        Returns
        -------
        Sharpness

        Raises
        ------
        TypeError, ValueError
            If the weights or the start do not fit the network or are not finite, or an option is
            not as above.
        """
        largest = one_of("which", which, ("largest", "lowest")) == "largest"
        value, residual, products, converged, vector = self._problem.extreme_eigenvalue(
            self._flatten(weights),
            largest,
            positive("tolerance", tolerance),
            positive_integer("max_products", max_products),
            None if start is None else self._flatten(start, "start"),
        )
        return Sharpness(value, residual, products, converged, self.network.unflatten(vector))
