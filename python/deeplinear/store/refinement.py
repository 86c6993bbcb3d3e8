"""Grids of points that are refined where something changes, level by level."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import describe, one_of, positive_integer
from deeplinear._support.memory import require_free
from deeplinear._support.progress import Update
from deeplinear.machine import Machine
from deeplinear.options import STATUS
from deeplinear.seeds import labels
from deeplinear.store.drive import drive
from deeplinear.store.executors import Workers
from deeplinear.store.halving import MOST_LEVELS, Axis, Halving, Position
from deeplinear.store.layout import NUMERICS
from deeplinear.store.levels import Level, Points, create_level, levels_of
from deeplinear.store.opened_store import CODES, Store, opened
from deeplinear.store.run import open_dataset, seconds_of_budget, warn_of_failures, working

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["open_tree", "run_refinement"]

#: By how much the shares of the seeds at points of a cell differ, before it is halved.
_DIFFER = 0.05
_ENDINGS = tuple(name for name in STATUS if name != "unfinished")
#: What counts as an ending beside the status of that name: the risk left the range at the start.
_ALSO = {"diverged": ("overflowed",)}
_CONDITION = re.compile(r"\s*(\w+)\s*([<>])\s*([-+.\w]+)\s*")


@dataclass(frozen=True)
class _Criterion:
    """Which runs are counted: by how they end, or by a record at the end."""

    by: str
    codes: tuple[int, ...] = ()
    variable: str = ""
    above: bool = True
    threshold: float = math.nan

    @classmethod
    def of(cls, by: object, grid: Store) -> _Criterion:
        if not isinstance(by, str) or not (found := _CONDITION.fullmatch(by)):
            name = one_of("by", by, _ENDINGS)
            return cls(name, tuple(CODES[status] for status in (name, *_ALSO.get(name, ()))))
        recorded = [  # one number at every step
            name
            for name in grid.variables
            if grid.group[name].metadata.dimension_names[-1] in ("step", "time")
        ]
        variable = one_of("by, before < or >,", found[1], recorded)
        try:
            threshold = float(found[3])
        except ValueError:
            threshold = math.nan
        if not math.isfinite(threshold):
            raise ValueError(f"by must have a number after < or >; got {describe(by)}.")
        text = f"{variable} {found[2]} {threshold!r}"
        return cls(text, (), variable, found[2] == ">", threshold)

    @property
    def words(self) -> str:
        """What a share is of."""
        if not self.codes:
            return f"share of seeds with {self.by} at the end"
        ended = "that diverged" if self.by == "diverged" else f"whose status is {self.by}"
        return f"share of seeds {ended}"

    def counts(self, store: Store) -> npt.NDArray[np.int64]:
        """Count the seeds at every point, in parts of the blocks' length."""
        status = store.group["status"]
        counts = np.empty(status.shape[:-1], np.int64)
        for part in _parts(store):
            if self.codes:
                holds = np.isin(status[part], self.codes)
            else:
                values = store.group[self.variable][part, ..., -1]
                holds = values > self.threshold if self.above else values < self.threshold
            counts[part] = holds.sum(axis=-1)
        return counts


def _parts(store: Store) -> Iterator[slice]:
    length, step = next(iter(store.blocks.sizes.values())), store.blocks.shape[0]
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


