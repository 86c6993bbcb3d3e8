"""Seeds: integers of any size, which no file holds as such, and coordinates that files hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    describe,
    is_sequence,
    non_negative_integer,
    positive_integer,
    refuse_masked,
)
from deeplinear._support.distinct import plain_array

__all__ = ["check_seed", "check_seeds", "labels"]

#: Seeds are written as decimal text, which Python does up to some 4,000 digits.
_LARGEST = 2**1024 - 1


def check_seed(name: str, value: object) -> int:
    """Take a seed, also as the decimal text that results have for large ones."""
    text = value.item() if getattr(value, "ndim", None) == 0 else value  # type: ignore[attr-defined]
    if isinstance(text, str) and len(text) <= 309 and text.isascii() and text.isdecimal():
        value = int(text)
    return non_negative_integer(name, value, _LARGEST)


def check_seeds(seeds: object) -> Sequence[int]:
    """Take several seeds, or their number n for 0 .. n-1."""
    takes = "seeds must be a positive integer or a non-empty sequence of non-negative integers"
    if isinstance(seeds, (str, bytes, bool, float)):
        raise TypeError(f"{takes}; got {describe(seeds)}.")
    values: Sequence[int]
    if isinstance(seeds, range):
        values = seeds
        if seeds:
            positive_integer("the number of seeds", (seeds[-1] - seeds[0]) // seeds.step + 1)
            for end in (seeds[0], seeds[-1]):
                non_negative_integer("seeds", end, _LARGEST)
    elif isinstance(seeds, Sequence) or is_sequence(seeds):
        array = plain_array(seeds)
        if array is not None and array.dtype.kind in "iu" and array.min() >= 0:
            return tuple(array.tolist())
        refuse_masked("seeds", seeds)
        entries: Iterable[object] = seeds  # type: ignore[assignment]
        values = tuple(check_seed(f"seeds[{i}]", entry) for i, entry in enumerate(entries))
    else:
        values = range(positive_integer("seeds", seeds))
    if not values:
        raise ValueError(f"{takes}; got {describe(seeds)}.")
    return values


def labels(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return values as a coordinate that files hold: integers beyond int64 as decimal text.

    Beside int64, which other results have, NumPy turns uint64 into float64.
    """
    if isinstance(values, range) and max(values[0], values[-1]) < 2**63:
        return values[0] + values.step * np.arange(len(values))
    if all(issubclass(kind, int) and kind is not bool for kind in set(map(type, values))):
        if max(values) >= 2**63 or min(values) < -(2**63):
            return np.array([str(value) for value in values])
        return np.array(values, np.int64)
    return np.array(values)
