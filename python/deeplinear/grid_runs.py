"""The runs of a sweep in memory: landscape by landscape, put together on one grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.progress import Update, progress_bar
from deeplinear.description import Sweep
from deeplinear.landscape import Landscape
from deeplinear.landscape_runs import sweep_landscape
from deeplinear.seeds import labels
from deeplinear.simulation import Interrupted, add_accuracy

__all__ = ["run_in_memory"]

#: Dimensions whose places have numbers, from 1.
_NUMBERED = ("layer", "pair", "value", "eigenvalue")


def run_in_memory(sweep: Sweep, threads: int | None, progress: bool | Update) -> xr.Dataset:
    """Run a sweep; the result is as of `deeplinear.sweep`.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the finished runs along ``run``.
    """
    if not sweep.outer:
        _, landscape = next(sweep.landscapes())
        return _kept(sweep, _train(sweep, landscape, threads, progress))
    count = prod(sweep.sizes[name] for name in sweep.outer)
    places: list[tuple[int, ...]] = []
    parts: list[xr.Dataset] = []
    with progress_bar(progress, f"{sweep.runs} runs") as update:
        for i, (place, landscape) in enumerate(sweep.landscapes()):
            try:
                part = _train(
                    sweep,
                    landscape,
                    threads,
                    lambda x, i=i: update((i + x) / count),  # type: ignore[misc]
                )
            except Interrupted as interrupted:
                done = [_flat(sweep, one, at) for one, at in zip(parts, places, strict=True)]
                done.append(_labelled(sweep, interrupted.dataset, place))
                raise Interrupted(_joined(done)) from None
            places.append(place)
            parts.append(_kept(sweep, part))
    return _stacked(sweep, parts)


def _train(
    sweep: Sweep, landscape: Landscape, threads: int | None, progress: bool | Update
) -> xr.Dataset:
    return sweep_landscape(
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


def _kept(sweep: Sweep, part: xr.Dataset) -> xr.Dataset:
    return part.drop_vars("weights") if sweep.keep_weights is False else part


def _stacked(sweep: Sweep, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put all landscapes on one grid, NaN where one has fewer layers and the like."""
    shape = tuple(sweep.sizes[name] for name in sweep.outer)
    inner = {name: size for name, size in sweep.sizes.items() if name not in sweep.outer}
    variables: dict[Hashable, Any] = {}
    for name in dict.fromkeys(name for part in parts for name in part.data_vars):
        those = [part[name] for part in parts if name in part]
        sizes = {part.sizes.get("parameter") for part in parts}
        if name == "weights" and len(sizes) > 1 and not sweep.keep_weights:
            continue
        dims = those[0].dims[len(inner) :]
        longest = tuple(max(one.sizes[dim] for one in those) for dim in dims)
        values = [
            _padded(part[name].values, len(inner), longest)
            if name in part
            else np.full((*inner.values(), *longest), np.nan)
            for part in parts
        ]
        whole = np.stack(values).reshape((*shape, *values[0].shape))
        variables[name] = ((*sweep.outer, *inner, *dims), whole, those[0].attrs)
    coords: dict[Hashable, Any] = {name: labels(sweep.axes[name]) for name in sweep.outer}
    sizes_of = {
        dim: size
        for dims, values, _ in variables.values()
        for dim, size in zip(dims, values.shape, strict=True)
    }
    for name, first in parts[0].coords.items():
        if name in _NUMBERED:
            continue
        if first.dims == (name,):
            coords[name] = first
            continue
        values = [part[name].values for part in parts]
        if not first.dims and all(value == values[0] for value in values):
            coords[name] = first
        else:
            whole = np.stack(values).reshape((*shape, *first.shape))
            coords[name] = ((*sweep.outer, *first.dims), whole, first.attrs)
    for name in _NUMBERED:
        if name in sizes_of:
            coords[name] = np.arange(1, sizes_of[name] + 1)
    dataset = xr.Dataset(variables, coords=coords, attrs=_common([part.attrs for part in parts]))
    add_accuracy(dataset, parts)
    return dataset


def _padded(values: npt.NDArray[Any], axes: int, longest: tuple[int, ...]) -> npt.NDArray[Any]:
    """Put NaN after the last layer and the like, up to a shape behind the first axes."""
    if values.shape[axes:] == longest:
        return values
    whole = np.full((*values.shape[:axes], *longest), np.nan)
    whole[(slice(None),) * axes + tuple(slice(size) for size in values.shape[axes:])] = values
    return whole


def _common(attrs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes in which all agree."""
    first = attrs[0]
    return {
        name: value
        for name, value in first.items()
        if all(name in other and np.array_equal(other[name], value) for other in attrs)
    }


def _flat(sweep: Sweep, part: xr.Dataset, place: tuple[int, ...]) -> xr.Dataset:
    """Put the runs of a grid along one dimension."""
    inner = [name for name in sweep.axes if name not in sweep.outer]
    shape = tuple(sweep.sizes[name] for name in inner)
    count = prod(shape)
    index = np.unravel_index(np.arange(count), shape)

    def along(array: xr.DataArray) -> tuple[Any, ...]:
        rest = array.dims[len(inner) :]
        return (
            ("run", *rest),
            array.values.reshape((count, *array.shape[len(inner) :])),
            array.attrs,
        )

    data = {name: along(array) for name, array in part.data_vars.items()}
    coords: dict[Hashable, Any] = {"run": np.arange(count)}
    for name, coord in part.coords.items():
        if name in inner:
            coords[name] = ("run", coord.values[index[inner.index(str(name))]])
        else:
            coords[name] = along(coord) if coord.dims[: len(inner)] == tuple(inner) else coord
    return _labelled(sweep, xr.Dataset(data, coords, part.attrs), place)


def _labelled(sweep: Sweep, part: xr.Dataset, place: tuple[int, ...]) -> xr.Dataset:
    """Give runs the values of the outer dimensions as coordinates."""
    own = {
        name: ("run", np.full(part.sizes["run"], sweep.axes[name][i]))
        for name, i in zip(sweep.outer, place, strict=True)
    }
    return _kept(sweep, part.assign_coords(own))


def _joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put runs of several landscapes one after another."""
    if len({part.sizes.get("parameter") for part in parts}) > 1:
        parts = [part.drop_vars("weights", errors="ignore") for part in parts]
    whole = xr.concat(
        parts,
        dim="run",
        data_vars="all",
        coords="different",
        compat="equals",
        join="outer",
        combine_attrs="drop_conflicts",
    )
    add_accuracy(whole, parts)
    return whole.assign_coords(run=np.arange(whole.sizes["run"]))
