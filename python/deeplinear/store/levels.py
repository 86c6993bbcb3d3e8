"""The levels of a refinement: points along one dimension, each level a group of the store.

A level is a store of its own to those who work: blocks of points and seeds, whose chunk of
``status`` marks them. It never changes once it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear.description import Sweep
from deeplinear.landscapes import Landscapes
from deeplinear.machine import Machine
from deeplinear.runs import sweep_runs
from deeplinear.seeds import labels
from deeplinear.store.blocks import MOST_BLOCKS, Blocks, Index, rectangle
from deeplinear.store.errors import StoreError
from deeplinear.store.layout import (
    add_array,
    add_errors,
    add_values,
    consolidate,
    make_folder,
    versions,
)
from deeplinear.store.opened_store import Store, opened, trouble
from deeplinear.wording import canonical, differences

__all__ = ["Level", "LevelPath", "Points", "create_level", "level_of", "levels_of", "opened_at"]


@dataclass(frozen=True)
class LevelPath:
    """Where a level is: a store, and the number of the level."""

    store: Any
    number: int

    @property
    def group(self) -> str:
        """The name of its group."""
        return f"level_{self.number}"

    def __str__(self) -> str:
        return f"{self.store}, {self.group}"


@dataclass(frozen=True)
class Points:
    """What a level is to be.

    Attributes
    ----------
    words : mapping
        What it follows from, in plain words.
    columns : mapping of str to list
        The values of every point, by dimension.
    first : int
        How many points the levels before have.
    """

    words: Mapping[str, Any]
    columns: Mapping[str, Sequence[Any]]
    first: int

    @property
    def count(self) -> int:
        """The number of points."""
        return len(next(iter(self.columns.values())))

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the words and the points; numbers are written to their last bit."""
        digest = hashlib.sha256(canonical(self.words).encode())
        for name, values in self.columns.items():
            digest.update(f"\n{name}:".encode())
            digest.update(" ".join(map(_exact, values)).encode())
        return digest.hexdigest()


def _exact(value: Any) -> str:
    return value.hex() if isinstance(value, float) else repr(value)


@dataclass(frozen=True)
class Level(Store):
    """A level that is open.

    Attributes
    ----------
    grid : Store
        The store that it refines.
    """

    grid: Store

    @property
    def sweep(self) -> Sweep:
        """The description of the grid."""
        return self.grid.sweep

    @property
    def dimensions(self) -> list[str]:
        """The dimensions of the grid that its points have values of."""
        return [name for name in self.sweep.axes if name != "seed"]

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The values of every point, by dimension."""
        return {name: self.group[name][...].tolist() for name in self.dimensions}

    def train(self, index: Index, machine: Machine) -> xr.Dataset:
        """Train the runs of a block, those of one landscape together."""
        cut = self.blocks.places(index)
        seeds = list(self.sweep.axes["seed"][cut["seed"]])
        points = {name: values[cut["point"]] for name, values in self.columns.items()}
        count = cut["point"].stop - cut["point"].start
        arrays = {
            name: np.full(
                (count, len(seeds), *self.group[name].shape[2:]),
                "" if name == "status" else self.group[name].fill_value,
                "U32" if name == "status" else self.group[name].dtype,
            )
            for name in self.variables
        }
        of_landscape: dict[tuple[Any, ...], list[int]] = {}
        outer = self.sweep.outer
        for i in range(count):
            of_landscape.setdefault(tuple(points[name][i] for name in outer), []).append(i)
        for values, rows in of_landscape.items():
            inner = {
                name: [points[name][i] for i in rows for _ in seeds]
                for name in self.dimensions
                if name not in outer
            }
            runs = inner | {"seed": seeds * len(rows)}
            part = self._trained(dict(zip(outer, values, strict=True)), runs, machine)
            for name, whole in arrays.items():
                own = part[name].values
                own = own.reshape((len(rows), len(seeds), *own.shape[1:]))
                place: Any = (rows, slice(None), *map(slice, own.shape[2:]))
                whole[place] = own
        return xr.Dataset({name: _named(name, values) for name, values in arrays.items()})

    def _trained(
        self, values: Mapping[str, Any], runs: Mapping[str, Sequence[Any]], machine: Machine
    ) -> xr.Dataset:
        sweep = self.sweep
        family = sweep.landscape
        return sweep_runs(
            family.at(**values) if isinstance(family, Landscapes) else family,
            sweep.init,
            sweep.dynamics,
            runs=runs,
            threads=machine.threads,
            device=machine.device,
            progress=False,
            **sweep.arguments,
        )


def _named(name: str, values: npt.NDArray[Any]) -> tuple[list[str], npt.NDArray[Any]]:
    """Give an array dimensions that are no other array's."""
    return ["point", "seed", *(f"{name}_{k}" for k in range(2, values.ndim))], values


