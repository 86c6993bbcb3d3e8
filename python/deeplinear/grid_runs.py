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
from deeplinear._support.progress import Update, progress_bar
from deeplinear.data import Data
from deeplinear.description import Sweep
from deeplinear.landscape import Landscape
from deeplinear.landscape_runs import sweep_landscape
from deeplinear.landscapes import Landscapes
from deeplinear.seeds import labels
from deeplinear.simulation import Interrupted, add_accuracy

__all__ = ["run_in_memory"]

#: Numbers of 8 bytes that a run has beside records and weights: how and where it ended.
_BESIDE = 7
#: Dimensions whose places have numbers, from 1.
_NUMBERED = ("layer", "pair", "value", "eigenvalue")


def run_in_memory(sweep: Sweep, threads: int | None, progress: bool | Update) -> xr.Dataset:
    """Run a sweep; the result is as of `deeplinear.sweep`.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the finished runs along ``run``.
    """
    if sweep.outer:
        sweep = _checked(sweep)
    count = prod(sweep.sizes[name] for name in sweep.outer)
    done: list[_Part] = []
    with progress_bar(progress, f"{sweep.runs} runs") as update:
        try:
            for place, landscape in sweep.landscapes():
                share = len(done) / count
                part = _train(
                    sweep,
                    landscape,
                    threads,
                    lambda x, share=share: update(share + x / count),  # type: ignore[misc]
                )
                if done:
                    _require_same_axes(done[0].dataset, part)
                done.append(_Part(place, part))
        except Interrupted as interrupted:
            if sweep.outer:
                stopped = _Part(place, _kept(sweep, interrupted.dataset))
                interrupted = Interrupted(_along_run(sweep, done, stopped))
            raise interrupted from None
        except KeyboardInterrupt:  # between two landscapes
            if not done:
                raise
            raise Interrupted(_along_run(sweep, done)) from None
    return _on_grid(sweep, [part.dataset for part in done]) if sweep.outer else done[0].dataset


@dataclass(frozen=True)
class _Part:
    """The runs on one landscape, and its place on the outer dimensions."""

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
    sweep: Sweep, landscape: Landscape, threads: int | None, progress: bool | Update
) -> xr.Dataset:
    dataset = sweep_landscape(
        landscape,
        sweep.init,
        sweep.dynamics,
        seeds=sweep.seeds,
        steps=sweep.steps,
        time=sweep.time,
        record=sweep.record,
        every=sweep.every,
        tolerance=sweep.tolerance,
        dtype=sweep.dtype,
        threads=threads,
        engine=sweep.engine,
        keep_state=sweep.keep_state,
        progress=progress,
    )
    return _kept(sweep, dataset)


def _require_same_axes(first: xr.Dataset, part: xr.Dataset) -> None:
    """Refuse what a function of a person's own returns, if it fits no array of all landscapes."""
    for name in first.data_vars.keys() & part.data_vars.keys():
        axes = [
            len(dataset[name].dims) - len(dataset["status"].dims) - 1 for dataset in (first, part)
        ]
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


