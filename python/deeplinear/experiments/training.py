"""How an experiment trains: a part of it, with one kind of dynamics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from deeplinear._support.checks import (
    Numbers,
    describe,
    non_negative,
    positive,
    positive_integer,
    scalar_or_sequence,
    sequence_fields,
)
from deeplinear.dynamics import Dynamics, GradientDescent
from deeplinear.experiments.data import different, keep

__all__ = ["SETTLED_FOR", "Training"]

#: A run of gradient descent has settled where it has reached a minimizer at the end and this number
#: of steps before: above a critical learning rate runs come near a minimizer by chance, but a step
#: away from it multiplies the distance.
SETTLED_FOR = 10


@dataclass(frozen=True)
class Training:
    """One part of an experiment: how the weights move, how long, and from how many starts.

    Attributes
    ----------
    dynamics : GradientDescent or GradientFlow
        Gradient descent takes one learning rate or a sequence; the fields of gradient flow are
        single values.
    runs : int
        Runs per cell, that is per problem, depth, scale and learning rate.
    steps : int, optional
        Steps of every run; for gradient descent, and only there.
    time : float, optional
        End of the time axis; for gradient flow, and only there.
    every : int or float, optional
        Between two records, as of `deeplinear.simulate`; None records the start and the end.
    scale : float or sequence of float, optional
        Scales of the initial weights of this part, in place of the experiment's.
    tolerance : float, default 0
        A run stops where its excess risk is at most this; at 0 none.
    """

    dynamics: Dynamics
    runs: int
    steps: int | None = None
    time: float | None = None
    every: float | None = None
    scale: Numbers | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.dynamics, Dynamics):
            raise TypeError(
                "dynamics must be of type GradientDescent or GradientFlow; "
                f"got {describe(self.dynamics)}."
            )
        keep(self, runs=positive_integer("runs", self.runs))
        keep(self, tolerance=non_negative("tolerance", self.tolerance))
        if isinstance(self.dynamics, GradientDescent):
            self._only("steps", "time", "gradient descent")
            keep(self, steps=positive_integer("steps", self.steps))
            different("learning_rate", self.learning_rates)
        else:
            self._only("time", "steps", "gradient flow")
            keep(self, time=positive("time", self.time))
        for name in sequence_fields(self.dynamics).keys() - {"learning_rate"}:
            raise ValueError(f"{name} must be one value here; got a sequence.")
        if self.every is not None:
            keep(self, every=self.dynamics.check_every(self.every))
        if self.scale is not None:
            keep(self, scale=scalar_or_sequence("scale", self.scale, non_negative))
            different("scale", self.scales or ())

    def _only(self, taken: str, other: str, dynamics: str) -> None:
        """Refuse steps for gradient flow and time for gradient descent."""
        if getattr(self, other) is not None:
            raise ValueError(f"{other} must not be given for {dynamics}, which takes {taken}.")

    @property
    def scales(self) -> tuple[float, ...] | None:
        """Its own scales of the initial weights; None where it takes the experiment's."""
        return None if self.scale is None else tuple(np.atleast_1d(self.scale).tolist())

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rates; none for gradient flow."""
        if not isinstance(self.dynamics, GradientDescent):
            return ()
        return tuple(np.atleast_1d(self.dynamics.learning_rate).tolist())

    @property
    def swept_dynamics(self) -> Dynamics:
        """The dynamics, whose learning rates are a dimension also where there is one."""
        if not isinstance(self.dynamics, GradientDescent):
            return self.dynamics
        return replace(self.dynamics, learning_rate=self.learning_rates)

    @property
    def records_apart(self) -> float | None:
        """What lies between two records: of descent that has no `every`, all but `SETTLED_FOR`."""
        if self.every is None and self.steps is not None:
            return max(1, self.steps - SETTLED_FOR)
        return self.every
