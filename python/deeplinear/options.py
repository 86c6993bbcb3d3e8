"""The arguments that `simulate` and `sweep` share, checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    LARGEST_COUNT,
    describe,
    instance_of,
    non_negative,
    one_of,
    positive,
    positive_integer,
)
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.landscape import Landscape, number_of_threads

#: What can be recorded: name -> (long name, dimension beside run and step or time).
RECORDABLE: dict[str, tuple[str, str | None]] = {
    "risk": ("risk |y - X w|^2 / n", None),
    "test_risk": ("risk on the test data", None),
    "distance": ("squared distance |w - w*|^2 to the minimizer", None),
    "sharpness": ("largest eigenvalue of the Hessian", None),
    "lowest_eigenvalue": ("smallest eigenvalue of the Hessian", None),
    "layer_norm": ("spectral norm of the layer", "layer"),
    "rank_one_gap": ("second over first singular value of the layer", "layer"),
    "alignment": ("|u_k . v_{k+1}| of first singular vectors of neighbouring layers", "pair"),
    "balancedness": ("largest Frobenius norm of W_{k+1}^T W_{k+1} - W_k W_k^T over k", None),
}

#: How a run can end: status -> what it means, and what helps. In the order of the core's numbers.
STATUS: dict[str, str] = {
    "unfinished": "stopped by Ctrl-C on its way",
    "completed": "took all of its steps, or arrived at the end of time",
    "converged": "its excess risk fell to the tolerance",
    "diverged": "the risk or its gradient overflowed: take a smaller learning rate or step; of "
    "dopri5, at the start alone: take a smaller scale, or float64",
    "overflowed": "a product of the initial layers, or the risk there, is too large for the dtype: "
    "take a smaller scale",
    "underflowed": "a product of the initial layers, or the square of the targets, is too small "
    "for the dtype: take a larger scale, rescale the data, or take float64",
    "max_steps": "dopri5 tried as many steps as it may before the end of time: raise max_steps, or "
    "rtol and atol, or stop at a tolerance",
    "stiff": "no step above the rounding of the time is short enough for dopri5: lower rtol and "
    "atol, with which the steps before are shorter, or scale the data",
}

#: The status of a run by the core's number.
STATUS_NAMES = np.array(list(STATUS))

ENGINES = ("auto", "ensemble", "wide")
DTYPES = ("float64", "float32")
LARGEST_STEPS = LARGEST_COUNT


def arrived(status: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Say of every run whether it came to an end of its own, and its last record is a number."""
    return np.isin(status, ("completed", "converged"))


def endings(status: npt.NDArray[np.str_]) -> str:
    """Count the runs that diverged, and those that ended early in another way, if there are any."""
    counts = {name: int((status == name).sum()) for name in STATUS}
    others = (name for name in counts if name not in ("completed", "converged", "diverged"))
    words = [f"{counts['diverged']:,} diverged"]
    return ", ".join(words + [f"{counts[name]:,} {name}" for name in others if counts[name]])


@dataclass(frozen=True)
class Options:
    """The checked arguments that `simulate` and `sweep` share."""

    horizon: float  # steps of gradient descent, time of gradient flow
    record: tuple[str, ...]
    every: float | None
    tolerance: float
    dtype: str
    threads: int
    engine: str


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
) -> Options:
    """Check the arguments that `simulate` and `sweep` share."""
    instance_of("landscape", landscape, Landscape)
    if isinstance(dynamics, GradientDescent):
        if time is not None:
            raise ValueError(
                f"time must be None for gradient descent, which takes steps; got {describe(time)}."
            )
        horizon: float = positive_integer("steps", steps, LARGEST_STEPS)
    elif isinstance(dynamics, GradientFlow):
        if steps is not None:
            raise ValueError(
                f"steps must be None for gradient flow, which takes time; got {describe(steps)}."
            )
        horizon = positive("time", time)
    else:
        raise TypeError(
            f"dynamics must be of type GradientDescent or GradientFlow; got {describe(dynamics)}."
        )
    return Options(
        horizon=horizon,
        record=_check_record(landscape, record),
        every=None if every is None else _check_every(dynamics, every),
        tolerance=non_negative("tolerance", tolerance),
        dtype=check_dtype(dtype),
        threads=number_of_threads(threads),
        engine=_check_engine(landscape, engine),
    )


def _check_engine(landscape: Landscape, engine: object) -> str:
    name = one_of("engine", engine, ENGINES)
    if name == "wide" and landscape.samples:
        raise ValueError(
            "engine must be 'auto' or 'ensemble' where the landscape goes through the samples; "
            "got 'wide'."
        )
    return name


def _check_record(landscape: Landscape, record: object) -> tuple[str, ...]:
    takes = "record must be a sequence of names"
    if record is None:
        record = ("risk", "distance") if landscape.network.linear else ("risk",)
    if isinstance(record, str):
        record = (record,)
    if not isinstance(record, Iterable) or getattr(record, "ndim", None) == 0:
        raise TypeError(f"{takes}; got {describe(record)}.")
    names = tuple(dict.fromkeys(one_of("record", name, tuple(RECORDABLE)) for name in record))
    if "test_risk" in names and landscape.regression.X_test is None:
        raise ValueError("record must not hold 'test_risk' where the regression has no test data.")
    if "distance" in names and not landscape.network.linear:
        raise ValueError(
            "record must not hold 'distance' where the network is not linear and has no end-to-end "
            f"map; got activation {landscape.network.activation!r}."
        )
    return names


def _check_every(dynamics: Dynamics, every: object) -> float:
    method = dynamics.method if isinstance(dynamics, GradientFlow) else None
    if isinstance(method, tuple) and len(set(method)) > 1 and "dopri5" in method:
        raise ValueError(
            "every must be None where method has 'dopri5' beside others, whose records are at "
            f"other times; got {describe(every)}."
        )
    if method in ("dopri5", ("dopri5",)):
        return positive("every", every)
    return steps_between("every", every)


def steps_between(name: str, value: object) -> int:
    """Take a number of steps between two records; beyond the longest run there are two."""
    return min(positive_integer(name, value, None), LARGEST_STEPS)


def check_dtype(dtype: object) -> str:
    """Take float64 or float32, by name or as NumPy's type."""
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = dtype
    return one_of("dtype", name, DTYPES)