def _on_grid(sweep: Sweep, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put all landscapes on one grid."""
    shape = tuple(sweep.sizes[name] for name in sweep.outer)
    inner = tuple(name for name in sweep.axes if name not in sweep.outer)
    variables: dict[Hashable, Any] = {}
    for name in _names(parts):
        dims, values, attrs = _padded(parts, name, len(inner))
        whole = np.stack(values)
        variables[name] = (
            (*sweep.outer, *inner, *dims),
            whole.reshape((*shape, *whole.shape[1:])),
            attrs,
        )
    coords: dict[Hashable, Any] = {name: labels(sweep.axes[name]) for name in sweep.outer}
    for name, dims, values, attrs in _coordinates(parts, inner):
        if isinstance(values, list):
            whole = np.stack(values)
            whole = whole.reshape((*shape, *whole.shape[1:]))
            coords[name] = ((*sweep.outer, *dims), whole, attrs)
        else:
            coords[name] = (dims, values, attrs)
    return _whole(variables, coords, parts)


def _along_run(sweep: Sweep, done: Sequence[_Part], stopped: _Part | None = None) -> xr.Dataset:
    """Put runs of several landscapes one after another, with what tells them apart."""
    inner = tuple(name for name in sweep.axes if name not in sweep.outer)
    flat = [replace(part, dataset=_flat(part.dataset, inner)) for part in done]
    flat += [] if stopped is None else [stopped]
    parts = [part.dataset for part in flat]
    runs = [part.sizes["run"] for part in parts]
    variables: dict[Hashable, Any] = {}
    for name in _names(parts):
        dims, values, attrs = _padded(parts, name, 1)
        variables[name] = (("run", *dims), np.concatenate(values), attrs)
    coords: dict[Hashable, Any] = {"run": np.arange(sum(runs))}
    for i, name in enumerate(sweep.outer):
        own = labels(sweep.axes[name])[[part.place[i] for part in flat]]
        coords[name] = ("run", np.repeat(own, runs))
    for name, dims, values, attrs in _coordinates(parts, ("run",)):
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


def _flat(part: xr.Dataset, inner: tuple[str, ...]) -> xr.Dataset:
    """Put the runs of a grid along one dimension."""
    shape = tuple(part.sizes[name] for name in inner)
    index = np.indices(shape).reshape(len(shape), -1)

    def along(array: xr.DataArray) -> tuple[Any, ...]:
        rest = array.dims[len(inner) :]
        values = array.values.reshape((-1, *array.shape[len(inner) :]))
        return ("run", *rest), values, array.attrs

    coords: dict[Hashable, Any] = {"run": np.arange(index.shape[1])}
    for name, coord in part.coords.items():
        if name in inner:
            coords[name] = ("run", coord.values[index[inner.index(str(name))]])
        else:
            coords[name] = along(coord) if coord.dims[: len(inner)] == inner else coord
    data = {name: along(array) for name, array in part.data_vars.items()}
    return xr.Dataset(data, coords, part.attrs)


def _names(parts: Sequence[xr.Dataset]) -> list[Hashable]:
    return list(dict.fromkeys(name for part in parts for name in part.data_vars))


def _padded(
    parts: Sequence[xr.Dataset], name: Hashable, leading: int
) -> tuple[tuple[Hashable, ...], list[npt.NDArray[Any]], dict[str, Any]]:
    """Return a variable's dimensions behind the leading ones, its values of one shape, attributes.

    After the last layer and the like they are NaN, and also where a part has no such variable.
    """
    those = [part[name] for part in parts if name in part]
    dims = those[0].dims[leading:]
    longest = tuple(max(one.sizes[dim] for one in those) for dim in dims)
    values = []
    for part in parts:
        if name not in part:
            shape = next(iter(part.data_vars.values())).shape[:leading]
            values.append(np.full((*shape, *longest), np.nan))
            continue
        own = part[name].values
        if own.shape[leading:] != longest:
            place: tuple[Any, ...] = tuple(slice(size) for size in own.shape[leading:])
            whole = np.full((*own.shape[:leading], *longest), np.nan, own.dtype)
            whole[(..., *place)] = own
            own = whole
        values.append(own)
    return dims, values, _common([one.attrs for one in those])


def _coordinates(
    parts: Sequence[xr.Dataset], inner: tuple[str, ...]
) -> list[tuple[Hashable, tuple[Hashable, ...], Any, dict[str, Any]]]:
    """Return what stands beside the runs: a list of the parts' values where they may differ."""
    found: list[Any] = []
    for name, first in parts[0].coords.items():
        those = [part[name] for part in parts]
        if name in _NUMBERED:
            continue
        several = any(one.dims == inner for one in those)
        same = all(one.dims == () and one.values == first.values for one in those)
        if first.dims == (name,) and not (inner == ("run",) and several):
            found.append((name, first.dims, first.values, first.attrs))
        elif same:
            found.append((name, (), first.values, first.attrs))
        elif several:
            shapes = [tuple(part.sizes[dim] for dim in inner) for part in parts]
            values = [
                np.broadcast_to(one.values, shape) for one, shape in zip(those, shapes, strict=True)
            ]
            found.append((name, inner, values, first.attrs))
        else:
            found.append((name, (), [one.values for one in those], first.attrs))
    return found


def _whole(
    variables: dict[Hashable, Any], coords: dict[Hashable, Any], parts: Sequence[xr.Dataset]
) -> xr.Dataset:
    dataset = xr.Dataset(variables, coords, _common([part.attrs for part in parts]))
    add_accuracy(dataset, parts)
    numbered = [name for name in _NUMBERED if name in dataset.dims]
    return dataset.assign_coords({n: np.arange(1, dataset.sizes[n] + 1) for n in numbered})


def _common(attrs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes in which all agree."""
    return {
        name: value
        for name, value in attrs[0].items()
        if all(name in other and np.array_equal(other[name], value) for other in attrs)
    }