def opened_at(path: Any) -> Store:
    """Open a store, or a level of one."""
    if not isinstance(path, LevelPath):
        return opened(path)
    level = level_of(opened(path.store), path.number)
    if level is None:
        raise StoreError(f"store must have the level; {path} is not there.")
    return level


def level_of(grid: Store, number: int) -> Level | None:
    """Open a level; None where it is not there, or was not made to its end."""
    import zarr

    path = LevelPath(grid.path, number)
    where = f"{grid.group.path}/{path.group}".strip("/")
    mode: Any = "r" if grid.group.read_only else "r+"
    with trouble(path):
        try:
            group = zarr.open_group(grid.group.store, path=where, mode=mode, use_consolidated=False)
        except (zarr.errors.GroupNotFoundError, FileNotFoundError):
            return None
    return Level(path, group, grid) if "sha256" in group.attrs else None


def levels_of(grid: Store) -> list[Level]:
    """Open the levels that are there."""
    found: list[Level] = []
    while (level := level_of(grid, len(found) + 1)) is not None:
        found.append(level)
    return found


def create_level(grid: Store, number: int, points: Points) -> Level:
    """Make a level, or open it where it is there.

    Raises
    ------
    ValueError
        If it is there with other points, or by another rule.
    """
    path = LevelPath(grid.path, number)
    if level_of(grid, number) is None:
        _create(grid, path, points)
    level = level_of(grid, number)
    if level is None:
        raise StoreError(f"store must keep the level; {path} is not there.")
    if differ := differences(level.words, points.words):
        name = differ[0]
        raise ValueError(
            f"{name} must be {level.words.get(name)!r}, by which {path} was made; "
            f"got {points.words.get(name)!r}."
        )
    if level.group.attrs["sha256"] != points.sha256:
        raise ValueError(
            f"store must be as it was when its level was made; {path} has other points than follow "
            "now from those before."
        )
    if path.group not in _consolidated(grid):
        with trouble(path):
            consolidate(grid.group)
    return level


def _consolidated(grid: Store) -> set[str]:
    """Return the names that the metadata of a store list."""
    import zarr

    group = zarr.open_group(grid.group.store, path=grid.group.path, mode="r")
    metadata = group.metadata.consolidated_metadata
    return set() if metadata is None else set(metadata.metadata)


def _create(grid: Store, path: LevelPath, points: Points) -> None:
    folder = grid.folder

    def fill(where: Any) -> None:
        import zarr

        _fill(grid, zarr.create_group(where), points)

    if folder is not None:
        make_folder(folder / path.group, folder, fill)
        return
    with trouble(path):  # the attributes, written last, say that it is whole
        _fill(grid, grid.group.create_group(path.group, overwrite=True), points)


def _fill(grid: Store, group: Any, points: Points) -> None:
    seeds = grid.blocks.sizes["seed"]
    sizes = {"point": points.count, "seed": seeds}
    runs = max(grid.group.attrs["runs_of_block"], ceil(prod(sizes.values()) / MOST_BLOCKS))
    blocks = Blocks(sizes, rectangle(tuple(sizes.values()), runs))
    axes = len(grid.blocks.sizes)
    shared = {"seed": grid.sweep.axes["seed"]}
    for name in grid.variables:
        array = grid.group[name]
        dims, rest = array.metadata.dimension_names[axes:], array.shape[axes:]
        add_array(
            group,
            name,
            ("point", "seed", *dims),
            (*blocks.shape, *array.chunks[axes:]),
            shape=(*sizes.values(), *rest),
            dtype=array.dtype,
            fill_value=array.fill_value,
            attributes=array.attrs.asdict(),
        )
        shared |= {dim: grid.group[dim][...] for dim in dims if dim in grid.group}
    for name, values in shared.items():
        add_values(group, name, (name,), labels(values) if name == "seed" else values)
    add_values(group, "point", ("point",), np.arange(points.first, points.first + points.count))
    for name, column in points.columns.items():
        add_values(group, name, ("point",), labels(column))
    add_errors(group, blocks)
    group.attrs.update(
        {
            "coordinates": " ".join(points.columns),  # by which xarray knows them
            "description": canonical(points.words),
            "sha256": points.sha256,
            "dimensions": list(sizes),
            "variables": list(grid.variables),
            "block": list(blocks.shape),
            **versions(),
        }
    )
    consolidate(group)