class _Refinement:
    """The levels of a store, one after another, each from what is finished before it."""

    def __init__(self, grid: Store, criterion: _Criterion, levels: int) -> None:
        if (numerics := grid.group.attrs["numerics"]) != NUMERICS:
            raise ValueError(
                f"store must be of numerics {NUMERICS}, as this deeplinear has them; {grid.path} "
                f"is of {numerics}, whose runs have other bits."
            )
        self.grid, self.criterion, self.levels = grid, criterion, levels
        self.axes = [Axis(n, values) for n, values in grid.sweep.axes.items() if n != "seed"]
        if not any(axis.halved for axis in self.axes):
            raise ValueError(
                "store must have a dimension of two or more fractional numbers, which can be "
                f"halved; {grid.path} has {', '.join(grid.blocks.sizes)}."
            )
        #: The stores that are there: the grid, and its levels.
        self.stores: list[Store] = [grid]
        self._require_memory()

    def steps(self) -> Iterator[Store]:
        """Make one level after another; the next is asked for when the last is finished."""
        yield self.grid
        counts = self.criterion.counts(self.grid)
        for k, axis in enumerate(self.axes):
            counts = counts.take(axis.order, k)
        first = counts.size
        halving = Halving(self.axes, counts, _DIFFER * self.grid.blocks.sizes["seed"])
        for number in range(1, self.levels + 1):
            positions = halving.halve()
            if not positions:
                return
            level = create_level(self.grid, number, self._points(number, positions, first))
            self.stores.append(level)
            yield level
            halving.learn(positions, self.criterion.counts(level).tolist())
            first += len(positions)

    def _points(self, number: int, positions: Sequence[Position], first: int) -> Points:
        columns = {
            axis.name: [axis.value(position[k]) for position in positions]
            for k, axis in enumerate(self.axes)
        }
        words = {
            "by": self.criterion.by,
            "level": number,
            "differ": _DIFFER,
            "numerics": NUMERICS,
            "sweep": self.grid.group.attrs["sha256"],
        }
        return Points(words, columns, first)

    def table(self) -> xr.Dataset:
        """Put all points along one dimension."""
        self._require_memory()
        tables = [self._table(store, number) for number, store in enumerate(self.stores)]
        whole = xr.concat(tables, "point", data_vars="all", coords="minimal", compat="override")
        attrs = self.grid.group.attrs.asdict()
        for name in ("deeplinear_store", "dimensions", "variables", "block", "runs_of_block"):
            attrs.pop(name)
        halved = [axis.name for axis in self.axes if axis.halved]
        own = {"by": self.criterion.by, "levels": len(self.stores) - 1, "halved": halved}
        return whole.assign_attrs({**attrs, **own})

    def _require_memory(self) -> None:
        """Refuse a table that does not fit, before any work and after it."""
        arrays = [store.group[name] for store in self.stores for name in store.variables]
        numbers = sum(array.nbytes for array in arrays)
        what = "the grid" + (f" and {len(self.stores) - 1} levels" if self.stores[1:] else "")
        require_free("store must fit the memory as one table", what, numbers, 1)

    def _table(self, store: Store, level: int) -> xr.Dataset:
        group = store.group
        before = len(store.blocks.sizes) - 1
        count = math.prod(group["status"].shape[:before])
        data: dict[str, Any] = {}
        coords: dict[str, Any] = {"level": ("point", np.full(count, level), {})}
        for name in store.variables:
            array = group[name]
            dims = ("point", *array.metadata.dimension_names[before:])
            values = array[...].reshape((count, *array.shape[before:]))
            data[name] = (dims, values, array.attrs.asdict())
            shared = [dim for dim in dims[1:] if dim in group]
            coords |= {dim: (dim, group[dim][...]) for dim in shared}
        coords["seed"] = ("seed", labels(self.grid.sweep.axes["seed"]))
        for axis, values in zip(self.axes, self._values(store), strict=True):
            scale = {"spacing": "geometric" if axis.geometric else "arithmetic"}
            coords[axis.name] = ("point", labels(values), scale if axis.halved else {})
        share = self.criterion.counts(store).reshape(count) / group["status"].shape[-1]
        share[(data["status"][1] == 0).any(axis=-1)] = np.nan
        data["share"] = ("point", share, {"long_name": self.criterion.words})
        return xr.Dataset(data, coords)

    def _values(self, store: Store) -> list[Sequence[Any]]:
        """Return the values of every point, by axis."""
        if isinstance(store, Level):
            return [store.columns[axis.name] for axis in self.axes]
        own = [self.grid.sweep.axes[axis.name] for axis in self.axes]
        indices = np.indices([len(values) for values in own]).reshape(len(own), -1)
        return [[values[i] for i in row] for values, row in zip(own, indices.tolist(), strict=True)]


def run_refinement(
    path: Any,
    by: str,
    levels: int,
    executor: Any,
    budget: float | str | None,
    machine: Machine,
    progress: bool | Update,
) -> xr.Dataset:
    """Finish a store and its levels; as `deeplinear.refine`."""
    seconds = seconds_of_budget(budget)
    number = positive_integer("levels", levels, MOST_LEVELS)
    grid = opened(path)
    refinement = _Refinement(grid, _Criterion.of(by, grid), number)
    with working(executor, machine, progress, f"{number} levels") as (workers, update):
        _finish(refinement, workers, seconds, update)
    return refinement.table()


def _finish(
    refinement: _Refinement, workers: Workers, seconds: float | None, update: Update
) -> None:
    """Finish one level after another, until all are, or time is up, or blocks of one failed."""
    end = None if seconds is None else time.monotonic() + seconds
    stages = refinement.levels + 1
    for stage, store in enumerate(refinement.steps()):
        left = None if end is None else max(end - time.monotonic(), 0.0)
        ended = drive(
            store,
            workers,
            budget=left,
            report=lambda x, stage=stage: update((stage + x.done / x.blocks) / stages),  # type: ignore[misc]
        )
        if not ended.complete:
            warn_of_failures(ended, stacklevel=5)
            return
    update(1.0)


def open_tree(path: Any) -> DataTree:
    """Open a store and its levels; as `deeplinear.open_tree`."""
    try:
        from xarray import DataTree
    except ImportError:
        raise ImportError(
            f"A tree needs xarray 2024.10 or later; {xr.__version__} is installed."
        ) from None

    grid = opened(path, mode="r")
    parts = {"grid": open_dataset(grid.path)}
    for name in [level.path.group for level in levels_of(grid)]:
        parts[name] = xr.open_zarr(grid.path, group=name, chunks=None)
    return DataTree.from_dict(parts)
