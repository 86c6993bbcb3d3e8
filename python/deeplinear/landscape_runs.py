"""Training over a grid of initializations, dynamics and seeds on one landscape."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import instance_of, sequence_fields
from deeplinear._support.progress import Update
from deeplinear.cells import Cells
from deeplinear.dynamics import Dynamics
from deeplinear.init import Initialization
from deeplinear.landscape import Landscape
from deeplinear.records import Recorded
from deeplinear.runs import run_cells, swept_fields
from deeplinear.seeds import check_seeds, labels

__all__ = ["sweep_landscape", "unstack"]


def sweep_landscape(
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
    """Run a sweep on one landscape; as `sweep`."""
    instance_of("landscape", landscape, Landscape)
    swept = {**swept_fields(init), **sequence_fields(dynamics), "seed": check_seeds(seeds)}
    dataset = run_cells(
        landscape,
        init,
        dynamics,
        Cells.grid(swept),
        progress=progress,
        steps=steps,
        time=time,
        record=record,
        every=every,
        tolerance=tolerance,
        dtype=dtype,
        threads=threads,
        engine=engine,
        keep_state=keep_state,
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
