"""The runs of a sweep in memory: landscape by landscape, put together on one grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.memory import require_free
from deeplinear._support.padding import padded
from deeplinear._support.progress import Update, progress_bar
from deeplinear.cells import Cells
from deeplinear.data import Data
from deeplinear.description import Sweep
from deeplinear.landscape import Landscape
from deeplinear.landscape_runs import unstack
from deeplinear.landscapes import Landscapes
from deeplinear.machine import Machine
from deeplinear.records import NUMBERED
from deeplinear.runs import run_cells
from deeplinear.seeds import labels
from deeplinear.simulation import Interrupted, add_accuracy

__all__ = ["run_in_memory"]

#: Numbers of 8 bytes that a run has beside records and weights: how and where it ended.
_BESIDE = 7


def run_in_memory(sweep: Sweep, machine: Machine, progress: bool | Update) -> xr.Dataset:
    """Run a sweep; the result is as of `deeplinear.sweep`.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the finished runs along ``run``.
    """
    if sweep.outer:
        sweep = _checked(sweep)
    swept = {name: values for name, values in sweep.axes.items() if name not in sweep.outer}
    cells = Cells.grid(swept)
    count = prod(sweep.sizes[name] for name in sweep.outer)
    done: list[_Part] = []
    with progress_bar(progress, f"{sweep.runs} runs") as update:
        try:
            for place, landscape in sweep.landscapes():
                share = len(done) / count
                part = _train(
                    sweep,
                    landscape,
                    cells,
                    machine,
                    lambda x, share=share: update(share + x / count),  # type: ignore[misc]
                )
                if done:
                    _require_same_axes(done[0].dataset, part)
                done.append(_Part(place, part))
        except Interrupted as interrupted:
            if sweep.outer:
                done.append(_Part(place, _kept(sweep, interrupted.dataset)))
                interrupted = Interrupted(_along_run(sweep, done))
            raise interrupted from None
        except KeyboardInterrupt:  # between two landscapes
            if not done:
                raise
            raise Interrupted(_along_run(sweep, done)) from None
    if not sweep.outer:
        return unstack(done[0].dataset, swept)
    return _on_grid(sweep, swept, [part.dataset for part in done])


@dataclass(frozen=True)
class _Part:
    """The runs on one landscape, along ``run``, and its place on the outer dimensions."""

    place: tuple[int, ...]
    dataset: xr.Dataset


def _checked(sweep: Sweep) -> Sweep:
    """Check what is recorded of every landscape, and the memory, and say what weights are kept."""
    inner = prod(size for name, size in sweep.sizes.items() if name not in sweep.outer)
    records = float(len(sweep.places()[1]))
    sizes, most, count = set(), 0.0, 0
    for _, landscape in sweep.landscapes():
        recording, network = sweep.recording(landscape), landscape.network
        for function in recording.functions:
            if function.__name__ in sweep.axes:
                raise ValueError(
                    "record must hold functions with names of their own; "
                    f"{function.__name__!r} is swept."
                )
        sizes.add(network.parameters)
        most = max(most, records * recording.size(network))
        count += 1
    keep = len(sizes) == 1 if sweep.keep_weights is None else sweep.keep_weights
    most += _BESIDE + (max(sizes) if keep else 0)
    # Beside all of it on one grid, that of every landscape.
    what = f"{sweep.runs:,} runs on {count:,} landscapes"
    require_free("landscape must fit the memory", what, 2 * most * inner * count)
    return replace(sweep, keep_weights=keep)


def _train(
    sweep: Sweep, landscape: Landscape, cells: Cells, machine: Machine, progress: Update
) -> xr.Dataset:
    dataset = run_cells(
        landscape,
        sweep.init,
        sweep.dynamics,
        cells,
        threads=machine.threads,
        device=machine.device,
        progress=progress,
        **sweep.arguments,
    )
    return _kept(sweep, dataset)


def _require_same_axes(first: xr.Dataset, part: xr.Dataset) -> None:
    """Refuse what a function of a person's own returns, if it fits no array of all landscapes."""
    for name in first.data_vars.keys() & part.data_vars.keys():
        axes = [len(dataset[name].dims) - 2 for dataset in (first, part)]
        if axes[0] != axes[1]:
            raise ValueError(
                f"{name} must return arrays of as many axes on every landscape; "
                f"got {axes[1]} after {axes[0]}."
            )


def _kept(sweep: Sweep, part: xr.Dataset) -> xr.Dataset:
    """Leave weights out where they are not kept, and say what law the data are of."""
    if isinstance(sweep.landscape, Landscapes) and isinstance(sweep.landscape.data, Data):
        part = part.assign_attrs(data=repr(sweep.landscape.data))
    return part.drop_vars("weights") if sweep.keep_weights is False else part


