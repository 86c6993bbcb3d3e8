"""What ``deeplinear refine`` does: levels of a store, and the phase diagram of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import xarray as xr

import deeplinear as dl
from deeplinear._support.files import writable_directory
from deeplinear.experiments import figures
from deeplinear.experiments.cli import FAILED_BLOCKS, INTERRUPTED, RESUMABLE
from deeplinear.experiments.cli.driving import Work, check_engine, store_endings, workers_by
from deeplinear.experiments.cli.endings import stop
from deeplinear.store.opened_store import FAILED, opened

__all__ = ["refine"]


def refine(
    where: str,
    by: str,
    levels: int,
    out: Path | None,
    work: Work,
    *,
    processes: int | None,
    dask: str | None,
    mpi: bool,
) -> None:
    """Finish a store and its levels, say how many points there are, and draw them."""
    with store_endings():
        check_engine(processes, dask, mpi)
        work.check()
        folder = None if out is None else writable_directory("--out", out)
        opened(where)
        workers = workers_by(processes, dask, mpi, work.machine)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # the last sentence says it
                points = dl.refine(where, by, levels, executor=workers, budget=work.seconds)
        except KeyboardInterrupt:
            stop("stopped; the same command goes on with the rest.", INTERRUPTED)
        _say_end(points)
        if folder is not None:
            with figures.style():
                files = figures.write(figures.phase_diagram(points), folder / "phase_diagram")
            print(*files, sep="\n")


def _name(level: int) -> str:
    return f"level {level}" if level else "the grid"


def _say_end(points: xr.Dataset) -> None:
    numbers, counts = np.unique(points["level"].values, return_counts=True)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        print(f"{_name(number):<9} {count:,} points")
    status = points["status"].values
    if failed := np.unique(points["level"].values[(status == FAILED).any(axis=1)]).tolist():
        stop(
            f"{(status == FAILED).sum():,} runs of {_name(failed[0])} failed; the same command "
            "tries them again.",
            FAILED_BLOCKS,
        )
    if left := int((status == 0).sum()):
        stop(
            f"the budget is over; {left:,} runs and further levels are left, and the same command "
            "goes on with them.",
            RESUMABLE,
        )
