"""A sweep as data: everything that decides its numbers, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    describe,
    instance_of,
    non_negative,
    one_of,
    sequence_fields,
    truth,
)
from deeplinear._support.distinct import first_again
from deeplinear.dynamics import Dynamics
from deeplinear.init import Initialization
from deeplinear.landscape import Landscape
from deeplinear.landscapes import Landscapes
from deeplinear.options import ENGINES, Options, check_dtype, check_options
from deeplinear.records import TAKEN, Recorded, Recording
from deeplinear.run_settings import RunSettings
from deeplinear.runs import swept_fields
from deeplinear.schedule import schedule
from deeplinear.seeds import check_seeds

__all__ = ["Sweep"]

_SHARED = (
    *("steps", "time", "record", "every", "tolerance"),
    *("dtype", "engine", "keep_state"),
)


@dataclass(frozen=True, eq=False)
class Sweep:
    """The description of a sweep: what it trains, from where, how, and what it records.

    A field of the data, the networks, the initialization or the dynamics that holds a sequence is a
    dimension of its name, in this order; ``seed`` is one more, the last.

    Parameters
    ----------
    landscape : Landscape or Landscapes
        The network and its data, or families of either.
    init : Initialization
        Such as ``dl.init.Gaussian([0.25, 0.5])``, or a law of your own.
    dynamics : GradientDescent or GradientFlow
        Such as ``dl.GradientDescent([0.02, 0.1])``.
    seeds : int or sequence of int
        The seeds, zero or above and different; n stands for 0..n-1.
    steps, time, record, every, tolerance, dtype, engine, keep_state
        As of `sweep`. By default the risk is recorded, and the distance where all networks are
        linear.
    keep_weights : bool, optional
        Whether the weights at the end are kept. None, the default, keeps them in memory where all
        networks have as many, and not in a store. Of networks of several sizes, weights have NaN
        after the last one of each.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. Whether the landscapes take what is recorded is known when
        they are made.

    Examples
    --------
    >>> import deeplinear as dl
    >>> family = dl.Landscapes(dl.Networks(depth=[2, 5]), dl.data.Gaussian(n=20, d=3))
    >>> descent = dl.GradientDescent([0.01, 0.02, 0.05])
    >>> sweep = dl.Sweep(family, dl.init.Gaussian(0.5), descent, seeds=100, steps=50)
    >>> sweep.sizes
    {'depth': 2, 'learning_rate': 3, 'seed': 100}
    """

    landscape: Landscape | Landscapes
    init: Initialization
    dynamics: Dynamics
    seeds: Any
    steps: int | None = None
    time: float | None = None
    record: Recorded | None = None
    every: float | None = None
    tolerance: float = 0.0
    dtype: Any = "float64"
    engine: str = "auto"
    keep_weights: bool | None = None
    keep_state: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.landscape, (Landscape, Landscapes)):
            raise TypeError(
                "landscape must be of type Landscape or Landscapes; "
                f"got {describe(self.landscape)}."
            )
        instance_of("init", self.init, Initialization)  # type: ignore[type-abstract]
        if not isinstance(self.dynamics, Dynamics):
            raise TypeError(
                "dynamics must be of type GradientDescent or GradientFlow; "
                f"got {describe(self.dynamics)}."
            )
        object.__setattr__(self, "seeds", check_seeds(self.seeds))
        object.__setattr__(self, "dtype", check_dtype(self.dtype))
        object.__setattr__(self, "tolerance", non_negative("tolerance", self.tolerance))
        one_of("engine", self.engine, ENGINES)
        # Written down, an equal number looks alike.
        horizon = type(self.dynamics).horizon(self.steps, self.time)
        object.__setattr__(self, "steps" if self.steps is not None else "time", horizon)
        if self.every is not None:
            object.__setattr__(self, "every", self.dynamics.check_every(self.every))
        if self.record is None and not self._linear:
            object.__setattr__(self, "record", ("risk",))  # what all landscapes have
        for name in ("keep_weights", "keep_state"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else truth(name, value))
        for name, values in self.axes.items():
            if not isinstance(values, range) and len(set(values)) < len(values):
                field, twice = "seeds" if name == "seed" else name, first_again(values)
                raise ValueError(f"{field} must be different values; got {twice!r} twice.")

    @cached_property
    def axes(self) -> dict[str, Sequence[Any]]:
        """The values of every dimension."""
        axes: dict[str, Sequence[Any]] = {}
        if isinstance(self.landscape, Landscapes):
            axes |= self.landscape.axes
            for name in axes:
                if name in TAKEN:
                    raise ValueError(
                        f"data must not sweep a field of the name {name!r}, which results have "
                        "already."
                    )
        for part, own in (
            ("init", swept_fields(self.init)),
            ("dynamics", sequence_fields(self.dynamics)),
        ):
            for name, values in own.items():
                if name in axes:
                    raise ValueError(
                        f"{part} must not sweep a field of the name {name!r}, which the landscapes "
                        "have already."
                    )
                axes[name] = values
        return {**axes, "seed": self.seeds}

    @property
    def _linear(self) -> bool:
        """Whether the networks are linear, all of them."""
        activation = self.landscape.network.activation
        return set(np.atleast_1d(activation).tolist()) == {"identity"}

    @property
    def sizes(self) -> dict[str, int]:
        """The lengths of the dimensions."""
        return {name: len(values) for name, values in self.axes.items()}

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the dimensions, in order."""
        return tuple(self.sizes.values())

    @property
    def runs(self) -> int:
        """The number of runs."""
        return prod(self.shape)

    @property
    def arguments(self) -> dict[str, Any]:
        """What `simulate` and the sweeps take by these names."""
        return {name: getattr(self, name) for name in _SHARED}

    @property
    def outer(self) -> tuple[str, ...]:
        """The dimensions of the landscapes."""
        return tuple(self.landscape.axes) if isinstance(self.landscape, Landscapes) else ()

    def landscapes(self) -> Iterator[tuple[tuple[int, ...], Landscape]]:
        """Make the landscapes, one after another, with their places on the outer dimensions."""
        if isinstance(self.landscape, Landscape):
            yield (), self.landscape
            return
        axes = self.landscape.axes
        for place in product(*(range(len(values)) for values in axes.values())):
            values = {name: axes[name][i] for name, i in zip(axes, place, strict=True)}
            yield place, self.landscape.at(**values)

    def recording(self, landscape: Landscape) -> Recording:
        """Check what is recorded on a landscape."""
        return self._options(landscape).record

    def _options(self, landscape: Landscape) -> Options:
        """Check what is left, on a landscape."""
        first = {name: values[:1] for name, values in self.axes.items()}
        dynamics = _with_fields(self.dynamics, first | self._methods())
        return check_options(
            landscape,
            dynamics,
            threads=1,
            **self.arguments,
        )

    def places(self) -> tuple[str, npt.NDArray[Any]]:
        """Return "step" or "time", and the steps or times of the records.

        Raises
        ------
        ValueError
            If the runs have steps of several sizes, and records at steps.
        """
        _, landscape = next(self.landscapes())
        options = self._options(landscape)
        first = {name: values[0] for name, values in self.axes.items()}
        # Of all sizes of a step, which alone decide of a method whether records are at one time
        sizes = self.axes.get("step", (None,))
        own = [_with_fields(self.dynamics, first | {"step": size}) for size in sizes]
        settings = RunSettings.join([RunSettings.of(dynamics) for dynamics in own])
        plan = schedule(landscape.network, settings, options)
        return settings.kind.axis, plan.coordinate

    def _methods(self) -> dict[str, Any]:
        return {"method": self.axes["method"]} if "method" in self.axes else {}

    def part(self, places: Mapping[str, slice]) -> Sweep:
        """Return the sweep over some values of dimensions, which stay dimensions.

        Parameters
        ----------
        places : mapping of str to slice
            The dimensions that are cut, and where.
        """
        values = {name: self.axes[name][cut] for name, cut in places.items()}
        landscape = self.landscape
        if isinstance(landscape, Landscapes):
            landscape = landscape.replace(values)
        return replace(
            self,
            landscape=landscape,
            init=_with_fields(self.init, values),
            dynamics=_with_fields(self.dynamics, values),
            seeds=values.get("seed", self.seeds),
        )


def _with_fields(settings: Any, values: Mapping[str, Any]) -> Any:
    """Replace those fields of settings that are swept."""
    own = {name: values[name] for name in sequence_fields(settings) if name in values}
    return replace(settings, **own) if own else settings
