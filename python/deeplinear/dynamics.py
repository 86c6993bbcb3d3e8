"""How the weights move: gradient descent, or gradient flow with an integrator.

A field also takes a sequence of values, which a sweep turns into a dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

from deeplinear._support.checks import (
    Counts,
    Names,
    Numbers,
    one_of,
    positive,
    positive_integer,
    scalar_or_sequence,
)

__all__ = ["METHODS", "Dynamics", "GradientDescent", "GradientFlow"]

#: The integrators of gradient flow.
METHODS = ("euler", "rk4", "dopri5")


def _method(name: str, value: object) -> str:
    return one_of(name, value, METHODS)


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent, ``W_k <- W_k - learning_rate * grad_k R``, all layers at once.

    Parameters
    ----------
    learning_rate : float or sequence of float
        The step, above zero.

    Raises
    ------
    TypeError, ValueError
        If a learning rate is not a positive finite number, or a sequence is empty.
    """

    learning_rate: Numbers

    def __post_init__(self) -> None:
        rate = scalar_or_sequence("learning_rate", self.learning_rate, positive)
        object.__setattr__(self, "learning_rate", rate)


@dataclass(frozen=True)
class GradientFlow:
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

    method: Names = "rk4"
    step: Numbers = 1e-2
    rtol: Numbers = 1e-6
    atol: Numbers = 1e-9
    max_steps: Counts = 10_000_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", scalar_or_sequence("method", self.method, _method))
        for name in ("step", "rtol", "atol"):
            value = scalar_or_sequence(name, getattr(self, name), positive)
            object.__setattr__(self, name, value)
        steps = scalar_or_sequence("max_steps", self.max_steps, positive_integer)
        object.__setattr__(self, "max_steps", steps)


Dynamics = GradientDescent | GradientFlow
