"""The risk as a function of the weights: its value and gradient, and with `Hessian` the rest."""

from __future__ import annotations

from functools import partial

import numpy as np

from deeplinear import _core
from deeplinear._support.checks import FloatArray, describe, instance_of, one_of, positive_integer
from deeplinear.hessian import Hessian, Sharpness, Weights
from deeplinear.network import Network
from deeplinear.problem import core_problem
from deeplinear.regression import Regression

__all__ = ["Landscape", "Sharpness"]


def number_of_threads(threads: object) -> int:
    """Check a number of threads; None stands for as many as there are processors."""
    if threads is None:
        return _core.build_config()["threads"]
    return min(positive_integer("threads", threads, None), 1024)


#: Smaller networks are passed before several threads have met.
_SHARED_FROM = 65536


class Landscape(Hessian):
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
    loss: str
    threads: int

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
        if samples is not None and not isinstance(samples, (bool, np.bool_)):
            raise TypeError(f"samples must be True, False or None; got {describe(samples)}.")
        if samples is not None and not samples and not network.linear:
            raise ValueError(
                "samples must be True or None for a network that is not linear; got False."
            )
        self.samples = not network.linear if samples is None else bool(samples)
        small = threads is None and network.parameters < _SHARED_FROM
        self.threads = 1 if small else number_of_threads(threads)
        self.loss = one_of("loss", loss, tuple(_core.losses()))
        if self.loss != "squared" and samples is not None and not samples:
            raise ValueError(
                f"samples must be True or None for another loss than 'squared'; got loss {loss!r}."
            )
        self.samples = self.samples or self.loss != "squared"
        self._problem = core_problem(network, regression, samples=self.samples, loss=self.loss)

    def __reduce__(self) -> tuple[object, ...]:
        again = partial(Landscape, samples=self.samples, loss=self.loss, threads=self.threads)
        return again, (self.network, self.regression)

    def __repr__(self) -> str:
        return f"Landscape({self.network!r}, {self.regression!r})"

    def _flatten(
        self, weights: Weights, name: str = "weights", *, finite: bool = True
    ) -> FloatArray:
        vector, _ = self.network._gather(weights, name, finite=finite, threads=self.threads)
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
        return self._at(_core.end_to_end, weights)

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
        return self._at(_core.risk, weights)

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
        return self.network.unflatten(self._at(_core.gradient, weights))
