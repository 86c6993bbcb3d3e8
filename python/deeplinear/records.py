"""What can be recorded of a run: the core's observables, and functions of a person's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear import _core
from deeplinear._support.checks import (
    FloatArray,
    describe,
    one_of,
    positive_integer,
    real_array,
)
from deeplinear._support.memory import require_memory
from deeplinear.landscape import Landscape
from deeplinear.network import Network

__all__ = ["NUMBERED", "RECORDABLE", "TAKEN", "Observers", "Record", "Recording", "check_record"]

_OBSERVABLES = _core.observables()


def _inner(axes: tuple[str, ...]) -> str | tuple[str, ...] | None:
    return None if not axes else axes[0] if len(axes) == 1 else axes


#: What can be recorded: name -> (long name, dimension beside run and step or time: None, a name, or
#: a tuple of two).
RECORDABLE: dict[str, tuple[str, str | tuple[str, ...] | None]] = {
    name: (meaning, _inner(axes)) for name, (meaning, axes, _) in _OBSERVABLES.items()
}
#: How many eigenvalues a record has where nothing is said, if there are so many weights.
_EIGENVALUES = 5

Function = Callable[[list[FloatArray]], Any]
#: What `simulate` takes to be recorded.
Recorded = str | Function | Iterable[str | Function] | Mapping[str, bool | int]


@dataclass(frozen=True)
class Record:
    """One of `RECORDABLE`.

    Attributes
    ----------
    name : str
        Its name.
    count : int
        The length of its axis "eigenvalue"; 1 where it has none.
    """

    name: str
    count: int = 1

    @property
    def variable(self) -> str:
        """The name of the variable: ``weights`` is that of the weights at the end."""
        return "recorded_weights" if self.name == "weights" else self.name

    @property
    def meaning(self) -> str:
        """What it is, for people."""
        return _OBSERVABLES[self.name][0]

    @property
    def axes(self) -> tuple[str, ...]:
        """Its dimensions beside run and step or time."""
        return _OBSERVABLES[self.name][1]

    @property
    def iterative(self) -> bool:
        """Whether it comes from iterations, whose accuracy is an attribute of the variable."""
        return _OBSERVABLES[self.name][2]

    def size(self, network: Network) -> int:
        """Count the numbers of one record of a run."""
        lengths = lengths_of_axes(network, self.count)
        return int(np.prod([lengths[axis] for axis in self.axes], dtype=float))


def lengths_of_axes(network: Network, count: int) -> dict[str, int]:
    """Return the lengths of all axes that a record of a network can have."""
    pairs = zip(network.widths, network.widths[1:], strict=False)
    return {
        "layer": network.depth,
        "pair": network.depth - 1,
        "input": network.widths[0],
        "parameter": network.parameters,
        "value": max(min(pair) for pair in pairs),
        "eigenvalue": count,
    }


@dataclass(frozen=True)
class Recording:
    """All that is recorded of a run: of the core's observables, and by own functions."""

    records: tuple[Record, ...]
    functions: tuple[Function, ...] = ()

    def size(self, network: Network) -> float:
        """Count the numbers of one record of a run; of an own function one."""
        return float(sum(record.size(network) for record in self.records) + len(self.functions))


def _record_of(entry: object, count: object, network: Network) -> Record:
    """Take a name, or ``"name:count"``."""
    name: object = entry
    if isinstance(entry, str) and ":" in entry and count is None:
        name, _, text = entry.partition(":")
        count = int(text) if text.isascii() and text.isdecimal() and len(text) < 300 else text
    name = one_of("record", name, tuple(RECORDABLE))
    if "eigenvalue" not in _OBSERVABLES[name][1]:
        if count is not None and count is not True:
            raise ValueError(f"record must not give {name!r} a count; got {describe(count)}.")
        return Record(name)
    if count is None or count is True:
        return Record(name, min(_EIGENVALUES, network.parameters))
    return Record(name, positive_integer(f"record[{name!r}]", count, network.parameters))


