"""The numbers of the dynamics of every run, as the core takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import FloatArray, single
from deeplinear.dynamics import Dynamics, GradientDescent


@dataclass(frozen=True)
class RunSettings:
    """The numbers of the dynamics of every run, each of shape (runs,), with one integrator."""

    _names: ClassVar[tuple[str, ...]] = ("step", "rtol", "atol", "max_steps")

    method: str
    step: FloatArray
    rtol: FloatArray
    atol: FloatArray
    max_steps: npt.NDArray[np.int64]

    @classmethod
    def of(cls, dynamics: Dynamics) -> RunSettings:
        """Read one run's numbers; a field that holds a sequence is an error."""
        if isinstance(dynamics, GradientDescent):
            rate = single("learning_rate", dynamics.learning_rate)
            return cls("descent", *(np.array([x]) for x in (rate, 1.0, 1.0, 1)))
        fields = (single(name, getattr(dynamics, name)) for name in cls._names)
        method = single("method", dynamics.method)
        return cls(method, *(np.array([x]) for x in fields))

    def repeat(self, runs: int) -> RunSettings:
        """Give every one of several runs the same numbers."""
        return RunSettings(self.method, *(np.repeat(x, runs) for x in self._columns()))

    def _columns(self) -> list[npt.NDArray[Any]]:
        return [getattr(self, name) for name in self._names]

    def common(self) -> dict[str, float]:
        """Return the fields of the dynamics in which all runs agree."""
        fields: dict[str, npt.NDArray[Any]] = {"learning_rate": self.step}
        if self.method != "descent":
            fields = {"step": self.step}
        if self.method == "dopri5":
            fields = {name: getattr(self, name) for name in self._names}
        return {
            name: values[0].item()
            for name, values in fields.items()
            if len(values) > 0 and (values == values[0]).all()
        }

    @classmethod
    def join(cls, settings: Sequence[RunSettings]) -> RunSettings:
        """Put runs of the same integrator one after another."""
        columns = zip(*(s._columns() for s in settings), strict=True)
        return cls(settings[0].method, *(np.concatenate(column) for column in columns))