def _on_grid(
    sweep: Sweep, swept: Mapping[str, Sequence[Any]], parts: Sequence[xr.Dataset]
) -> xr.Dataset:
    """Put all landscapes on one grid."""
    outer = tuple(sweep.sizes[name] for name in sweep.outer)
    inner = tuple(map(len, swept.values()))

    def gridded(values: Sequence[npt.NDArray[Any]], rest: int) -> npt.NDArray[Any]:
        whole = np.stack(values)
        return whole.reshape((*outer, *inner, *whole.shape[2:]) if rest else outer)

    variables: dict[Hashable, Any] = {}
    for name in _names(parts):
        dims, values, attrs = _padded(parts, name)
        variables[name] = ((*sweep.outer, *swept, *dims), gridded(values, 1), attrs)
    coords: dict[Hashable, Any] = {
        name: labels(sweep.axes[name]) for name in (*sweep.outer, *swept)
    }
    for name, dims, values, attrs in _coordinates(parts):
        if name == "run" or name in swept:
            continue
        if isinstance(values, list):
            own = (*sweep.outer, *swept) if dims else sweep.outer
            coords[name] = (own, gridded(values, len(dims)), attrs)
        else:
            coords[name] = (dims, values, attrs)
    return _whole(variables, coords, parts)


def _along_run(sweep: Sweep, done: Sequence[_Part]) -> xr.Dataset:
    """Put runs of several landscapes one after another, with what tells them apart."""
    parts = [part.dataset for part in done]
    runs = [part.sizes["run"] for part in parts]
    variables: dict[Hashable, Any] = {}
    for name in _names(parts):
        dims, values, attrs = _padded(parts, name)
        variables[name] = (("run", *dims), np.concatenate(values), attrs)
    coords: dict[Hashable, Any] = {"run": np.arange(sum(runs))}
    for i, name in enumerate(sweep.outer):
        own = labels(sweep.axes[name])[[part.place[i] for part in done]]
        coords[name] = ("run", np.repeat(own, runs))
    for name, dims, values, attrs in _coordinates(parts):
        if name == "run":
            continue
        if isinstance(values, list):
            values = (
                values if dims else [np.repeat(x, n) for x, n in zip(values, runs, strict=True)]
            )
            coords[name] = ("run", np.concatenate(values), attrs)
        else:
            coords[name] = (dims, values, attrs)
    return _whole(variables, coords, parts)


def _names(parts: Sequence[xr.Dataset]) -> list[Hashable]:
    return list(dict.fromkeys(name for part in parts for name in part.data_vars))


def _padded(
    parts: Sequence[xr.Dataset], name: Hashable
) -> tuple[tuple[Hashable, ...], list[npt.NDArray[Any]], dict[str, Any]]:
    """Return a variable's dimensions beside run, its values of one shape, and its attributes.

    After the last layer and the like they are NaN, and also where a part has no such variable.
    """
    those = [part[name] for part in parts if name in part]
    dims = those[0].dims[1:]
    longest = tuple(max(one.sizes[dim] for one in those) for dim in dims)
    values = [
        padded(part[name].values, (part.sizes["run"], *longest))
        if name in part
        else np.full((part.sizes["run"], *longest), np.nan)
        for part in parts
    ]
    return dims, values, _common([one.attrs for one in those])


def _coordinates(
    parts: Sequence[xr.Dataset],
) -> list[tuple[Hashable, tuple[Hashable, ...], Any, dict[str, Any]]]:
    """Return what stands beside the runs: a list of the parts' values where they may differ."""
    found: list[Any] = []
    for name, first in parts[0].coords.items():
        those = [part[name] for part in parts]
        if name in NUMBERED:
            continue
        if any(one.dims == ("run",) for one in those):
            values = [
                np.broadcast_to(one, p.sizes["run"]) for one, p in zip(those, parts, strict=True)
            ]
            found.append((name, ("run",), values, first.attrs))
        elif first.dims or all(one.values == first.values for one in those):
            found.append((name, first.dims, first.values, first.attrs))
        else:
            found.append((name, (), [one.values for one in those], first.attrs))
    return found


def _whole(
    variables: dict[Hashable, Any], coords: dict[Hashable, Any], parts: Sequence[xr.Dataset]
) -> xr.Dataset:
    dataset = xr.Dataset(variables, coords, _common([part.attrs for part in parts]))
    add_accuracy(dataset, parts)
    numbered = [name for name in NUMBERED if name in dataset.dims]
    return dataset.assign_coords({n: np.arange(1, dataset.sizes[n] + 1) for n in numbered})


def _common(attrs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes in which all agree."""
    return {
        name: value
        for name, value in attrs[0].items()
        if all(name in other and np.array_equal(other[name], value) for other in attrs)
    }
