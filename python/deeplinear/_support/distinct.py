"""Sequences as their distinct values, and which of them every entry is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Index", "distinct", "first_again", "is_of", "numbered", "plain_array"]

#: Which of several values each run has.
Index = npt.NDArray[np.int64]


def plain_array(values: object) -> npt.NDArray[Any] | None:
    """Return a sequence of plain numbers of one kind as an array.

    Returns
    -------
    ndarray or None
        One-dimensional, of truths, of integers of 64 bits or fewer, or of floats that float64
        holds; None for what is none of these, or empty.
    """
    if isinstance(values, range):
        fits = values and all(-(2**63) <= end < 2**63 for end in (values[0], values[-1]))
        return values[0] + values.step * np.arange(len(values)) if fits else None
    if isinstance(values, (list, tuple)):
        if is_of(values, int) and min(values) >= -(2**63) and max(values) < 2**63:
            return np.array(values, np.int64)
        return np.array(values, np.float64) if is_of(values, float) else None
    # Of pandas and xarray what they hold
    array = values if type(values) is np.ndarray else getattr(values, "values", None)
    if type(array) is not np.ndarray or array.ndim != 1 or len(array) == 0:
        return None
    return array if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8 else None


def distinct(values: npt.NDArray[Any] | list[Any]) -> tuple[list[Any], Index]:
    """Return the distinct values as Python's own, and which of them each entry is.

    They stand in the order in which they first appear.

    Parameters
    ----------
    values : ndarray or list
        An array as `plain_array` returns it, or a list of values of any plain kinds. Zero and minus
        zero differ, and so do 1, 1.0 and True.
    """
    if isinstance(values, np.ndarray):
        whole = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
        first, index = numbered(whole.view(np.int64))
        return values[first].tolist(), index
    keys = values if is_of(values, str, int) else [_key(value) for value in values]
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    index = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    first, _ = numbered(index)
    return [values[i] for i in first.tolist()], index


def is_of(values: object, *kinds: type) -> bool:
    """Say whether a list or tuple holds plain values of one of some kinds, and no others."""
    return isinstance(values, (list, tuple)) and set(map(type, values)) in [
        {kind} for kind in kinds
    ]


def _key(value: Any) -> tuple[type, Any]:
    return type(value), repr(value) if isinstance(value, float) else value


def first_again(values: Iterable[Any]) -> Any:
    """Return the first value that was there before; None where all differ."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def numbered(codes: npt.NDArray[np.int64]) -> tuple[Index, Index]:
    """Give integers numbers in the order in which they first appear.

    Returns
    -------
    first : ndarray, shape (distinct,)
        Where each of them appears first, ascending.
    index : ndarray, shape (entries,)
        The number of every entry.
    """
    count, least = len(codes), int(codes.min())
    size = int(codes.max()) - least + 1
    if size > 4 * count + 1024:  # sorted; otherwise by a table of all that lie between
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return first[order], rank[inverse]
    places = np.full(size, count)
    places[codes[::-1] - least] = np.arange(count)[::-1]  # of equal ones the first stays
    first = np.sort(places[places < count])
    places[codes[first] - least] = np.arange(len(first))
    return first, places[codes - least]
