"""The initial weights of many runs, drawn in blocks.

The core draws the normal numbers of NumPy's streams, and the laws of the package turn those of a
block into weights at once; each run has what ``law.sample(network, seed)`` returns, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import FloatArray, single
from deeplinear._support.distinct import Index, numbered
from deeplinear.init import (
    FromWeights,
    Gaussian,
    Identity,
    Initialization,
    Orthogonal,
    Residual,
    _FromNormals,
    _Scaled,
    fill_normal,
)
from deeplinear.network import Network

__all__ = ["draw"]

#: Laws that turn the layers of many runs into weights at once; a subclass may do it otherwise.
_OF_BLOCKS = (Gaussian, Residual, Identity, Orthogonal)
#: Numbers that the core draws at once: its threads take some 20 ms, and wait for one another once
_BLOCK = 2**22
#: Numbers that a law goes through several times, and that stay in the cache
_PIECE = 2**16


def draw(
    network: Network,
    laws: Sequence[Initialization],
    law_of: Index,
    seeds: Sequence[int],
    seed_of: Index,
    vectors: FloatArray,
    threads: int,
) -> None:
    """Fill the weights of runs, once for all that share the law and the seed.

    Parameters
    ----------
    network : Network
        The network of all runs.
    laws, law_of
        Laws, and which of them each run has, shape (runs,).
    seeds, seed_of
        Seeds, and which of them each run has, shape (runs,).
    vectors : ndarray, shape (runs, P)
        What is filled.
    threads : int
        Of the core.

    Raises
    ------
    TypeError, ValueError
        If what `sample` of a law returns does not fit the network, or is not finite.
    """
    source, which = numbered(law_of * len(seeds) + seed_of)
    fill = _filler(network, laws, seeds, threads)
    block, piece = (max(1, numbers // network.parameters) for numbers in (_BLOCK, _PIECE))
    for start in range(0, len(vectors), block):
        rows = vectors[start : start + block]
        runs = np.arange(start, start + len(rows))
        origin = source[which[runs]]  # the run itself, or one before
        own = runs[origin == runs]
        if len(own) == len(runs):
            fill(law_of[runs], seed_of[runs], rows)
            continue
        if len(own) > 0:
            drawn = np.empty((len(own), network.parameters))
            fill(law_of[own], seed_of[own], drawn)
            vectors[own] = drawn
        copied = np.flatnonzero(origin != runs)
        for first in range(0, len(copied), piece):
            some = copied[first : first + piece]
            rows[some] = vectors[origin[some]]


#: Fills rows (rows, P), of which law and which seed each has.
Fill = Callable[[Index, Index, FloatArray], None]


def _filler(
    network: Network, laws: Sequence[Initialization], seeds: Sequence[int], threads: int
) -> Fill:
    """Choose how rows are filled: the laws, which are of one class, decide."""
    numbers = _as_numbers(seeds)

    def take(law_of: Index, seed_of: Index, rows: FloatArray) -> None:
        assert isinstance(laws[0], FromWeights)
        assert numbers is not None
        laws[0]._take(network, numbers[seed_of], rows)

    def one_by_one(law_of: Index, seed_of: Index, rows: FloatArray) -> None:
        for row, i, j in zip(rows, law_of.tolist(), seed_of.tolist(), strict=True):
            _fill_one(laws[i], network, seeds[j], row)

    @np.errstate(over="ignore", under="ignore")
    def from_normals(law_of: Index, seed_of: Index, rows: FloatArray) -> None:
        if numbers is not None and _draws_as_numpy():
            _core.standard_normals(numbers[seed_of], rows, threads)
        else:
            for row, j in zip(rows, seed_of.tolist(), strict=True):
                fill_normal(seeds[j], row)
        size = max(1, _PIECE // network.parameters)
        for start in range(0, len(rows), size):
            piece = slice(start, start + size)
            law = law_of_rows(law_of[piece])
            for layer in network.unflatten(rows[piece]):
                law._transform(network, layer)

    kind = type(laws[0])
    if kind in _OF_BLOCKS:
        law_of_rows = _together([law for law in laws if isinstance(law, _FromNormals)])
        return from_normals
    return take if kind is FromWeights and numbers is not None else one_by_one


def _together(laws: Sequence[_FromNormals]) -> Callable[[Index], _FromNormals]:
    """Return how to make one law of those that several rows have."""
    first = laws[0]
    if len(laws) == 1 or not isinstance(first, _Scaled):
        return lambda law_of: first
    scales = np.array([single("scale", law.scale) for law in laws if isinstance(law, _Scaled)])
    return lambda law_of: first._with_scales(scales[law_of])


def _fill_one(law: Initialization, network: Network, seed: int, row: FloatArray) -> None:
    """Fill a row (P,) with the weights that ``law.sample(network, seed)`` draws."""
    if isinstance(law, _FromNormals) and type(law).sample is _FromNormals.sample:
        law._fill(network, seed, row)
    else:
        name = f"the return value of {type(law).__name__}.sample"
        row[:] = network._gather_one(law.sample(network, seed), name)


def _as_numbers(seeds: Sequence[int]) -> npt.NDArray[np.uint64] | None:
    """Return seeds as the core takes them; None where one has more than 64 bits."""
    if isinstance(seeds, range):
        ends = (seeds[0], seeds[-1])
        if max(ends) < 2**63:
            return np.arange(seeds.start, seeds.stop, seeds.step).astype(np.uint64)
    return np.array(seeds, np.uint64) if max(seeds) < 2**64 else None


@cache
def _draws_as_numpy() -> bool:
    """Say whether the core's streams are those of the NumPy that is installed.

    Streams are not among what NumPy promises to keep, and the last bits of one number in 4,000
    come from the logarithm that it was compiled with. Of 16,384 some are such.
    """
    seeds = np.array([0, 1, 2**40, 2**64 - 1], np.uint64)
    rows, expected = np.empty((2, 4, 4096))
    _core.standard_normals(seeds, rows, 1)
    for seed, row in zip(seeds.tolist(), expected, strict=True):
        fill_normal(seed, row)
    return bool((rows == expected).all())
