"""The steps of every run, and when they are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import LARGEST_COUNT, FloatArray
from deeplinear._support.memory import require_memory
from deeplinear.network import Network
from deeplinear.options import Options
from deeplinear.run_settings import RunSettings

__all__ = ["Schedule", "schedule"]


@dataclass(frozen=True)
class Schedule:
    """The steps of every run, and when they are recorded.

    Attributes
    ----------
    steps : ndarray, shape (runs,)
        How many; 0 where the method decides.
    last_step : ndarray, shape (runs,)
        The size of the last one.
    coordinate : ndarray, shape (records,)
        The steps, or the times, of the records.
    every : float
        Steps, or the time, between two records; 0 where only start and end are recorded.
    """

    steps: npt.NDArray[np.int64]
    last_step: FloatArray
    coordinate: npt.NDArray[Any]
    every: float


@np.errstate(over="ignore", under="ignore")
def schedule(network: Network, settings: RunSettings, options: Options) -> Schedule:
    """Lay out the steps of runs, and refuse records that do not fit the memory."""
    step, runs, horizon, every = settings.step, settings.runs, options.horizon, options.every

    def places_of(end: float) -> FloatArray:
        count = _record_count(end, every)
        numbers = 1.0 + runs * options.record.size(network)
        require_memory(f"{count:,} records", network, count * numbers)
        return _record_places(end, every, count)

    if settings.adaptive:
        times = places_of(horizon)
        return Schedule(np.zeros(runs, np.int64), step, times, _between(times, every))
    if settings.counts_steps:
        places = places_of(horizon).astype(np.int64)
        steps = np.full(runs, int(horizon), np.int64)
        return Schedule(steps, step, places, _between(places, every))
    ratio = horizon / step
    if ratio.max() > LARGEST_COUNT:
        raise ValueError(f"step must be at least time / 2^53; got {step.min()} for time {horizon}.")
    counts = _count(ratio)
    # A last step that is shorter by rounding alone is a whole one.
    exact = np.abs(ratio - counts) <= 1e-9 * ratio
    last = np.where(exact, step, horizon - (counts - 1) * step)
    if every is not None and len(np.unique(step)) > 1:
        raise ValueError("every must be None where the runs have different steps; got a number.")
    whole = places_of(int(counts[0]))
    times = whole * step[0]
    times[-1] = horizon
    return Schedule(counts, last, times, _between(times, every))


def _between(places: npt.NDArray[Any], every: float | None) -> float:
    return 0.0 if every is None or len(places) == 2 else float(every)


def _count(ratio: FloatArray) -> npt.NDArray[np.int64]:
    """Round up to whole numbers, at least 1, but for what is above one by rounding alone."""
    whole = np.rint(ratio)
    count = np.where(np.abs(ratio - whole) <= 1e-9 * ratio, whole, np.ceil(ratio))
    return np.maximum(count, 1).astype(np.int64)


def _record_count(end: float, every: float | None) -> int:
    if every is None or every >= end:
        return 2
    if float(end).is_integer() and float(every).is_integer():
        return -(-int(end) // int(every)) + 1
    ratio = min(end / every, 1e300)
    return int(_count(np.array([ratio]))[0] if ratio < LARGEST_COUNT else ratio) + 1


def _record_places(end: float, every: float | None, count: int) -> FloatArray:
    """0, every, 2 every, ... and the end."""
    places = np.arange(count, dtype=np.float64) * (every or end)
    places[-1] = end
    return places
