"""How the weights move: gradient descent, or gradient flow with an integrator.

A field also takes a sequence of values, which a sweep turns into a dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from deeplinear import _core
from deeplinear._support.checks import (
    LARGEST_COUNT,
    Counts,
    Names,
    Numbers,
    Truths,
    check_fields,
    describe,
    non_negative,
    one_of,
    positive,
    positive_integer,
    single,
    truth,
)

__all__ = ["METHODS", "Dynamics", "GradientDescent", "GradientFlow"]

#: The integrators of gradient flow.
METHODS = tuple(_core.methods())
LARGEST_STEPS = LARGEST_COUNT


class Dynamics(ABC):
    """How the weights move; what the core and the results need to know of it.

    Attributes
    ----------
    axis : {"step", "time"}
        What a run is measured by, and the dimension of its records.
    label : str
        What results call the method; empty where they name the integrator.
    step_field : str
        The field that holds the size of a step.
    """

    axis: ClassVar[str]
    label: ClassVar[str]
    step_field: ClassVar[str]

    @abstractmethod
    def numbers(self) -> tuple[str, dict[str, float]]:
        """Return the core's method, and the fields that hold numbers, of one run."""

    @classmethod
    @abstractmethod
    def horizon(cls, steps: object, time: object) -> float:
        """Check how long runs are, in steps or in time."""

    @abstractmethod
    def check_every(self, every: object) -> float:
        """Check what lies between two records, in steps or in time."""


def steps_between(name: str, value: object) -> int:
    """Take a number of steps between two records; beyond the longest run there are two."""
    return min(positive_integer(name, value, None), LARGEST_STEPS)


def _method(name: str, value: object) -> str:
    return one_of(name, value, METHODS)


def _below_one(name: str, value: object) -> float:
    number = non_negative(name, value)
    if number >= 1:
        raise ValueError(f"{name} must be a number from 0 to below 1; got {describe(value)}.")
    return number


@dataclass(frozen=True)
class GradientDescent(Dynamics):
    """Gradient descent, all layers at once, with momentum and weight decay where they are given.

    Plain descent is ``W_k <- W_k - learning_rate * grad_k R``. In general a step is

    - ``g = grad_k R + weight_decay * W_k``,
    - ``M_k <- momentum * M_k + g``, from ``M_k = 0``,
    - ``W_k <- W_k - learning_rate * M_k``, or with `nesterov`
      ``W_k <- W_k - learning_rate * (g + momentum * M_k)``.

    Parameters
    ----------
    learning_rate : float or sequence of float
        The step, above zero.
    momentum : float or sequence of float, default 0
        What is left of ``M_k`` from one step to the next, from 0 to below 1.
    nesterov : bool or sequence of bool, default False
        Whether a step looks ahead; only with momentum above zero.
    weight_decay : float or sequence of float, default 0
        The rate at which weights shrink, zero or above. It is no part of the risk that is recorded.

    Raises
    ------
    TypeError, ValueError
        If a field is not as above, or a sequence is empty.

    Notes
    -----
    The heavy ball is Polyak's (1964). Nesterov's method (1983) has the form of Sutskever, Martens,
    Dahl and Hinton (2013) at the shifted weights. All of it is ``torch.optim.SGD`` with dampening
    0, step by step. A quadratic is stable up to a curvature of ``(2 + 2 m) / learning_rate`` with
    the heavy ball of momentum m, and ``(2 + 2 m) / ((1 + 2 m) learning_rate)`` with Nesterov's.
    """

    axis = "step"
    label = "gradient descent"
    step_field = "learning_rate"

    learning_rate: Numbers
    momentum: Numbers = 0.0
    nesterov: Truths = False
    weight_decay: Numbers = 0.0

    def __post_init__(self) -> None:
        check_fields(
            self,
            learning_rate=positive,
            momentum=_below_one,
            nesterov=truth,
            weight_decay=non_negative,
        )
        if np.any(self.nesterov) and not np.all(self.momentum):
            raise ValueError(
                "momentum must be above zero where nesterov is True; "
                f"got {describe(self.momentum)}."
            )

    def numbers(self) -> tuple[str, dict[str, float]]:  # noqa: D102  (documented above)
        numbers = {f.name: single(f.name, getattr(self, f.name)) for f in fields(self)}
        rate = numbers.pop("learning_rate")
        if not any(numbers.values()):
            return "euler", {"learning_rate": rate}
        for name, number in numbers.items():  # files hold no truth in an attribute
            numbers[name] = int(number) if isinstance(number, bool) else number
        return "euler", {"learning_rate": rate, **numbers}

    @classmethod
    def horizon(cls, steps: object, time: object) -> float:  # noqa: D102  (documented above)
        if time is not None:
            raise ValueError(
                f"time must be None for gradient descent, which takes steps; got {describe(time)}."
            )
        return positive_integer("steps", steps, LARGEST_STEPS)

    def check_every(self, every: object) -> float:  # noqa: D102  (documented above)
        return steps_between("every", every)


