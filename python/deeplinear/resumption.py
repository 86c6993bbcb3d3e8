"""Runs that go on from where they ended."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import FloatArray, instance_of
from deeplinear._support.memory import aligned_copy
from deeplinear._support.progress import Update, progress_bar
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.landscape import Landscape
from deeplinear.network import Network
from deeplinear.options import Options, check_options
from deeplinear.records import RECORDABLE, Record, Recorded
from deeplinear.run_settings import RunSettings
from deeplinear.schedule import Origin
from deeplinear.simulation import Interrupted, add_accuracy, run_ensemble
from deeplinear.sweeps import unstack

__all__ = ["resume"]


def resume(
    landscape: Landscape,
    dataset: xr.Dataset,
    *,
    steps: int | None = None,
    time: float | None = None,
    record: Recorded | None = None,
    every: float | Literal["same"] | None = "same",
    tolerance: float | None = None,
    threads: int | None = None,
    keep_state: bool | None = None,
    progress: bool | Update = False,
) -> xr.Dataset:
    """Let runs go on, and join their records.

    Gradient descent, with momentum and without, and flows of fixed steps go on to the bit as if
    they had not stopped, on every engine and in every precision; flows whose end cut a step short,
    and "dopri5", which always does, take up the weights, and begin anew. Recorded eigenvalues of
    large networks, whose first guess is the eigenvector before, agree to their accuracy.

    Parameters
    ----------
    landscape : Landscape
        That of the runs.
    dataset : xarray.Dataset
        What `simulate`, `sweep`, `sweep_runs` or `resume` returned, also from a file. Runs that
        completed go on; all others stay as they are.
    steps : int, optional
        Number of further steps; for gradient descent, and only there.
    time : float, optional
        Further time; for gradient flow, and only there.
    record : as of `simulate`, optional
        What is recorded from now on; by default what was, but for functions of your own, which
        have to be given again.
    every : int or float or None, default "same"
        As of `simulate`; "same" takes the distance of the records before.
    tolerance : float, optional
        As of `simulate`; by default that of the runs.
    threads, keep_state, progress
        As of `simulate`.

    Returns
    -------
    xarray.Dataset
        As `dataset`, with the further records after those of before. What was not recorded before,
        or not from now on, is NaN there.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, the runs are of another network or of several methods, no
        run has completed, or the runs need a ``state`` that was not kept.
    Interrupted
        On Ctrl-C, as of `simulate`; with the further records of the runs that finished.

    Examples
    --------
    >>> import deeplinear as dl
    >>> landscape = dl.Landscape(dl.Network((3, 3, 1)), dl.gaussian_regression(n=12, d=3))
    >>> weights = dl.init.Gaussian(0.5).sample(landscape.network, seed=0)
    >>> descent = dl.GradientDescent(0.01, momentum=0.9)
    >>> half = dl.simulate(landscape, weights, descent, steps=50, every=10)
    >>> whole = dl.resume(landscape, half, steps=50)
    >>> whole["step"].values.tolist()
    [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    """
    instance_of("landscape", landscape, Landscape)
    instance_of("dataset", dataset, xr.Dataset)
    flat, swept = _flat(dataset)
    network = Network(**json.loads(str(flat["network"].item())))
    if network != landscape.network:
        raise ValueError(
            f"dataset must hold runs of the landscape's network, {landscape.network!r}; "
            f"got {network!r}."
        )
    settings = _settings(flat)
    axis = settings.kind.axis
    options = check_options(
        landscape,
        _example(settings),
        steps=steps,
        time=time,
        record=_record(flat) if record is None else record,
        every=_every(flat[axis].values) if every == "same" else every,
        tolerance=flat.attrs["tolerance"] if tolerance is None else tolerance,
        dtype=flat.attrs["dtype"],
        threads=threads,
        engine=str(flat["engine"].item()),
        keep_state=keep_state,
    )
    rows = np.flatnonzero(flat["status"].values == "completed")
    if len(rows) == 0:
        names, counts = np.unique(flat["status"].values, return_counts=True)
        got = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))
        raise ValueError(f"dataset must hold a run that completed; got {got}.")
    with progress_bar(progress, f"{len(rows)} runs") as update:
        try:
            further = _go_on(landscape, flat, rows, settings, options, update)
        except Interrupted as interrupted:
            kept = interrupted.dataset
            before = flat.isel(run=rows[kept["run"].values])
            rows = np.arange(len(before["run"]))
            raise Interrupted(_joined(before, kept, rows)) from None
    whole = _joined(flat, further, rows)
    return whole if swept is None else unstack(whole, swept)


def _go_on(
    landscape: Landscape,
    flat: xr.Dataset,
    rows: npt.NDArray[np.int64],
    settings: RunSettings,
    options: Options,
    update: Update,
) -> xr.Dataset:
    part = flat.isel(run=rows)
    chosen = RunSettings(
        settings.kind,
        settings.method,
        {name: values[rows] for name, values in settings.columns.items()},
    )
    origin = Origin(
        float(flat[settings.kind.axis].values[-1]),
        np.ascontiguousarray(part["last_step"].values, np.int64),
        _states(part),
    )
    vectors = aligned_copy(part["weights"].values, options.dtype)
    try:
        return run_ensemble(landscape, vectors, chosen, options, update, origin)
    except ValueError as error:
        if "states have a wrong length" in str(error):
            raise ValueError(
                "dataset must hold the variable 'state' for these runs to go on; simulate keeps it "
                "with keep_state=True."
            ) from None
        raise


def _states(part: xr.Dataset) -> list[FloatArray]:
    if "state" not in part:
        return [np.zeros(0)] * part.sizes["run"]
    # What pads a state is NaN, and what follows it too; a run that completed has no other.
    return [row[~np.isnan(row)] for row in part["state"].values]


def _flat(dataset: xr.Dataset) -> tuple[xr.Dataset, dict[str, Sequence[Any]] | None]:
    """Put swept runs one after another along ``run``; and what was swept."""
    for name in ("status", "weights", "last_step", "network", "engine"):
        if name not in dataset:
            raise ValueError(
                f"dataset must be what simulate or a sweep returned; {name!r} is missing."
            )
    dims = dataset["status"].dims
    if dims == ("run",):
        return dataset, None
    swept = {str(dim): dataset[dim].values.tolist() for dim in dims}
    grid = np.meshgrid(*(np.arange(dataset.sizes[dim]) for dim in dims), indexing="ij")
    places = {
        dim: xr.DataArray(index.ravel(), dims="run") for dim, index in zip(dims, grid, strict=True)
    }
    flat = dataset.isel(places)
    return flat.assign_coords(run=np.arange(flat.sizes["run"])).transpose("run", ...), swept


def _settings(flat: xr.Dataset) -> RunSettings:
    """Read the dynamics of every run from coordinates and attributes."""
    swept = "method" in flat.coords
    names = set(np.unique(flat["method"].values).tolist()) if swept else {flat.attrs.get("method")}
    if len(names) != 1:
        raise ValueError(f"dataset must hold runs of one method; got {sorted(map(str, names))}.")
    name = str(names.pop())
    kind: type[Dynamics] = GradientDescent if name == GradientDescent.label else GradientFlow
    runs, columns = flat.sizes["run"], {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in flat.coords and flat[field.name].dims == ("run",):
            columns[field.name] = flat[field.name].values
        elif field.name in flat.attrs and field.name != "method":
            columns[field.name] = np.repeat(flat.attrs[field.name], runs)
    return RunSettings(kind, "euler" if kind is GradientDescent else name, columns)


def _example(settings: RunSettings) -> Dynamics:
    """Return dynamics of the first run, to check arguments against."""
    step = float(settings.step[0])
    if settings.kind is GradientDescent:
        return GradientDescent(step)
    return GradientFlow(settings.method, step)


def _record(flat: xr.Dataset) -> list[str]:
    """Return what was recorded, as `simulate` takes it."""
    found = []
    for name in RECORDABLE:
        if (variable := Record(name).variable) in flat.data_vars:
            sizes = flat[variable].sizes
            found.append(f"{name}:{sizes['eigenvalue']}" if "eigenvalue" in sizes else name)
    return found


def _every(places: npt.NDArray[Any]) -> float | None:
    return None if len(places) <= 2 else (places[1] - places[0]).item()


def _joined(flat: xr.Dataset, further: xr.Dataset, rows: npt.NDArray[np.int64]) -> xr.Dataset:
    """Put the records of runs that went on after those of before."""
    axis = "step" if "step" in further.dims else "time"
    converged = flat["status"].values == "converged"
    variables: dict[Hashable, Any] = {}
    for name in dict.fromkeys([*flat.data_vars, *further.data_vars]):
        old, new = flat.get(name), further.get(name)
        model = new if old is None else old
        assert model is not None
        if axis in model.dims:
            before = _part(old, model, flat, axis)
            after = _part(None, model, flat, axis, further.sizes[axis] - 1)
            if old is not None:
                after[converged] = before[converged][:, -1:]
            if new is not None:
                after[rows] = new.values[:, 1:]
            values = np.concatenate([before, after], axis=1)
        elif name == "state":
            values = _merged_states(old, new, flat.sizes["run"], rows)
        else:
            assert old is not None
            assert new is not None
            kind = np.result_type(old.values, new.values)
            values = np.array(old.values, dtype=kind)
            values[rows] = new.values
        variables[name] = (model.dims, values, model.attrs)
    coords = {name: c for name, c in flat.coords.items() if axis not in c.dims}
    places = np.concatenate([flat[axis].values, further[axis].values[1:]])
    coords |= {n: c for n, c in further.coords.items() if n not in coords and "run" not in c.dims}
    whole = xr.Dataset(variables, coords={**coords, axis: places}, attrs=flat.attrs)
    add_accuracy(whole, [flat, further])
    return whole


def _part(
    values: xr.DataArray | None,
    model: xr.DataArray,
    flat: xr.Dataset,
    axis: str,
    records: int | None = None,
) -> FloatArray:
    """Return records (runs, records, ...), NaN where there are none."""
    if values is not None:
        return np.asarray(values.values)
    count = flat.sizes[axis] if records is None else records
    return np.full((flat.sizes["run"], count, *model.shape[2:]), np.nan)


def _merged_states(
    old: xr.DataArray | None, new: xr.DataArray | None, runs: int, rows: npt.NDArray[np.int64]
) -> FloatArray:
    """Return the states at the end, of runs that stayed those of before."""
    most = max(0 if values is None else values.shape[1] for values in (old, new))
    states = np.full((runs, most), np.nan)
    if old is not None:
        states[:, : old.shape[1]] = old.values
    states[rows] = np.nan
    if new is not None:
        states[rows, : new.shape[1]] = new.values
    return states
