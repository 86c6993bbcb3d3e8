"""The arguments that `simulate` and `sweep` share, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplinear import _core
from deeplinear._support.checks import describe, instance_of, non_negative, one_of, truth
from deeplinear.device import check_device
from deeplinear.dynamics import Dynamics, steps_between
from deeplinear.landscape import Landscape, number_of_threads
from deeplinear.records import RECORDABLE, Recording, check_record

__all__ = [
    "DTYPES",
    "ENGINES",
    "RECORDABLE",
    "STATUS",
    "STATUS_NAMES",
    "Options",
    "check_dtype",
    "check_options",
    "steps_between",
]

#: How a run can end: status -> what it means, and what helps. In the order of the core's numbers.
STATUS: dict[str, str] = _core.statuses()

#: The status of a run by the core's number.
STATUS_NAMES = np.array(list(STATUS))

ENGINES = ("auto", *sorted(_core.engines()))
DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Options:
    """The checked arguments that `simulate` and `sweep` share."""

    horizon: float  # steps of gradient descent, time of gradient flow
    record: Recording
    every: float | None
    tolerance: float
    dtype: str
    threads: int
    engine: str
    keep_state: bool | None = None  # None: where it is small
    device_table: Any = None  # the core's handle; None: the processor


def check_options(
    landscape: Landscape,
    dynamics: Dynamics,
    *,
    steps: object,
    time: object,
    record: object,
    every: object,
    tolerance: object,
    dtype: object,
    threads: object,
    engine: object,
    keep_state: object = None,
    device: object = "cpu",
) -> Options:
    """Check the arguments that `simulate` and `sweep` share."""
    instance_of("landscape", landscape, Landscape)
    if not isinstance(dynamics, Dynamics):
        raise TypeError(
            f"dynamics must be of type GradientDescent or GradientFlow; got {describe(dynamics)}."
        )
    table = check_device(device)
    return Options(
        horizon=dynamics.horizon(steps, time),
        record=check_record(landscape, record),
        every=None if every is None else dynamics.check_every(every),
        tolerance=non_negative("tolerance", tolerance),
        dtype=check_dtype(dtype),
        threads=number_of_threads(threads),
        engine=_check_engine(landscape, engine) if table is None else _on_device(landscape, engine),
        keep_state=None if keep_state is None else truth("keep_state", keep_state),
        device_table=table,
    )


def _check_engine(landscape: Landscape, engine: object) -> str:
    name = one_of("engine", engine, ENGINES)
    if name == "auto":
        return name
    if reason := _core.engine_lacks(landscape._problem, name):
        can = [one for one in ENGINES[1:] if _core.engine_lacks(landscape._problem, one) is None]
        choices = " or ".join(map(repr, ("auto", *can)))
        raise ValueError(f"engine must be {choices} where {reason}; got {name!r}.")
    return name


def _on_device(landscape: Landscape, engine: object) -> str:
    """Check the engine of runs on a device, which has a thread for each."""
    name = one_of("engine", engine, ENGINES)
    if name not in ("auto", "ensemble"):
        raise ValueError(f"engine must be 'auto' or 'ensemble' on this device; got {name!r}.")
    large = not landscape.samples and _core.preferred_engine(landscape._problem) == "wide"
    if name == "auto" and large:
        raise ValueError(
            "device must be 'cpu' for a network so large, unless engine is 'ensemble', which takes "
            "one thread of the device for each run."
        )
    return "ensemble"


def check_dtype(dtype: object) -> str:
    """Take float64 or float32, by name or as NumPy's type."""
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = dtype
    return one_of("dtype", name, DTYPES)
