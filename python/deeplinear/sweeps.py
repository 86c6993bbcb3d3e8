"""Training over a grid of initializations, dynamics and seeds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import instance_of, sequence_fields
from deeplinear._support.progress import Update
from deeplinear.dynamics import Dynamics
from deeplinear.init import Initialization
from deeplinear.landscape import Landscape
from deeplinear.records import Recorded
from deeplinear.runs import require_memory_of, sweep_runs, swept_fields
from deeplinear.seeds import check_seeds, labels

__all__ = ["sweep"]


def sweep(
    landscape: Landscape,
    init: Initialization,
    dynamics: Dynamics,
    *,
    seeds: int | Sequence[int] | npt.NDArray[Any] | xr.DataArray,
    steps: int | None = None,
    time: float | None = None,
    record: Recorded | None = None,
    every: float | None = None,
    tolerance: float = 0.0,
    dtype: npt.DTypeLike = "float64",
    threads: int | None = None,
    engine: str = "auto",
    keep_state: bool | None = None,
    progress: bool | Update = True,
) -> xr.Dataset:
    """Train one run for every combination of the swept fields and seeds.

    A field of `init` or `dynamics` that holds a sequence becomes a dimension of its name; ``seed``
    is one more, the last. A run depends on its own settings and seed alone, not on what else is in
    the sweep: each equals `simulate` from ``init.sample(network, seed)``, to the bit.

    Parameters
    ----------
    landscape : Landscape
        The network and its data.
    init : Initialization
        Such as ``dl.init.Gaussian([0.25, 0.5])``, or a law of your own.
    dynamics : GradientDescent or GradientFlow
        Such as ``dl.GradientDescent([0.02, 0.1])``.
    seeds : int or sequence of int
        The seeds, zero or above and different; n stands for 0..n-1. The coordinate ``seed`` of
        other results is one too.
    every : int or float or None, default None
        As of `simulate`; None records the start and the end.
    progress : bool or callable, default True
        As of `simulate`.
    steps, time, record, tolerance, dtype, threads, engine, keep_state
        As of `simulate`.

    Returns
    -------
    xarray.Dataset
        As of `simulate`, with the swept fields and ``seed`` as dimensions in place of ``run``. The
        attribute ``initialization`` is the ``repr`` of `init`; of what is put together, as all
        attributes, the first's unless ``combine_attrs="drop_conflicts"``. Where a seed is 2^63 or
        more, which no int64 holds, all seeds are decimal text, and stay it where `xarray.concat`
        puts them beside integers; ``seed.astype(str)`` makes all of them text, as a file needs.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or what the ``sample`` of a law of your own returns does not
        fit the network or is not finite; before any run starts.
    MemoryError
        As of `simulate`.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` whose ``dataset`` has the finished runs along ``run``,
        with their swept fields and seeds as coordinates.
    """
    instance_of("landscape", landscape, Landscape)
    swept = {**swept_fields(init), **sequence_fields(dynamics), "seed": check_seeds(seeds)}
    require_memory_of(landscape, prod(len(values) for values in swept.values()))
    for name, values in swept.items():
        if not isinstance(values, range) and len(set(values)) < len(values):
            twice = next(value for i, value in enumerate(values) if value in values[:i])
            raise ValueError(
                f"{'seeds' if name == 'seed' else name} must be different values; "
                f"got {twice!r} twice."
            )
    cells = zip(*product(*swept.values()), strict=True)
    dataset = sweep_runs(
        landscape,
        init,
        dynamics,
        runs=dict(zip(swept, cells, strict=True)),
        steps=steps,
        time=time,
        record=record,
        every=every,
        tolerance=tolerance,
        dtype=dtype,
        threads=threads,
        engine=engine,
        keep_state=keep_state,
        progress=progress,
    )
    return unstack(dataset, swept)


def unstack(dataset: xr.Dataset, swept: dict[str, Sequence[Any]]) -> xr.Dataset:
    """Replace the dimension run, whose order is that of the cells, by the swept ones."""
    sizes = tuple(len(values) for values in swept.values())
    variables: dict[Hashable, Any] = {}
    for name, variable in dataset.data_vars.items():
        dims = tuple(swept) + variable.dims[1:]
        values = variable.values.reshape(sizes + variable.shape[1:])
        variables[name] = (dims, values, variable.attrs)
    coords: dict[Hashable, Any] = {name: labels(values) for name, values in swept.items()}
    for name, c in dataset.coords.items():
        if "run" not in c.dims:
            coords[name] = c
        elif name != "run" and name not in swept:
            coords[name] = (tuple(swept), c.values.reshape(sizes), c.attrs)
    return xr.Dataset(variables, coords=coords, attrs=dataset.attrs)
