"""The cells of a grid, halved where their points differ: geometry alone, no store and no runs.

A position is a number for each dimension: nodes of the grid are `UNIT` apart, and what lies half
between two positions is half between their numbers. So points are told apart by integers, and
their values follow from their positions alone, whichever way led there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_LEVELS", "Axis", "Halving", "Position"]

#: How often a cell of the grid can be halved.
MOST_LEVELS = 30
UNIT = 2**MOST_LEVELS

Position = tuple[int, ...]
#: The corner of least numbers, and the length of the sides.
Cell = tuple[Position, int]


class Axis:
    """A dimension of the grid.

    Fractional numbers are halved; integers, truths and texts, and a single value, are kept.

    Parameters
    ----------
    name : str
        The dimension.
    values : sequence
        Its values in the grid, in any order.
    """

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        self.halved = len(values) > 1 and all(isinstance(value, float) for value in values)
        #: Where the nodes are among the values.
        self.order = list(range(len(values)))
        if self.halved:
            self.order.sort(key=values.__getitem__)
        self._nodes = [values[i] for i in self.order]
        self.geometric = self.halved and _geometric(self._nodes)
        self._between: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def value(self, position: int) -> Any:
        """Return the value at a position."""
        if position % UNIT == 0:
            return self._nodes[position // UNIT]
        if position not in self._between:
            half = position & -position
            low, high = self.value(position - half), self.value(position + half)
            middle = sqrt(low * high) if self.geometric else (low + high) / 2
            if not low < middle < high:
                raise ValueError(
                    f"levels must be fewer: no number lies half between {low!r} and {high!r} of "
                    f"{self.name}."
                )
            self._between[position] = middle
        return self._between[position]


def _geometric(nodes: Sequence[float]) -> bool:
    """Say whether ratios of neighbours, all above zero, vary less than their differences."""
    if nodes[0] <= 0:
        return False
    pairs = list(pairwise(nodes))
    ratios, steps = [b / a for a, b in pairs], [b - a for a, b in pairs]
    return max(ratios) / min(ratios) < max(steps) / min(steps)


class Halving:
    """The cells that are not halved yet, and what is known of the points on them.

    Parameters
    ----------
    axes : sequence of Axis
        The dimensions.
    counts : array of integers
        A number of every node of the grid, by the order of the nodes.
    most : float
        By how much the numbers of the points on a cell may differ before it is halved.
    """

    def __init__(
        self, axes: Sequence[Axis], counts: npt.NDArray[np.integer[Any]], most: float
    ) -> None:
        self._axes, self._grid, self._most = axes, counts, most
        self._known: dict[Position, int] = {}
        self._halved: set[Position] = set()
        self._smallest = UNIT
        # Cells of the grid whose corners agree, and on which nothing else is known, are left out.
        self._points: dict[Cell, set[Position]] = {}
        low = high = counts
        for k, axis in enumerate(axes):
            if axis.halved:
                first, last = np.arange(len(axis) - 1), np.arange(1, len(axis))
                low = np.minimum(low.take(first, k), low.take(last, k))
                high = np.maximum(high.take(first, k), high.take(last, k))
        for place in np.argwhere(high - low > most).tolist():
            cell = tuple(UNIT * i for i in place), UNIT
            self._points[cell] = set(self._corners(cell))

    def halve(self) -> list[Position]:
        """Halve the cells whose points differ; the points that are needed, sorted."""
        new: set[Position] = set()
        for cell in [cell for cell, points in self._points.items() if self._differ(points)]:
            corner, size = cell
            points = self._points.pop(cell)
            half = size // 2
            self._smallest = min(self._smallest, half)
            if size == UNIT:
                self._halved.add(corner)
            for low in self._box(corner, (0, half)):
                child = low, half
                self._points[child] = {point for point in points if self._lies_on(point, child)}
                new.update(self._corners(child))
        return sorted(point for point in new if self._unknown(point))

    def learn(self, points: Sequence[Position], counts: Sequence[int]) -> None:
        """Take the numbers of the points."""
        self._known.update(zip(points, counts, strict=True))
        for point in points:
            size = UNIT
            while size >= self._smallest:
                for low in self._around(point, size):
                    cell = low, size
                    if cell not in self._points and size == UNIT and low not in self._halved:
                        self._points[cell] = set(self._corners(cell))
                    if cell in self._points:
                        self._points[cell].add(point)
                size //= 2

    def _unknown(self, point: Position) -> bool:
        return point not in self._known and any(x % UNIT for x in point)

    def _count(self, point: Position) -> int:
        found = self._known.get(point)
        return int(self._grid[tuple(x // UNIT for x in point)]) if found is None else found

    def _differ(self, points: set[Position]) -> bool:
        counts = [self._count(point) for point in points]
        return max(counts) - min(counts) > self._most

    def _box(self, corner: Position, moves: tuple[int, ...]) -> Iterator[Position]:
        """Move a position along the halved dimensions, in all combinations."""
        ways = (
            [x + move for move in moves] if axis.halved else [x]
            for x, axis in zip(corner, self._axes, strict=True)
        )
        return product(*ways)

    def _corners(self, cell: Cell) -> Iterator[Position]:
        corner, size = cell
        return self._box(corner, (0, size))

    def _lies_on(self, point: Position, cell: Cell) -> bool:
        """Say whether a point lies in a cell or on its side; kept dimensions are the same."""
        corner, size = cell
        return all(low <= x <= low + size for x, low in zip(point, corner, strict=True))

    def _around(self, point: Position, size: int) -> Iterator[Position]:
        """Return the corners of the cells of a size on which a point lies."""
        ways = []
        for x, axis in zip(point, self._axes, strict=True):
            low = x - x % size
            lows = [x] if not axis.halved else [low] if x % size else [low - size, low]
            end = UNIT * (len(axis) - 1)
            ways.append([y for y in lows if not axis.halved or 0 <= y < end])
        return product(*ways)
