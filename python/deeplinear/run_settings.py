"""The numbers of the dynamics of every run, as the core takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import FloatArray
from deeplinear.dynamics import Dynamics

__all__ = ["RunSettings"]

#: Fields that say what a gradient does to the weights.
_RULE_NUMBERS = _core.rule_numbers()


@dataclass(frozen=True)
class RunSettings:
    """The numbers of the dynamics of every run, each of shape (runs,), with one integrator.

    Attributes
    ----------
    kind : type
        The class of the dynamics.
    method : str
        The integrator.
    columns : dict
        The fields of the dynamics that hold numbers: name -> (runs,).
    """

    kind: type[Dynamics]
    method: str
    columns: dict[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, dynamics: Dynamics) -> RunSettings:
        """Read one run's numbers; a field that holds a sequence is an error."""
        method, numbers = dynamics.numbers()
        columns = {name: np.array([value]) for name, value in numbers.items()}
        return cls(type(dynamics), method, columns)

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(self.step)

    @property
    def step(self) -> FloatArray:
        """The size of the steps; of an adaptive method the first one to be tried."""
        return self.columns[self.kind.step_field]

    @property
    def adaptive(self) -> bool:
        """Whether the method decides how long its steps are."""
        return self.method == "dopri5"

    @property
    def counts_steps(self) -> bool:
        """Whether runs are measured by their steps, not by a time."""
        return self.kind.axis == "step"

    @property
    def label(self) -> str:
        """What results call the method."""
        return self.kind.label or self.method

    def repeat(self, runs: int) -> RunSettings:
        """Give every one of several runs the same numbers."""
        columns = {name: np.repeat(values, runs) for name, values in self.columns.items()}
        return RunSettings(self.kind, self.method, columns)

    def common(self) -> dict[str, float]:
        """Return the fields of the dynamics in which all runs agree."""
        return {
            name: values[0].item()
            for name, values in self.columns.items()
            if len(values) > 0 and (values == values[0]).all()
        }

    @classmethod
    def join(cls, settings: Sequence[RunSettings]) -> RunSettings:
        """Put runs of the same integrator one after another."""
        first = settings[0]
        names = dict.fromkeys(name for s in settings for name in s.columns)
        columns = {name: np.concatenate([s.column(name) for s in settings]) for name in names}
        return cls(first.kind, first.method, columns)

    def take(self, runs: npt.NDArray[np.int64]) -> RunSettings:
        """Return the settings of runs by their numbers, some of them perhaps several times."""
        columns = {name: values[runs] for name, values in self.columns.items()}
        return RunSettings(self.kind, self.method, columns)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return the numbers of a field, zeros where the dynamics do not have it."""
        return self.columns.get(name, np.zeros(self.runs))

    def core_steps(
        self,
        horizon: float,
        every: float,
        steps: npt.NDArray[np.int64],
        last_step: FloatArray,
        *,
        done: npt.NDArray[np.int64] | None = None,
        states: list[FloatArray] | None = None,
        keep_states: bool = False,
    ) -> _core.Fixed | _core.Adaptive:
        """Write them as the core's steps, beside what the schedule says."""
        if not self.adaptive:
            rules = {
                name: values.astype(np.float64)
                for name, values in self.columns.items()
                if name in _RULE_NUMBERS
            }
            sizes = (self.step, last_step, steps, every)
            return _core.Fixed(self.method, *sizes, rules, done, states, keep_states)
        rest = (self.columns[name] for name in ("rtol", "atol", "max_steps"))
        return _core.Adaptive(self.method, horizon, every, self.step, *rest)