def check_record(landscape: Landscape, record: object) -> Recording:
    """Check what is to be recorded: names, ``"eigenvalues:5"``, functions, or a mapping of names.

    None stands for the risk, and of linear networks the distance.
    """
    network = landscape.network
    if record is None:
        record = ("risk", "distance") if network.linear else ("risk",)
    if isinstance(record, str) or callable(record):
        record = (record,)
    if not isinstance(record, Iterable) or getattr(record, "ndim", None) == 0:
        raise TypeError(f"record must be a sequence of names; got {describe(record)}.")
    if isinstance(record, Mapping):
        entries = [(entry, count) for entry, count in record.items() if count is not False]
    else:
        entries = [(entry, None) for entry in record]
    found: dict[str, Record] = {}
    functions: dict[str, Function] = {}
    for entry, count in entries:
        if callable(entry):
            _add(functions, entry, count)
            continue
        one = _record_of(entry, count, network)
        if found.setdefault(one.name, one) != one:
            raise ValueError(f"record must hold {one.name!r} once; got it with two counts.")
        if reason := _core.record_lacks(landscape._problem, one.name):
            got = "" if network.linear else f"; got activation {network.activation!r}"
            raise ValueError(f"record must not hold {one.name!r} where {reason}{got}.")
    return Recording(tuple(found.values()), tuple(functions.values()))


#: Axes whose places have numbers, from 1.
NUMBERED = ("layer", "pair", "value", "eigenvalue")
#: What results name beside records.
TAKEN = {
    *("run", "step", "time", "layer", "pair", "input", "parameter", "value", "eigenvalue", "seed"),
    *(
        "weights",
        "state",
        "state_entry",
        "status",
        "last_step",
        "out_of_range_layer",
        "network",
        "engine",
    ),
    *("recorded_weights", *RECORDABLE),
}


def _add(functions: dict[str, Function], function: Function, count: object) -> None:
    name = _name_of(function)
    if count is not None and count is not True:
        raise ValueError(f"record must not give {name!r} a count; got {describe(count)}.")
    if functions.setdefault(name, function) is not function:
        raise ValueError(f"record must hold functions of different names; got two {name!r}.")
    for other in functions:
        if re.fullmatch(rf"{other}_\d+", name) or re.fullmatch(rf"{name}_\d+", other):
            raise ValueError(
                "record must hold functions of which none has the name of another's dimension; "
                f"got {other!r} and {name!r}."
            )


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(
            f"record must hold functions that have a name, which results take; got {name!r}."
        )
    if name in TAKEN:
        raise ValueError(
            f"record must hold functions with names of their own; {name!r} is taken in results."
        )
    return name


class Observers:
    """Functions of a person's own, which the core calls with the weights at every record.

    What they return is kept by name: an array (runs, slots, ...) of NaN until then. The core calls
    them from one thread at a time; an exception ends the simulation, Ctrl-C stops it as at any
    other time.
    """

    def __init__(
        self,
        network: Network,
        functions: tuple[Function, ...],
        runs: int,
        slots: int,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self._network = network
        self._functions = functions
        self._shape = (runs, slots)
        self._last = np.full(runs, -1)
        self._shapes = dict(shapes)  # of what they return, which does not change
        self.values: dict[str, npt.NDArray[Any]] = {}

    def visit(self, run: int, slot: int, vector: FloatArray) -> None:
        """Call all functions with the weights of a run, each with arrays of its own."""
        for function in self._functions:
            last = function is self._functions[-1]
            weights = self._network.unflatten(vector if last else vector.copy())
            self._keep(function.__name__, run, slot, function(weights))
        self._last[run] = slot

    def _keep(self, name: str, run: int, slot: int, value: object) -> None:
        numbers = real_array(name, f"{name} must return a number or an array of numbers", value)
        shape = self._shapes.setdefault(name, numbers.shape)
        if shape != numbers.shape:
            raise ValueError(
                f"{name} must return arrays of one shape; got {numbers.shape} after {shape}."
            )
        if name not in self.values:
            shape = (*self._shape, *numbers.shape)
            require_memory(
                f"the records of {name}", self._network, float(np.prod(shape, dtype=float))
            )
            self.values[name] = np.full(shape, np.nan)
        self.values[name][run, slot] = numbers

    def carry_forward(self, converged: npt.NDArray[np.bool_]) -> None:
        """Let runs that converged keep their last values to the end."""
        for values in self.values.values():
            for run in np.flatnonzero(converged):
                last = self._last[run]
                values[run, last + 1 :] = values[run, last]

    def variables(self, axis: str) -> dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]]:
        """Return what was recorded, with its dimensions; further ones as ``name_0``."""
        found = {}
        for function in self._functions:
            name = function.__name__
            values = self.values.get(name, np.full(self._shape, np.nan))  # no run got so far
            found[name] = (("run", axis, *(f"{name}_{i}" for i in range(values.ndim - 2))), values)
        return found