@dataclass(frozen=True)
class GradientFlow(Dynamics):
    """Gradient flow, ``dW_k/dt = -grad_k R``, all layers at once.

    Parameters
    ----------
    method : {"euler", "rk4", "dopri5"} or sequence of them, default "rk4"
        The integrator: Euler's (order 1) or the classical Runge-Kutta method (order 4) with a fixed
        step, or Dormand and Prince's pair (order 5) with a step chosen from an error estimate.
    step : float or sequence of float, default 1e-2
        The step in units of time t, above zero; for "dopri5" the first step that is tried.
    rtol : float or sequence of float, default 1e-6
        Relative tolerance of a step of "dopri5", above zero; the other methods do not use it. What
        is below the rounding of the weights, 2.2e-16 or 1.2e-7 in single precision, counts as that.
    atol : float or sequence of float, default 1e-9
        Absolute tolerance of a step of "dopri5", above zero; the other methods do not use it.
    max_steps : int or sequence of int, default 10,000,000
        How many steps "dopri5" tries before a run ends as "max_steps", those that it rejects
        included; the other methods take ``time / step``. The default is far above what a flow to a
        minimizer takes, and ends a run that would go on for years: near a minimizer a step is at
        most some 3 over the sharpness, however late the time.

    Raises
    ------
    TypeError, ValueError
        If the method is unknown, a number is not positive and finite, or a sequence is empty.

    Notes
    -----
    The risk cannot rise along the flow. A step of "dopri5" after which it is twice the lowest so
    far is rejected, whatever the tolerances, and so no start is too stiff for it; below a millionth
    of the zero map's excess risk it may rise, as it does by the errors that tolerances leave, and
    wherever rounding lets no shorter step end lower. Loose tolerances so take more steps, and end
    nearer to the minimum.
    """

    axis = "time"
    label = ""
    step_field = "step"

    method: Names = "rk4"
    step: Numbers = 1e-2
    rtol: Numbers = 1e-6
    atol: Numbers = 1e-9
    max_steps: Counts = 10_000_000

    def __post_init__(self) -> None:
        check_fields(
            self,
            method=_method,
            step=positive,
            rtol=positive,
            atol=positive,
            max_steps=positive_integer,
        )

    def numbers(self) -> tuple[str, dict[str, float]]:  # noqa: D102  (documented above)
        method = single("method", self.method)
        names = ("step", "rtol", "atol", "max_steps") if method == "dopri5" else ("step",)
        return method, {name: single(name, getattr(self, name)) for name in names}

    @classmethod
    def horizon(cls, steps: object, time: object) -> float:  # noqa: D102  (documented above)
        if steps is not None:
            raise ValueError(
                f"steps must be None for gradient flow, which takes time; got {describe(steps)}."
            )
        return positive("time", time)

    def check_every(self, every: object) -> float:  # noqa: D102  (documented above)
        methods = set(self.method) if isinstance(self.method, tuple) else {self.method}
        if len(methods) > 1 and "dopri5" in methods:
            raise ValueError(
                "every must be None where method has 'dopri5' beside others, whose records are at "
                f"other times; got {describe(every)}."
            )
        return positive("every", every) if methods == {"dopri5"} else steps_between("every", every)
