"""A store that is open: its description, its blocks, and which of them are done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from deeplinear._support.checks import describe
from deeplinear._support.files import require, user_path
from deeplinear.description import Sweep
from deeplinear.grid_runs import run_in_memory
from deeplinear.machine import Machine
from deeplinear.options import STATUS
from deeplinear.regression import Regression
from deeplinear.store.blocks import Blocks, Index
from deeplinear.store.errors import StoreError
from deeplinear.wording import sweep_of

__all__ = ["CODES", "FAILED", "FORMAT", "Store", "location", "opened", "trouble"]

#: Changes when a store is laid out in another way.
FORMAT = 1
#: What ``status`` holds of a run that ended so.
CODES = {name: code for code, name in enumerate(STATUS)}
#: What ``status`` holds where a block failed, beside the core's numbers.
FAILED = len(STATUS)

_TEST = ("X_test", "y_test")


@contextmanager
def trouble(path: Any) -> Iterator[None]:
    """Turn what the system says of a store into one sentence."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError:
        raise StoreError(f"store must be there; {path} is not, or lacks a part.") from None
    except OSError as error:
        raise StoreError(f"store {path} could not be used: {error.strerror or error}.") from None


@dataclass(frozen=True)
class Store:
    """A store that is open.

    Attributes
    ----------
    path : str or store of zarr
        What it was opened by: a folder or an address.
    group : zarr.Group
        Its arrays.
    """

    path: Any
    group: Any

    @cached_property
    def words(self) -> dict[str, Any]:
        """The description in plain words."""
        words: dict[str, Any] = json.loads(self.group.attrs["description"])
        return words

    @cached_property
    def sweep(self) -> Sweep:
        """The description."""
        return sweep_of(self.words, _given(self.group))

    @cached_property
    def blocks(self) -> Blocks:
        """Its blocks."""
        sizes = {name: self.group[name].shape[0] for name in self.group.attrs["dimensions"]}
        return Blocks(sizes, tuple(self.group.attrs["block"]))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The arrays of all runs, ``status`` last."""
        return tuple(self.group.attrs["variables"])

    @property
    def folder(self) -> Path | None:
        """The folder on a disk, or None where it is an address."""
        root = getattr(self.group.store, "root", None)
        return Path(root) / self.group.path if isinstance(root, Path) else None

    def train(self, index: Index, machine: Machine) -> xr.Dataset:
        """Train the runs of a block."""
        return run_in_memory(self.sweep.part(self.blocks.places(index)), machine, False)

    def done(self) -> set[Index]:
        """List the blocks that have their mark."""
        return self.listed("status")

    def failed(self) -> dict[Index, str]:
        """Return what failed blocks said."""
        array = self.group["blocks/error"]
        return {
            index: str(array.blocks[index].item()) for index in sorted(self.listed("blocks/error"))
        }

    def listed(self, name: str) -> set[Index]:
        """List the blocks of which an array has a chunk."""
        if self.folder is not None:
            with trouble(self.path):
                names = os.listdir(self.folder / name)
        else:
            names = _list(self.group.store, f"{self.group.path}/{name}".strip("/"))
        axes = len(self.group.attrs["dimensions"])
        return {
            tuple(map(int, parts[:axes]))
            for text in names
            if text.startswith("c.") and all(map(str.isdecimal, parts := text.split(".")[1:]))
        }

    def is_done(self, index: Index) -> bool:
        """Say whether a block has its mark."""
        key = "c." + ".".join(map(str, index))
        if self.folder is not None:
            return (self.folder / "status" / key).exists()
        return _is_there(self.group.store, f"{self.group.path}/status/{key}".strip("/"))

    def shape_of(self, index: Index) -> tuple[int, ...]:
        """Return how many runs a block has along each dimension."""
        return tuple(cut.stop - cut.start for cut in self.blocks.places(index).values())

    def unmark(self, index: Index) -> None:
        """Take the mark of a block away, so that it runs again."""
        with trouble(self.path):  # a chunk of nothing but its fill is deleted
            self.group["status"].blocks[index] = np.zeros(self.shape_of(index), np.int8)


def _is_there(store: Any, key: str) -> bool:
    from zarr.core.sync import sync

    return bool(sync(store.exists(key)))


def _list(store: Any, prefix: str) -> list[str]:
    from zarr.core.sync import sync

    async def names() -> list[str]:
        return [name async for name in store.list_dir(prefix)]

    return sync(names())


def opened(path: Any, *, mode: str = "r+") -> Store:
    """Open a store.

    Raises
    ------
    StoreError
        If it is not there, is no store of a sweep, or of a later format.
    """
    require("A store", "zarr", extra="store")
    import zarr

    where = location(path)
    with trouble(str(path)):
        try:
            group = zarr.open_group(where, mode=mode)  # type: ignore[arg-type]
        except (zarr.errors.GroupNotFoundError, FileNotFoundError):
            raise StoreError(
                f"store must be that of a sweep; {path} is none, or not there."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"store must be that of a sweep; {path} is none: {error}") from None
    format_ = group.attrs.get("deeplinear_store")
    if not isinstance(format_, int):
        raise StoreError(f"store must be that of a sweep; {path} is another one.")
    if format_ > FORMAT:
        raise StoreError(
            f"store must be of format {FORMAT} or before; {path} is of format {format_}, which a "
            "later deeplinear wrote."
        )
    return Store(where if isinstance(where, str) else path, group)


def location(path: Any) -> Any:
    """Take a path, an address, or a store of zarr."""
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        return text if "://" in text else os.path.abspath(user_path("store", text))
    if isinstance(path, (bytes, int, float)) or path is None:
        raise TypeError(
            f"store must be a path, an address or a store of zarr; got {describe(path)}."
        )
    return path


def _given(group: Any) -> Regression | None:
    """Read the data of a store that has one problem."""
    if "problem" not in group:
        return None
    problem = group["problem"]
    tests = _TEST if "X_test" in problem else ()
    return Regression(*(problem[name][...] for name in ("X", "y", *tests)))
