"""The runs of one landscape on the grid of what is swept."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import xarray as xr

from deeplinear.seeds import labels

__all__ = ["unstack"]


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
