"""Laws of the initial weights.

A field that takes a number also takes a sequence of them, which a sweep turns into a dimension; to
`sample`, the field must hold one number. A law of your own is a subclass of `Initialization`.

The laws of this module draw from one stream that the seed alone decides: standard normal numbers,
layers first to last, each row by row. So the same seed at two scales gives the same normal draws,
and a run does not depend on the runs around it. The stream is a child of the seed's
(`numpy.random.SeedSequence` with ``spawn_key=(0,)``): weights and data of the same seed are
independent.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from deeplinear._support.checks import (
    FloatArray,
    Numbers,
    instance_of,
    non_negative,
    non_negative_integer,
    positive,
    scalar_or_sequence,
    single,
)
from deeplinear._support.memory import aligned_empty, require_memory
from deeplinear.network import Network

__all__ = ["Gaussian", "Identity", "Initialization", "Orthogonal", "Residual"]


class Initialization(ABC):
    """A law of the initial weights: a subclass with a `sample` method.

    Of a frozen dataclass, a field that holds a sequence of numbers or texts becomes a dimension of
    a sweep, which calls `sample` on a copy that holds one of them. Any other class has no such
    fields. Results name the law by its ``repr``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass(frozen=True)
    ... class Uniform(Initialization):
    ...     width: float
    ...
    ...     def sample(self, network, seed):
    ...         rng = np.random.default_rng(seed)
    ...         return [rng.uniform(-self.width, self.width, shape) for shape in network.shapes]
    >>> [layer.shape for layer in Uniform(0.5).sample(Network((3, 4, 1)), seed=0)]
    [(4, 3), (1, 4)]
    """

    @abstractmethod
    def sample(self, network: Network, seed: int) -> list[FloatArray]:
        """Draw the weights of one run.

        Parameters
        ----------
        network : Network
            The network to draw for.
        seed : int
            The seed of the run, zero or above; the draw depends on nothing else.

        Returns
        -------
        list of L ndarray, shapes (d_k, d_{k-1})
            The layers, first to last.

        Raises
        ------
        TypeError
            If `network` is not a `Network`, or `seed` not an integer.
        ValueError
            If `seed` is negative, or a field holds a sequence.
        """

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in vars(self).items() if name[:1] != "_")
        return f"{type(self).__qualname__}({', '.join(fields)})"


class _FromNormals(Initialization):
    """A law that turns standard normal layers into weights, in place."""

    def sample(self, network: Network, seed: int) -> list[FloatArray]:
        instance_of("network", network, Network)
        require_memory("weights", network, network.parameters)
        vector = aligned_empty((network.parameters,))
        self._fill(network, seed, vector)
        return network.unflatten(vector)

    @np.errstate(over="ignore", under="ignore")
    def _fill(self, network: Network, seed: int, vector: FloatArray) -> None:
        """Fill a vector (P,) with the weights that `sample` draws."""
        sequence = np.random.SeedSequence(non_negative_integer("seed", seed), spawn_key=(0,))
        np.random.default_rng(sequence).standard_normal(out=vector)
        for layer in network.unflatten(vector):
            self._transform(network, layer)

    @abstractmethod
    def _transform(self, network: Network, layer: FloatArray) -> None:
        """Turn a standard normal layer, shape (d_k, d_{k-1}), into weights, in place."""


def fill(law: Initialization, network: Network, seed: int, vector: FloatArray) -> None:
    """Fill a vector (P,) with the weights that ``law.sample(network, seed)`` draws.

    Parameters
    ----------
    law : Initialization
        Laws of this module write into the vector; what `sample` of another returns is checked.
    network, seed
        As of `Initialization.sample`.
    vector : ndarray, shape (P,)
        What is filled.

    Raises
    ------
    TypeError, ValueError
        If what `sample` returns does not fit the network, or is not finite.
    """
    if isinstance(law, _FromNormals) and type(law).sample is _FromNormals.sample:
        law._fill(network, seed, vector)
        return
    name = f"the return value of {type(law).__name__}.sample"
    vector[:] = network._gather_one(law.sample(network, seed), name)


class _Scaled(_FromNormals):
    """A law with one scale."""

    scale: Numbers

    def __post_init__(self) -> None:
        # Without the identity to add to, zero weights would be a saddle that no run leaves.
        check = non_negative if isinstance(self, Residual) else positive
        object.__setattr__(self, "scale", scalar_or_sequence("scale", self.scale, check))


@dataclass(frozen=True)
class Gaussian(_Scaled):
    """Independent normal entries, of mean zero.

    Parameters
    ----------
    scale : float or sequence of float
        The standard deviation of an entry, above zero.
    """

    scale: Numbers

    def _transform(self, network: Network, layer: FloatArray) -> None:
        layer *= single("scale", self.scale)


@dataclass(frozen=True)
class Residual(_Scaled):
    """Identity plus a small normal matrix, ``W_k = I + s / sqrt(L d) N_k``.

    ``N_k`` has independent standard normal entries, and ``d = d_{k-1}`` is the number of columns of
    the layer. In a layer that is not square, I has ones on its main diagonal and zeros elsewhere.

    Parameters
    ----------
    scale : float or sequence of float
        The factor s, zero or above; zero is the identity initialization.

    Notes
    -----
    Marion and Chizat, "Deep linear networks for regression are implicitly regularized towards flat
    minima", NeurIPS 2024: gradient flow from here converges to a global minimizer.
    """

    scale: Numbers

    def _transform(self, network: Network, layer: FloatArray) -> None:
        # (d_k, d_{k-1}): I + s / sqrt(L d_{k-1}) N_k
        layer *= single("scale", self.scale) / math.sqrt(network.depth * layer.shape[1])
        layer += 0.0  # of scale zero: no negative zeros
        np.einsum("ii->i", layer[: layer.shape[1], : layer.shape[0]])[:] += 1


@dataclass(frozen=True)
class Identity(_FromNormals):
    """Every layer the identity: ones on the main diagonal, zeros elsewhere. Nothing is random."""

    def _transform(self, network: Network, layer: FloatArray) -> None:
        layer[:] = np.eye(*layer.shape)


@dataclass(frozen=True)
class Orthogonal(_Scaled):
    """A scale times a uniformly distributed (Haar) matrix with orthonormal rows or columns.

    A layer that is not square has orthonormal columns if it is tall, and orthonormal rows if it is
    wide.

    Parameters
    ----------
    scale : float or sequence of float
        Every singular value of every layer, above zero.
    """

    scale: Numbers

    def _transform(self, network: Network, layer: FloatArray) -> None:
        layer[:] = single("scale", self.scale) * _orthonormal(layer)


def _orthonormal(N: FloatArray) -> FloatArray:
    """Haar-distributed matrix from a standard normal one of the same shape."""
    if N.shape[0] < N.shape[1]:
        return np.ascontiguousarray(_orthonormal(N.T).T)
    Q, R = np.linalg.qr(N)
    # N = Q R is unique, and Q follows the Haar law, once diag(R) > 0
    return Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)
