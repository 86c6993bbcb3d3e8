"""A sweep in a store, from its description to the open dataset."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import xarray as xr

from deeplinear._support.checks import describe, positive
from deeplinear._support.progress import Update, progress_bar
from deeplinear._support.signals import terminated_as_interrupted
from deeplinear.description import Sweep
from deeplinear.machine import Machine
from deeplinear.store.drive import Progress, drive
from deeplinear.store.executors import Workers, workers_of
from deeplinear.store.layout import create

__all__ = ["open_dataset", "run_in_store", "seconds_of_budget", "warn_of_failures", "working"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of_budget(budget: object) -> float | None:
    """Take seconds, or a text such as "3h", "90m" or "45s"."""
    if budget is None:
        return None
    if isinstance(budget, str):
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd])", budget.strip())
        if not found:
            raise ValueError(
                "budget must be seconds, or a text such as '3h', '90m' or '45s'; "
                f"got {describe(budget)}."
            )
        return positive("budget", float(found[1])) * _UNITS[found[2]]
    return positive("budget", budget)


def run_in_store(
    sweep: Sweep,
    path: Any,
    executor: Any,
    budget: object,
    machine: Machine,
    progress: bool | Update,
) -> xr.Dataset:
    """Finish what is left of a sweep in a store; as `deeplinear.sweep`."""
    seconds = seconds_of_budget(budget)
    with working(executor, machine, progress, f"{sweep.runs} runs") as (workers, update):
        store = create(path, sweep)
        ended = drive(store, workers, budget=seconds, report=lambda x: update(x.done / x.blocks))
    warn_of_failures(ended, stacklevel=5)
    return open_dataset(store.path)


@contextmanager
def working(
    executor: Any, machine: Machine, progress: bool | Update, text: str
) -> Iterator[tuple[Workers, Update]]:
    """Have workers and a bar, and SIGTERM stop as Ctrl-C does, while the block runs."""
    workers = workers_of(executor, machine)
    try:
        with progress_bar(progress, text) as update, terminated_as_interrupted():
            yield workers, update
    except KeyboardInterrupt:  # not that of a block, whose runs are no result
        raise KeyboardInterrupt("stopped; the same call goes on with what is left") from None
    finally:
        workers.close()


def warn_of_failures(ended: Progress, stacklevel: int) -> None:
    """Warn of blocks that failed, if there are any."""
    if ended.failed:
        index, text = next(iter(ended.failed.items()))
        warnings.warn(
            f"{len(ended.failed)} of {ended.blocks} blocks failed; the first, {index}: {text}",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def open_dataset(path: Any) -> xr.Dataset:
    """Open a store as a dataset, whose variables are read when they are asked for."""
    dataset: xr.Dataset = xr.open_zarr(path, chunks=None)
    return dataset
