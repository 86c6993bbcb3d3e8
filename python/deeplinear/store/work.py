"""One block of a store: trained, written, and marked last."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.padding import padded
from deeplinear.device import device_of_worker
from deeplinear.machine import ONE_THREAD, Machine
from deeplinear.store.blocks import Index
from deeplinear.store.levels import LevelPath, opened_at
from deeplinear.store.opened_store import CODES, FAILED, Store, trouble

__all__ = ["Worked", "give_up", "work", "write"]


@dataclass(frozen=True)
class Worked:
    """What became of a block: numbers alone, never arrays.

    Attributes
    ----------
    index : tuple of int
        The block.
    runs : int
        The runs that were trained; 0 where another had finished the block.
    steps : int
        The steps that they took together.
    seconds, writing : float
        The seconds in all, and those of writing among them.
    host : str
        The machine that trained them.
    """

    index: Index
    runs: int
    steps: int
    seconds: float
    writing: float
    host: str = ""


def _open(path: Any) -> Store:
    """Open a store or a level, a folder once as long as it is the same."""
    folder = path.store if isinstance(path, LevelPath) else path
    try:
        found = os.stat(os.path.join(folder, "zarr.json"))
    except (OSError, TypeError):  # an address, or not there
        return opened_at(path)
    return _opened(path, found.st_ino, found.st_mtime_ns)


@lru_cache(4)
def _opened(path: Any, number: int, written: int) -> Store:
    return opened_at(path)


def work(
    path: Any,
    index: Index,
    attempt: int = 0,
    machine: Machine = ONE_THREAD,
    again: bool = False,
) -> Worked:
    """Finish a block, unless it is finished.

    Parameters
    ----------
    path : path, address or store of zarr, or LevelPath
        The store, or a level of it.
    index : tuple of int
        The block.
    attempt : int
        How often it was tried: arguments that differ are another task to those that remember tasks.
    machine : Machine
        The threads, None for as many as there are processors, and the device.
    again : bool
        Whether to train it though it is marked, since it failed before.

    Raises
    ------
    StoreError
        If the store cannot be read or written.
    """
    start = time.perf_counter()
    store = _open(path)
    if not again and store.is_done(index):
        return Worked(index, 0, 0, 0.0, 0.0)
    dataset = store.train(index, replace(machine, device=device_of_worker(machine.device)))
    trained = time.perf_counter()
    write(store, index, dataset)
    end = time.perf_counter()
    steps = int(dataset["last_step"].sum())
    seconds, writing = end - start, end - trained
    return Worked(index, store.blocks.runs(index), steps, seconds, writing, socket.gethostname())


def write(store: Store, index: Index, dataset: xr.Dataset) -> None:
    """Write the runs of a block, and then its mark."""
    axes = len(index)
    with trouble(store.path):
        for name in store.variables:
            # Also chunks of nothing but their fill, so that a chunk that is missing is damage.
            array = store.group[name].with_config({"write_empty_chunks": True})
            values = _codes(dataset) if name == "status" else dataset[name].values
            rest = array.shape[axes:]
            own = padded(values, (*values.shape[:axes], *rest))
            array.blocks[(*index, *(0,) * len(rest))] = own
        if index in store.listed("blocks/error"):
            store.group["blocks/error"].blocks[index] = np.full((1,) * axes, "", object)


def _codes(dataset: xr.Dataset) -> npt.NDArray[np.int8]:
    names, inverse = np.unique(dataset["status"].values, return_inverse=True)
    codes = np.array([CODES[str(name)] for name in names], np.int8)
    return codes[inverse].reshape(dataset["status"].shape)


def give_up(path: Any, index: Index, error: str) -> None:
    """Mark a block as failed, and keep what it said."""
    store = opened_at(path)
    with trouble(store.path):
        cell = np.full((1,) * len(index), error, object)
        store.group["blocks/error"].blocks[index] = cell
        store.group["status"].blocks[index] = np.full(store.shape_of(index), FAILED, np.int8)
