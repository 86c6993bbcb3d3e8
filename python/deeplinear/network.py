"""The shape of a deep network, and the order of its parameters in a vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import (
    FloatArray,
    all_finite,
    describe,
    finite_array,
    one_of,
    positive_integer,
    read_only,
    real_array,
    refuse_masked,
)
from deeplinear._support.frozen import Comparable
from deeplinear._support.memory import aligned_copy, aligned_empty, require_memory

ACTIVATIONS = tuple(_core.activations())
_LARGEST_WIDTH = 2**31 - 1  # what the core counts to


class Network(Comparable):
    """A deep network ``x -> p^T W_L s(W_{L-1} s(... s(W_1 x)))`` with one output.

    With the identity as activation s it is the linear network ``x -> p^T W_L ... W_1 x``. The last
    layer is linear in any case.

    Parameters
    ----------
    widths : sequence of int
        ``d_0, ..., d_L``, at least two: layer k is a matrix ``W_k`` of shape (d_k, d_{k-1}), and
        ``d_0`` is the number of inputs.
    readout : array_like, shape (d_L,), optional
        The fixed vector ``p`` that is not trained; any finite vector but zero. The theory takes a
        unit vector. Needed where ``d_L > 1``; where ``d_L = 1`` a number will do, and None stands
        for ``p = 1``.
    activation : {"identity", "gelu", "tanh", "relu"}
        The function s between the layers, entry by entry. "gelu" is its tanh form, ``z (1 +
        tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2``; the slope of "relu" at 0 is 0.

    Attributes
    ----------
    widths : tuple of int
        As given.
    readout : ndarray, shape (d_L,), or None
        As given, read-only.
    activation : str
        As given.
    readout_vector : ndarray, shape (d_L,)
        The readout, or a one where it is None; read-only.
    shapes : list of tuple of int
        The shapes (d_k, d_{k-1}) of the layers, first to last.
    parameters : int
        The number P of entries of all layers.

    Raises
    ------
    TypeError
        If a width is not an integer, or the readout is not made of real numbers.
    ValueError
        If there are fewer than two widths, one of them is not positive, the readout is missing,
        of the wrong length, zero or not finite, or the activation is unknown.

    Notes
    -----
    An object does not change. Two networks are equal if their widths, activations and readout
    vectors are.

    Examples
    --------
    >>> network = Network(widths=(5, 5, 5, 1))
    >>> network.depth, network.parameters
    (3, 55)
    """

    widths: tuple[int, ...]
    readout: FloatArray | None
    activation: str
    readout_vector: FloatArray
    shapes: list[tuple[int, int]]
    parameters: int

    def __init__(
        self,
        widths: Sequence[int],
        readout: npt.ArrayLike | None = None,
        activation: str = "identity",
    ) -> None:
        takes = "widths must be a sequence of at least two positive integers, d_0 to d_L"
        if isinstance(widths, (str, bytes)) or not isinstance(widths, Iterable):
            raise TypeError(f"{takes}; got {describe(widths)}.")
        if getattr(widths, "ndim", None) == 0:
            raise TypeError(f"{takes}; got {describe(widths)}.")
        refuse_masked("widths", widths)
        sizes = tuple(
            positive_integer(f"widths[{i}]", width, _LARGEST_WIDTH)
            for i, width in enumerate(widths)
        )
        if len(sizes) < 2:
            raise ValueError(f"{takes}; got {len(sizes)}.")
        activation = one_of("activation", activation, ACTIVATIONS)

        last = sizes[-1]
        vector = None
        if readout is not None:
            # Files hold a vector of one entry as a number.
            single = isinstance(readout, (int, float)) or getattr(readout, "ndim", None) == 0
            ndim = 0 if single and last == 1 else 1
            vector = read_only(finite_array("readout", readout, ndim, f"({last},)").reshape(-1))
            if len(vector) != last:
                raise ValueError(
                    f"readout must have as many entries as the last width, {last}; "
                    f"got {len(vector)}."
                )
            if not vector.any():
                raise ValueError("readout must not be the zero vector; got only zeros.")
        elif last > 1:
            raise ValueError(
                f"readout must be a vector of {last} entries where the last width is {last}; "
                "got None."
            )
        shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
        self.__dict__.update(
            shapes=shapes,
            parameters=sum(rows * columns for rows, columns in shapes),
            widths=sizes,
            readout=vector,
            activation=activation,
            readout_vector=read_only(np.ones(1)) if vector is None else vector,
        )

    def __reduce__(self) -> tuple[object, ...]:
        return Network, (self.widths, self.readout, self.activation)

    def _key(self) -> tuple[object, ...]:
        return self.widths, self.activation, tuple(self.readout_vector.tolist())

    def __repr__(self) -> str:
        readout = None if self.readout is None else self.readout.tolist()
        return f"Network(widths={self.widths}, readout={readout}, activation={self.activation!r})"

    @property
    def depth(self) -> int:
        """The number L of layers."""
        return len(self.widths) - 1

    @property
    def linear(self) -> bool:
        """Whether the network is a linear map of its input."""
        return self.activation == "identity"

    def flatten(
        self, weights: Iterable[npt.ArrayLike], name: str = "weights", *, copy: bool = True
    ) -> FloatArray:
        """Put the layers into one vector, first to last, each row by row.

        Parameters
        ----------
        weights : sequence of L array_like, shapes (..., d_k, d_{k-1})
            The layers, with the same leading axes on each (none for one network).
        name : str, default "weights"
            What to call `weights` in an error.
        copy : bool, default True
            Whether to copy layers that already lie in one vector, as those of `unflatten` do.

        Returns
        -------
        ndarray, shape (..., P)
            C-contiguous float64; a copy, or without `copy` the vector that the layers are views of.

        Raises
        ------
        TypeError
            If `weights` is not a sequence of arrays of real numbers.
        ValueError
            If the number of layers, a shape or the leading axes do not fit, or an entry is not
            finite.
        """
        vector, shared = self._gather(weights, name)
        return aligned_copy(vector) if copy and shared else vector

    def _gather(
        self,
        weights: Iterable[npt.ArrayLike],
        name: str,
        *,
        finite: bool = True,
        threads: int | None = None,
    ) -> tuple[FloatArray, bool]:
        """Return the vector, and whether it is that of which the layers are views.

        Unless finite, let through what lies in one vector and is not finite. The look at all
        entries takes so many threads, see `all_finite`.
        """
        takes = f"{name} must be a sequence of {self.depth} arrays, one per layer"
        if isinstance(weights, (str, bytes)) or not isinstance(weights, Iterable):
            raise TypeError(f"{takes}; got {describe(weights)}.")
        if getattr(weights, "ndim", None) == 0:
            raise TypeError(f"{takes}; got {describe(weights)}.")
        given = list(weights)
        if len(given) != self.depth:
            raise ValueError(f"{takes}; got {len(given)}.")
        shared = self._vector_of(given)
        if shared is not None and (not finite or all_finite(shared, threads)):
            return shared, True
        vector = self._concatenate(given, threads)
        if vector is None:
            self._refuse(given, name)
        return vector, False

    def _gather_one(
        self,
        weights: Iterable[npt.ArrayLike],
        name: str,
        *,
        finite: bool = True,
        threads: int | None = None,
    ) -> FloatArray:
        """As `_gather`, of weights that have no leading axes."""
        vector, _ = self._gather(weights, name, finite=finite, threads=threads)
        if vector.ndim != 1:
            raise ValueError(
                f"{name} must be of one network, without leading axes; "
                f"got leading axes {vector.shape[:-1]}."
            )
        return vector

    def _vector_of(self, given: list[npt.ArrayLike]) -> FloatArray | None:
        """Return the float64 vector (P,) that the layers are views of, or None."""
        first = given[0]
        whole = getattr(first, "base", None)
        if not isinstance(first, np.ndarray) or not isinstance(whole, np.ndarray):
            return None
        if whole.dtype != np.float64 or not (whole.flags.c_contiguous and whole.flags.aligned):
            return None
        origin = whole.ctypes.data
        offset = start = (first.ctypes.data - origin) // first.itemsize
        for layer, shape in zip(given, self.shapes, strict=True):
            if not isinstance(layer, np.ndarray) or layer.base is not whole:
                return None
            if isinstance(layer, np.ma.MaskedArray):
                return None
            if layer.dtype != np.float64 or layer.shape != shape or not layer.flags.c_contiguous:
                return None
            if layer.ctypes.data != origin + offset * layer.itemsize:
                return None
            offset += layer.size
        vector = whole.reshape(-1)[start:offset]
        if not all(layer.flags.writeable for layer in given if isinstance(layer, np.ndarray)):
            vector.flags.writeable = False
        return vector

    def _refuse(self, given: list[npt.ArrayLike], name: str) -> NoReturn:
        """Say which of the layers does not fit, or is not finite."""
        leading: tuple[int, ...] | None = None
        for k, (shape, value) in enumerate(zip(self.shapes, given, strict=True)):
            label, expected = f"{name}[{k}]", f"(..., {shape[0]}, {shape[1]})"
            layer = finite_array(label, value, None, expected)
            if layer.shape[-2:] != shape:
                raise ValueError(f"{label} must have shape {expected}; got shape {layer.shape}.")
            leading = layer.shape[:-2] if leading is None else leading
            if layer.shape[:-2] != leading:
                raise ValueError(
                    f"{label} must have the leading axes of {name}[0], {leading}; "
                    f"got shape {layer.shape}."
                )
        raise ValueError(f"{name} must be arrays that do not change while they are read.")

    def _concatenate(self, given: list[npt.ArrayLike], threads: int | None) -> FloatArray | None:
        """Put layers that fit into one vector; None where one of them doesn't."""
        try:
            layers = [real_array("", "", value) for value in given]
        except (TypeError, ValueError):
            return None
        leading = layers[0].shape[:-2]
        for layer, shape in zip(layers, self.shapes, strict=True):
            if layer.shape != leading + shape:
                return None
        if not layers[0].size:
            return None
        runs = math.prod(leading)
        require_memory("a copy of the weights", self, float(runs) * self.parameters)
        rows = [layer.reshape(*leading, -1) for layer in layers]
        with np.errstate(all="ignore"):  # a long double beyond float64 becomes inf
            vector = aligned_empty((*leading, self.parameters))
            np.concatenate(rows, axis=-1, out=vector, casting="unsafe")
        return vector if all_finite(vector, threads) else None

    def unflatten(self, vector: npt.ArrayLike) -> list[npt.NDArray[Any]]:
        """Cut vectors of parameters into layers; the inverse of `flatten`.

        Parameters
        ----------
        vector : array_like or xarray.DataArray, shape (..., P)
            Parameters on the last axis; entries that are not finite are let through.

        Returns
        -------
        list of L ndarray, shapes (..., d_k, d_{k-1})
            Of the same dtype, and views of the memory of `vector` where it is an array.

        Raises
        ------
        TypeError
            If the entries are not real numbers.
        ValueError
            If the last axis does not have P entries.
        """
        takes = f"vector must be an array of numbers, shape (..., {self.parameters})"
        array = real_array("vector", takes, vector)
        if array.dtype.kind == "b":
            raise TypeError(f"{takes}; got {describe(vector)} with dtype {array.dtype}.")
        if array.ndim == 0 or array.shape[-1] != self.parameters:
            raise ValueError(f"{takes}; got shape {array.shape}.")
        layers, start = [], 0
        for rows, columns in self.shapes:
            stop = start + rows * columns
            layers.append(array[..., start:stop].reshape(*array.shape[:-1], rows, columns))
            start = stop
        return layers
