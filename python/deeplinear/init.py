"""Laws of the initial weights.

A field that takes a number also takes a sequence of them, which a sweep turns into a dimension; to
`sample`, the field must hold one number. A law of your own is a subclass of `Initialization`, and
weights of your own are the starts of `FromWeights`.

The other laws draw from one stream that the seed alone decides: standard normal numbers, layers
first to last, each row by row. So the same seed at two scales gives the same normal draws, and a
run does not depend on the runs around it. The stream is a child of the seed's
(`numpy.random.SeedSequence` with ``spawn_key=(0,)``): weights and data of the same seed are
independent.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    FloatArray,
    Numbers,
    describe,
    finite_array,
    instance_of,
    non_negative,
    non_negative_integer,
    positive,
    read_only,
    scalar_or_sequence,
    single,
)
from deeplinear._support.frozen import Comparable
from deeplinear._support.memory import aligned_copy, aligned_empty, require_free, require_memory
from deeplinear.network import Network

__all__ = ["FromWeights", "Gaussian", "Identity", "Initialization", "Orthogonal", "Residual"]


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


def fill_normal(seed: int, vector: FloatArray) -> None:
    """Fill a vector with standard normal numbers, the stream of a seed."""
    sequence = np.random.SeedSequence(seed, spawn_key=(0,))
    np.random.default_rng(sequence).standard_normal(out=vector)


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
        fill_normal(non_negative_integer("seed", seed), vector)
        for layer in network.unflatten(vector):
            self._transform(network, layer)

    @abstractmethod
    def _transform(self, network: Network, layer: FloatArray) -> None:
        """Turn standard normal layers, shape (..., d_k, d_{k-1}), into weights, in place."""


class _Scaled(_FromNormals):
    """A law with one scale."""

    scale: Numbers

    def __post_init__(self) -> None:
        # Without the identity to add to, zero weights would be a saddle that no run leaves.
        check = non_negative if isinstance(self, Residual) else positive
        object.__setattr__(self, "scale", scalar_or_sequence("scale", self.scale, check))

    def _with_scales(self, scales: FloatArray) -> _Scaled:
        """Return a law that turns layers (runs, d_k, d_{k-1}) into weights, each by its scale."""
        law = object.__new__(type(self))
        law.__dict__["scale"] = scales[:, np.newaxis, np.newaxis]
        return law

    @property
    def _factor(self) -> float | FloatArray:
        """The scale, or those of several runs, (runs, 1, 1)."""
        return self.scale if isinstance(self.scale, np.ndarray) else single("scale", self.scale)


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
        layer *= self._factor


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
        rows, columns = layer.shape[-2:]
        layer *= self._factor / math.sqrt(network.depth * columns)
        layer += 0.0  # of scale zero: no negative zeros
        np.einsum("...ii->...i", layer[..., :columns, :rows])[...] += 1


@dataclass(frozen=True)
class Identity(_FromNormals):
    """Every layer the identity: ones on the main diagonal, zeros elsewhere. Nothing is random."""

    def _transform(self, network: Network, layer: FloatArray) -> None:
        layer[...] = np.eye(*layer.shape[-2:])


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
        layer[...] = self._factor * _orthonormal(layer)


def _orthonormal(N: FloatArray) -> FloatArray:
    """Haar-distributed matrices from standard normal ones of the same shape, (..., m, n)."""
    if N.shape[-2] < N.shape[-1]:
        return np.ascontiguousarray(_orthonormal(N.swapaxes(-2, -1)).swapaxes(-2, -1))
    Q, R = np.linalg.qr(N)
    # N = Q R is unique, and Q follows the Haar law, once diag(R) > 0
    signs = np.where(np.diagonal(R, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return Q * signs[..., np.newaxis, :]


class FromWeights(Comparable, Initialization):
    """Weights that are given: of several starts, seed s takes start s; one start is every seed's.

    Parameters
    ----------
    weights : sequence of L array_like, or one array of shape (starts, P) or (P,)
        The layers, of shapes (starts, d_k, d_{k-1}), or (d_k, d_{k-1}) of one start; or what
        `Network.flatten` makes of them, as are the ``weights`` of an earlier result. They are
        copied.

    Attributes
    ----------
    starts : int
        How many starts there are, so that ``seeds=law.starts`` takes each once.

    Raises
    ------
    TypeError
        If `weights` are not arrays of real numbers.
    ValueError
        If a shape is not as above, or an entry is not finite.
    MemoryError
        If a copy does not fit the memory.

    Notes
    -----
    Two are equal if their weights are, bit by bit; results name them by the first digits of their
    SHA-256. The files of experiments hold numbers and names, and no such weights.

    Examples
    --------
    >>> network = Network((2, 1))
    >>> law = FromWeights([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    >>> law.starts, law.sample(network, 1)
    (2, [array([[3., 4.]])])
    """

    starts: int
    _vectors: FloatArray  # (starts, P)
    _shapes: tuple[tuple[int, ...], ...] | None  # of the layers; None where vectors were given

    def __init__(self, weights: Iterable[npt.ArrayLike] | npt.ArrayLike) -> None:
        layers = _given_layers(weights)
        size = sum(layer.size for layer in layers)
        require_free("weights must fit the memory", "a copy of them", float(size))
        shapes = None if layers[0].ndim < 3 else tuple(layer.shape[1:] for layer in layers)
        rows = [layer.reshape(len(layer), -1) for layer in layers]
        vectors = read_only(rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1))
        self.__dict__.update(starts=len(vectors), _vectors=vectors, _shapes=shapes)

    def sample(self, network: Network, seed: int) -> list[FloatArray]:  # noqa: D102  (inherited)
        self._check(instance_of("network", network, Network))
        number = non_negative_integer("seed", seed)
        if number >= self.starts > 1:
            raise ValueError(
                f"seed must be below the number of starts, {self.starts}; got {describe(seed)}."
            )
        require_memory("weights", network, network.parameters)
        return network.unflatten(aligned_copy(self._vectors[number if self.starts > 1 else 0]))

    def _take(self, network: Network, seeds: npt.NDArray[np.uint64], rows: FloatArray) -> None:
        """Fill rows (seeds, P) with the starts of seeds."""
        self._check(network)
        beyond = np.flatnonzero(seeds >= self.starts)
        if self.starts > 1 and len(beyond) > 0:
            self.sample(network, int(seeds[beyond[0]]))  # says that there is no such start
        rows[...] = self._vectors[seeds.astype(np.int64) if self.starts > 1 else 0]

    def _check(self, network: Network) -> None:
        """Refuse a network of other shapes."""
        if self._shapes is None:
            if network.parameters != self._vectors.shape[1]:
                raise ValueError(
                    f"network must have as many parameters as the weights, "
                    f"{self._vectors.shape[1]}; got {network.parameters}."
                )
            return
        if network.depth != len(self._shapes):
            raise ValueError(
                f"network must have as many layers as the weights, {len(self._shapes)}; "
                f"got {network.depth}."
            )
        for k, (own, shape) in enumerate(zip(network.shapes, self._shapes, strict=True), 1):
            if own != shape:
                raise ValueError(
                    f"network must have layers of the shapes of the weights, which is {shape} for "
                    f"layer {k}; got {own}."
                )

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self._vectors.data).hexdigest()

    def _key(self) -> tuple[object, ...]:
        return self._vectors.shape, self._shapes, self._digest

    def __reduce__(self) -> tuple[object, ...]:
        if self._shapes is None:
            return type(self), (self._vectors,)
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        parts = np.split(self._vectors, ends[:-1], axis=1)
        layers = zip(parts, self._shapes, strict=True)
        return type(self), ([part.reshape(self.starts, *shape) for part, shape in layers],)

    def __repr__(self) -> str:
        parameters = self._vectors.shape[1]
        return (
            f"FromWeights(starts={self.starts}, parameters={parameters}, "
            f"sha256={self._digest[:12]!r})"
        )


def _given_layers(weights: Any) -> list[FloatArray]:
    """Return layers (starts, d_k, d_{k-1}), or alone an array of vectors (starts, P)."""
    takes = (
        "weights must be a sequence of arrays, one per layer, or an array of shape (starts, P) or "
        "(P,)"
    )
    ndim, dims = getattr(weights, "ndim", None), tuple(getattr(weights, "dims", ()))
    if "parameter" in dims and (dims[-1] != "parameter" or len(dims) > 2):
        raise ValueError(
            "weights must have the dimension 'parameter' last, after one of starts at most, as "
            f"stack and transpose make it; got {dims}."
        )
    if ndim in (1, 2):
        return [np.atleast_2d(finite_array("weights", weights, None, "(starts, P) or (P,)"))]
    if isinstance(weights, (str, bytes)) or not isinstance(weights, Iterable) or ndim == 0:
        raise TypeError(f"{takes}; got {describe(weights)}.")
    layers: list[FloatArray] = []
    for k, value in enumerate(weights):
        shape = f"(starts, d_{k + 1}, d_{k}) or (d_{k + 1}, d_{k})"
        layer = finite_array(f"weights[{k}]", value, None, shape)
        if layer.ndim not in (2, 3):
            raise ValueError(f"weights[{k}] must have shape {shape}; got shape {layer.shape}.")
        layers.append(layer)
        if layer.shape[:-2] != layers[0].shape[:-2]:
            raise ValueError(
                f"weights[{k}] must have the leading axes of weights[0], {layers[0].shape[:-2]}; "
                f"got shape {layer.shape}."
            )
    if not layers:
        raise ValueError(f"{takes}; got an empty one.")
    return [layer.reshape(-1, *layer.shape[-2:]) for layer in layers]
