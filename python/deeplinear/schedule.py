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

__all__ = ["Origin", "Schedule", "schedule"]


@dataclass(frozen=True)
class Origin:
    """Where runs go on from, which have taken steps before.

    Attributes
    ----------
    place : float
        The step or the time that they have come to.
    done : ndarray, shape (runs,)
        The steps that they have taken; unused where the method decides.
    states : list of ndarray
        What each kept beside its weights.
    shapes : dict
        Of what own functions returned before, by their names.
    """

    place: float
    done: npt.NDArray[np.int64]
    states: list[FloatArray]
    shapes: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Schedule:
    """The steps of every run, and when they are recorded.

    Attributes
    ----------
    steps : ndarray, shape (runs,)
        How many in all; 0 where the method decides.
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
def schedule(
    network: Network, settings: RunSettings, options: Options, origin: Origin | None = None
) -> Schedule:
    """Lay out the steps of runs, and refuse records that do not fit the memory."""
    step, runs, horizon, every = settings.step, settings.runs, options.horizon, options.every
    start = 0.0 if origin is None else origin.place
    done = np.zeros(runs, np.int64) if origin is None else origin.done

    def places_of(start: float, length: float) -> FloatArray:
        count = _record_count(start, length, every)
        numbers = 1.0 + runs * options.record.size(network)
        require_memory(f"{count:,} records", network, count * numbers)
        return _record_places(start, length, every, count)

    if settings.adaptive:  # which begins anew, with records at multiples from there on
        times = places_of(0.0, horizon)
        return Schedule(np.zeros(runs, np.int64), step, start + times, _between(times, every))
    if settings.counts_steps:
        places = places_of(start, horizon).astype(np.int64)
        return Schedule(done + int(horizon), step, places, _between(places, every))
    ratio = horizon / step
    if ratio.max() > LARGEST_COUNT:
        raise ValueError(f"step must be at least time / 2^53; got {step.min()} for time {horizon}.")
    counts = _count(ratio)
    # A last step that is shorter by rounding alone is a whole one.
    exact = np.abs(ratio - counts) <= 1e-9 * ratio
    last = np.where(exact, step, horizon - (counts - 1) * step)
    if every is not None and len(np.unique(step)) > 1:
        raise ValueError("every must be None where the runs have different steps; got a number.")
    whole = places_of(float(done[0]), float(counts[0]))
    shift = start - done[0] * step[0]  # by what steps before were shorter, but for rounding
    times = whole * step[0] + (shift if abs(shift) > 1e-9 * start else 0.0)
    times[0], times[-1] = start, start + horizon
    return Schedule(done + counts, last, times, _between(times, every))


def _between(places: npt.NDArray[Any], every: float | None) -> float:
    return 0.0 if every is None or len(places) == 2 else float(every)


def _count(ratio: FloatArray) -> npt.NDArray[np.int64]:
    """Round up to whole numbers, at least 1, but for what is above one by rounding alone."""
    whole = np.rint(ratio)
    count = np.where(np.abs(ratio - whole) <= 1e-9 * ratio, whole, np.ceil(ratio))
    return np.maximum(count, 1).astype(np.int64)


def _record_count(start: float, length: float, every: float | None) -> int:
    if every is None or every >= start + length:
        return 2
    if all(float(number).is_integer() for number in (start, length, every)):
        end = int(start) + int(length)
        return -(-end // int(every)) - int(start) // int(every) + 1
    ratio = min(length / every, 1e300)  # what starts elsewhere has whole numbers
    return int(_count(np.array([ratio]))[0] if ratio < LARGEST_COUNT else ratio) + 1


def _record_places(start: float, length: float, every: float | None, count: int) -> FloatArray:
    """Return the start, the multiples of `every` after it, and the end."""
    places = np.arange(count, dtype=np.float64) * (every or length)
    if every is not None:
        places += every * (start // every)
    places[0], places[-1] = start, start + length
    return places
