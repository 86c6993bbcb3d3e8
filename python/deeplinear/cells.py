"""What runs have that differs: the distinct values of every name, and which of them each has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import (
    describe,
    is_sequence,
    number_or_text,
    scalar_or_sequence,
)
from deeplinear._support.distinct import Index, distinct, is_of, numbered, plain_array
from deeplinear.seeds import check_seed, labels

__all__ = ["Cells", "listed"]


class Cells:
    """What every one of several runs has of the fields that differ, and its seed.

    Nothing is kept for a run but numbers of arrays, and of a grid not even these.

    Parameters
    ----------
    values : dict
        The distinct values of every name; ``"seed"`` is one of the names.
    index : callable
        Returns of a name which of its values each run has, shape (runs,).
    runs : int
        How many runs there are.
    """

    def __init__(
        self, values: Mapping[str, Sequence[Any]], index: Callable[[str], Index], runs: int
    ) -> None:
        self.values = dict(values)
        self.index = index
        self.runs = runs

    @classmethod
    def grid(cls, axes: Mapping[str, Sequence[Any]]) -> Cells:
        """Take all combinations of the values of all names, those of the last next to another."""
        sizes = {name: len(values) for name, values in axes.items()}

        def index(name: str) -> Index:
            shape = [size if other == name else 1 for other, size in sizes.items()]
            whole = np.broadcast_to(np.arange(sizes[name]).reshape(shape), tuple(sizes.values()))
            return whole.reshape(-1)

        return cls(axes, index, prod(sizes.values()))

    @classmethod
    def of_lists(cls, runs: object) -> Cells:
        """Take what `sweep_runs` is given: one value per run of every name."""
        values, index = {}, {}
        for name, entries in _columns(runs).items():
            values[name], index[name] = _distinct(name, entries)
        return cls(values, index.__getitem__, len(index["seed"]))

    def labels(self, name: str) -> npt.NDArray[Any]:
        """Return what each run has of a name, as a coordinate."""
        return labels(self.values[name])[self.index(name)]

    def first(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what the first run has of some names."""
        return {name: self.values[name][int(self.index(name)[0])] for name in names}

    def combinations(self, names: Sequence[str]) -> tuple[list[dict[str, Any]], Index]:
        """Return the distinct combinations of some names, and which of them each run has.

        They stand in the order in which runs first have them.
        """
        codes, most = np.zeros(self.runs, np.int64), 1
        for name in names:
            size = len(self.values[name])
            if most * size >= 2**62:
                first, codes = numbered(codes)
                most = len(first)
            codes *= size
            codes += self.index(name)
            most *= size
        first, which = numbered(codes)
        columns = []
        for name in names:
            values = self.values[name]
            columns.append([values[i] for i in self.index(name)[first].tolist()])
        rows = zip(*columns, strict=True) if columns else [()] * len(first)
        return [dict(zip(names, row, strict=True)) for row in rows], which


def listed(names: Mapping[str, Any]) -> str:
    """Write names for a sentence."""
    return ", ".join(map(repr, names)) or "nothing"


def _distinct(name: str, entries: Any) -> tuple[Sequence[Any], Index]:
    """Check the values of a name, and return the distinct ones and which of them each run has."""
    seeds, label = name == "seed", f"runs[{name!r}]"
    array = plain_array(entries)
    if array is not None and not (seeds and (array.dtype.kind not in "iu" or array.min() < 0)):
        return distinct(array)
    if not seeds and is_of(entries, str):
        return distinct(list(entries))
    # Checked one by one, so that a refusal names the place
    return distinct(
        list(scalar_or_sequence(label, entries, check_seed if seeds else number_or_text))
    )


def _columns(runs: Any) -> dict[str, Any]:
    """Return sequences of what the runs have, by name, of one length."""
    takes = "runs must be a mapping of names to sequences, or a sequence of mappings, one per run"
    if isinstance(runs, Mapping) or hasattr(runs, "keys"):
        given = {name: runs[name] for name in runs.keys()}  # noqa: SIM118  (of a data frame)
        for name, values in given.items():
            if not is_sequence(values):
                raise TypeError(
                    f"runs[{name!r}] must be a sequence, of one value per run; "
                    f"got {describe(values)}."
                )
    elif isinstance(runs, (list, tuple)):
        given = _transposed(runs)
    else:
        raise TypeError(f"{takes}; got {describe(runs)}.")
    if "seed" not in given:
        raise ValueError(f"runs must hold 'seed'; got {listed(given)}.")
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} of {name!r}" for name, count in lengths.items())
        raise ValueError(f"runs must hold one value per run of every name; got {counts}.")
    if not lengths["seed"]:
        raise ValueError("runs must hold at least one run; got none.")
    return given


def _transposed(runs: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the values of a list of mappings by name."""
    for i, run in enumerate(runs):
        if not isinstance(run, Mapping):
            raise TypeError(f"runs[{i}] must be a mapping of names to values; got {describe(run)}.")
        if run.keys() != runs[0].keys():
            raise ValueError(
                f"runs[{i}] must hold what runs[0] holds, {listed(runs[0])}; got {listed(run)}."
            )
    return {name: [run[name] for run in runs] for name in runs[0]} if runs else {"seed": []}
