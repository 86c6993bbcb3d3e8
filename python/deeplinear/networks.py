"""Families of networks, of one or several widths, depths and activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplinear._support.checks import (
    Counts,
    Names,
    check_fields,
    one_of,
    positive_integer,
    single,
)
from deeplinear._support.memory import require_free
from deeplinear.data import require_single
from deeplinear.network import ACTIVATIONS, Network
from deeplinear.seeds import check_seed

__all__ = ["Networks"]

KINDS = ("plain", "residual")


def _kind(name: str, value: object) -> str:
    return one_of(name, value, KINDS)


def _activation(name: str, value: object) -> str:
    return one_of(name, value, ACTIVATIONS)


@dataclass(frozen=True)
class Networks:
    """Networks of L layers between d inputs and one output.

    "plain": a first layer of shape (width, d), L - 2 of (width, width) and a last one of
    (1, width). "residual": L layers of shape (d, d), and a fixed readout, a random unit vector. A
    field that holds a sequence becomes a dimension of a sweep over `Landscapes`.

    Parameters
    ----------
    depth : int or sequence of int
        The number L of layers.
    width : int or sequence of int, optional
        The units of a layer; by default d, and always d in residual networks.
    kind : {"plain", "residual"} or sequence of them, default "plain"
        See above.
    activation : str or sequence of str, default "identity"
        The function between the layers, see `Network`.
    seed : int or sequence of int, default 0
        Decides the readout of a residual network, the same for all depths. Its stream is the child
        ``spawn_key=(1,)`` of the seed's, independent of data and initial weights of that seed. The
        dimension of several is ``network_seed``.

    Raises
    ------
    TypeError, ValueError
        If a field is not as above.
    """

    depth: Counts
    width: Counts | None = None
    kind: Names = "plain"
    activation: Names = "identity"
    seed: Counts = 0

    def __post_init__(self) -> None:
        check_fields(self, depth=positive_integer)
        if self.width is not None:
            check_fields(self, width=positive_integer)
        check_fields(self, kind=_kind, activation=_activation, seed=check_seed)
        if self.width is not None and "residual" in np.atleast_1d(self.kind):
            raise ValueError(
                "width must be None where kind is 'residual', whose layers are (d, d)."
            )

    def network(self, d: int) -> Network:
        """Make the network for d inputs.

        Raises
        ------
        TypeError, ValueError
            If a field holds a sequence, or `d` is no positive integer.
        MemoryError
            If the network would not fit the memory.
        """
        require_single(self)
        d = positive_integer("d", d)
        depth = int(single("depth", self.depth))
        width = d if self.width is None else int(single("width", self.width))
        what = f"{depth:,} layers of {width:,} units"
        require_free("network must fit the memory", what, float(depth) * width**2)
        activation = str(self.activation)
        if self.kind == "plain":
            return Network((d, *(width,) * (depth - 1), 1), activation=activation)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(1,)))
        direction = rng.standard_normal(d)
        return Network((d,) * (depth + 1), direction / np.linalg.norm(direction), activation)
