"""Results, read as runs that can go on."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import FloatArray
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.landscape import Landscape
from deeplinear.landscape_runs import unstack
from deeplinear.network import Network
from deeplinear.records import RECORDABLE, Record, Recording, lengths_of_axes
from deeplinear.run_settings import RunSettings

__all__ = ["EarlierRuns"]


@dataclass(frozen=True)
class EarlierRuns:
    """What runs had come to.

    Attributes
    ----------
    flat : xarray.Dataset
        The runs one after another: (run, records, ...).
    rows : ndarray
        The runs that completed.
    settings : RunSettings
        The dynamics of every run.
    others : list
        The names of what the result holds beside its runs.
    """

    flat: xr.Dataset
    rows: npt.NDArray[np.int64]
    settings: RunSettings
    others: list[Hashable]

    @classmethod
    def of(cls, dataset: xr.Dataset, landscape: Landscape) -> EarlierRuns:
        """Read a result, and refuse what cannot go on."""
        for name in ("status", "weights", "last_step", "network", "engine"):
            if name not in dataset:
                raise ValueError(
                    f"dataset must be what simulate or a sweep returned; {name!r} is missing."
                )
        flat = _flat(dataset)
        _refuse_other(Network(**json.loads(one(flat, "network"))), landscape.network)
        rows = np.flatnonzero(flat["status"].values == "completed")
        if len(rows) == 0:
            names, counts = np.unique(flat["status"].values.astype(str), return_counts=True)
            got = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))
            raise ValueError(f"dataset must hold a run that completed; got {got or 'no run'}.")
        settings = _settings(flat)
        axis = settings.kind.axis
        if axis not in flat.dims or axis not in flat.coords:
            raise ValueError(
                f"dataset must have the dimension {axis!r}, as isel({axis}=[-1]) keeps it; "
                f"got {', '.join(map(str, dataset.sizes))}."
            )
        others = [name for name, values in flat.data_vars.items() if "run" not in values.dims]
        found = cls(flat.drop_vars(others).transpose("run", axis, ...), rows, settings, others)
        found._check_end()
        return found

    @property
    def axis(self) -> str:
        """What the runs are measured by."""
        return self.settings.kind.axis

    @property
    def places(self) -> npt.NDArray[Any]:
        """The steps, or the times, of the records."""
        return np.asarray(self.flat[self.axis].values)

    def example(self) -> Dynamics:
        """Return dynamics of the first run, to check arguments against."""
        step = float(self.settings.step[0])
        if self.settings.kind is GradientDescent:
            return GradientDescent(step)
        return GradientFlow(self.settings.method, step)

    def record(self) -> list[str]:
        """Return what was recorded, as `simulate` takes it."""
        found = []
        for name in RECORDABLE:
            if (variable := Record(name).variable) in self.flat.data_vars:
                sizes = self.flat[variable].sizes
                found.append(f"{name}:{sizes['eigenvalue']}" if "eigenvalue" in sizes else name)
        return found

    def every(self) -> float | None:
        """Return what lies between two records, as `simulate` takes it; None without a grid."""
        places = self.places
        if len(places) <= 2:
            return None
        distance = float(places[1] - places[0])
        # A grid has all multiples up to the end; one of a flow that was cut short begins anew.
        multiples = (places - places[0]) / distance
        on_grid = np.sum(np.abs(multiples - np.rint(multiples)) < 1e-6)
        repeats = np.sum(np.abs(np.diff(multiples) - 1) < 1e-6)
        if on_grid <= int(multiples[-1] + 1e-6) and repeats == 1:
            return None
        if self.settings.counts_steps:
            return int(distance)
        if self.settings.adaptive:
            return distance
        steps = distance / self.settings.step
        whole = round(float(steps[0]))
        return whole if whole > 0 and np.all(np.abs(steps - whole) <= 1e-6 * whole) else None

    def check_records(self, recording: Recording, network: Network) -> dict[str, tuple[int, ...]]:
        """Refuse records that fit none of before; return the shapes of those of own functions."""
        shapes = {}
        for record in recording.records:
            lengths = lengths_of_axes(network, record.count)
            self._check_axes(record.variable, {axis: lengths[axis] for axis in record.axes})
        for function in recording.functions:
            name = function.__name__
            if name in self.flat.coords or name in self.flat.dims:
                raise ValueError(
                    "record must hold functions with names of their own; "
                    f"{name!r} is taken in dataset."
                )
            if name in self.flat:
                axes = [f"{name}_{i}" for i in range(self.flat[name].ndim - 2)]
                self._check_axes(name, {axis: self.flat.sizes.get(axis, 0) for axis in axes})
                shapes[name] = tuple(self.flat.sizes[axis] for axis in axes)
        return shapes

    def check_risk(self, landscape: Landscape, vectors: FloatArray) -> None:
        """Refuse weights whose risk is not the last one that was recorded."""
        if "risk" not in self.flat:
            return
        # float32 has some 1e-7 of the end-to-end map: of the risk up to its root, times that.
        close, small = (1e-6, 1e-12) if self.flat.attrs["dtype"] == "float64" else (1e-2, 1e-5)
        zero = float(np.mean(np.square(landscape.regression.y)))
        recorded = self.flat["risk"].values[self.rows, -1]
        for row, vector, before in zip(self.rows, vectors, recorded, strict=True):
            risk = landscape.risk(landscape.network.unflatten(vector))
            if abs(risk - before) > close * before + small * zero:
                raise ValueError(
                    "dataset must hold runs on the landscape's data, with their last record; "
                    f"of run {row} the last risk is {before:.6g}, and that of its weights "
                    f"{risk:.6g}."
                )

    def _check_end(self) -> None:
        steps, end = self.flat["last_step"].values[self.rows], self.places[-1]
        if self.settings.counts_steps and np.any(steps != end):
            raise ValueError(
                f"dataset must have the last record of its runs, of step {int(steps.max())}; "
                f"it ends with step {end}."
            )
        if self.flat["weights"].isnull().values[self.rows].any():
            raise ValueError("dataset must have the weights of all runs that completed; got NaN.")

    def _check_axes(self, name: str, lengths: dict[str, int]) -> None:
        if name not in self.flat:
            return
        sizes = {str(dim): size for dim, size in self.flat[name].sizes.items()}
        rest = {dim: size for dim, size in sizes.items() if dim not in ("run", self.axis)}
        if "eigenvalue" in lengths and "eigenvalue" in rest:  # there may be more, or fewer
            lengths = {**lengths, "eigenvalue": rest["eigenvalue"]}
        if rest != lengths or not {"run", self.axis} <= sizes.keys():
            raise ValueError(
                f"dataset must hold {name!r} whole where it is recorded further, by "
                f"{lengths or 'nothing'} beside run and {self.axis}; got {rest or 'nothing'}."
            )


def one(flat: xr.Dataset, name: str) -> str:
    """Return what a coordinate or an attribute says of all runs."""
    if name not in flat.coords and name not in flat.attrs:
        raise ValueError(
            f"dataset must keep {name!r}, a coordinate or an attribute of what simulate or a sweep "
            "returned; it is missing."
        )
    values = flat[name].values if name in flat.coords else flat.attrs[name]
    found = np.unique(np.asarray(values).astype(str)).tolist()
    if len(found) != 1:
        raise ValueError(
            f"dataset must hold runs of one {name}, as isel selects them; got {found}."
        )
    return str(found[0])


def like(dataset: xr.Dataset, flat: xr.Dataset) -> xr.Dataset:
    """Give runs the dimensions that they had in a result."""
    dims = dataset["status"].dims
    if dims == ("run",):
        return flat
    whole = unstack(flat, {str(dim): range(dataset.sizes[dim]) for dim in dims}).drop_vars(dims)
    own = [name for name in (*dims, "run") if name in dataset.coords]
    return whole.assign_coords(dataset[own].coords)


def _flat(dataset: xr.Dataset) -> xr.Dataset:
    """Put runs one after another along ``run``."""
    dims = dataset["status"].dims
    if dims == ("run",):
        return dataset.transpose("run", ...)
    if not dims:
        flat = dataset.drop_vars("run", errors="ignore").expand_dims("run")
    else:
        grid = np.meshgrid(*(np.arange(dataset.sizes[dim]) for dim in dims), indexing="ij")
        flat = dataset.isel(
            {
                dim: xr.DataArray(index.ravel(), dims="run")
                for dim, index in zip(dims, grid, strict=True)
            }
        )
    return flat.assign_coords(run=np.arange(flat.sizes["run"])).transpose("run", ...)


def _refuse_other(network: Network, own: Network) -> None:
    if network == own:
        return
    if network.depth != own.depth:
        says = f"which has {own.depth} layers; got {network.depth}"
    elif network.widths != own.widths:
        pairs = enumerate(zip(network.widths, own.widths, strict=True))
        k, got, has = next((k, a, b) for k, (a, b) in pairs if a != b)
        says = f"which has widths[{k}] = {has}; got {got}"
    elif network.activation != own.activation:
        says = f"which has the activation {own.activation!r}; got {network.activation!r}"
    else:
        says = "which has another readout"
    raise ValueError(f"dataset must hold runs of the landscape's network, {says}.")


def _settings(flat: xr.Dataset) -> RunSettings:
    """Read the dynamics of every run from coordinates and attributes."""
    name = one(flat, "method")
    kind: type[Dynamics] = GradientDescent if name == GradientDescent.label else GradientFlow
    runs, columns = flat.sizes["run"], {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name == "method":
            continue
        if field.name in flat.coords:
            columns[field.name] = np.broadcast_to(flat[field.name].values, (runs,))
        elif field.name in flat.attrs:
            columns[field.name] = np.repeat(flat.attrs[field.name], runs)
    if kind.step_field not in columns:
        one(flat, kind.step_field)  # says that it is missing
    return RunSettings(kind, "euler" if kind is GradientDescent else name, columns)
