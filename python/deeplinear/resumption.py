"""Runs that go on from where they ended."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import FloatArray, instance_of
from deeplinear._support.memory import aligned_copy
from deeplinear._support.progress import Update, progress_bar
from deeplinear.earlier_runs import EarlierRuns, like, one
from deeplinear.landscape import Landscape
from deeplinear.options import Options, check_options
from deeplinear.records import Recorded
from deeplinear.schedule import Origin
from deeplinear.simulation import Interrupted, add_accuracy, require_copy, run_ensemble

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
    device: str = "cpu",
    progress: bool | Update = False,
) -> xr.Dataset:
    """Let runs go on, and join their records.

    Gradient descent, with momentum and without, and flows of fixed steps go on to the bit as if
    they had not stopped, on every engine and in every precision; flows whose end cut a step short,
    and "dopri5", which always does, take up the weights, and begin anew. The engine "wide" looks
    for extreme eigenvalues from the eigenvectors of the record before, which
    results do not keep: these agree to their accuracy.

    Parameters
    ----------
    landscape : Landscape
        That of the runs.
    dataset : xarray.Dataset
        What `simulate`, `sweep`, `sweep_runs` or `resume` returned, also from a file, and a part of
        its runs, as ``isel`` selects them, with their last record. Runs that completed go on; all
        others stay as they are.
    steps : int, optional
        Number of further steps; for gradient descent, and only there.
    time : float, optional
        Further time; for gradient flow, and only there.
    record : as of `simulate`, optional
        What is recorded from now on; by default what was, but for functions of your own, which
        have to be given again.
    every : int or float or None, default "same"
        As of `simulate`; "same" takes the distance of the records before, and None where they lie
        on no grid.
    tolerance : float, optional
        As of `simulate`; by default that of the runs.
    threads, keep_state, device, progress
        As of `simulate`.

    Returns
    -------
    xarray.Dataset
        As `dataset`, with the further records after those of before. What was not recorded before,
        or not from now on, is NaN there, also in variables of your own that have records; those
        without stay as they are, and coordinates of your own along the records are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, the runs are of another network, of other data or of
        several methods, no run has completed, or the runs need a ``state`` that was not kept.
    MemoryError
        As of `simulate`.
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
    earlier = EarlierRuns.of(dataset, landscape)
    flat, rows = earlier.flat, earlier.rows
    options = check_options(
        landscape,
        earlier.example(),
        steps=steps,
        time=time,
        record=earlier.record() if record is None else record,
        every=earlier.every() if every == "same" else every,
        tolerance=float(one(flat, "tolerance")) if tolerance is None else tolerance,
        dtype=one(flat, "dtype"),
        threads=threads,
        engine=one(flat, "engine"),
        keep_state=keep_state,
        device=device,
    )
    shapes = earlier.check_records(options.record, landscape.network)
    with progress_bar(progress, f"{len(rows)} runs") as update:
        try:
            further = _go_on(landscape, earlier, shapes, options, update)
        except Interrupted as interrupted:
            kept = interrupted.dataset
            before = flat.isel(run=rows[kept["run"].values])
            rows = np.arange(before.sizes["run"])
            raise Interrupted(_joined(before, kept, rows)) from None
    whole = like(dataset, _joined(flat, further, rows))
    places = {earlier.axis: whole[earlier.axis]}
    return whole.assign({name: dataset[name].reindex(places) for name in earlier.others})


def _go_on(
    landscape: Landscape,
    earlier: EarlierRuns,
    shapes: dict[str, tuple[int, ...]],
    options: Options,
    update: Update,
) -> xr.Dataset:
    rows, settings = earlier.rows, earlier.settings
    part = earlier.flat.isel(run=rows)
    chosen = settings.take(rows)
    origin = Origin(
        float(earlier.places[-1]),
        np.ascontiguousarray(part["last_step"].values, np.int64),
        _states(part),
        shapes,
    )
    require_copy(landscape.network, part["weights"].values, options.dtype)
    vectors = aligned_copy(part["weights"].values, options.dtype)
    earlier.check_risk(landscape, vectors)
    try:
        return run_ensemble(landscape, vectors, chosen, options, update, origin)
    except ValueError as error:
        if "states have a wrong length" in str(error):
            raise ValueError(
                "dataset must hold the variable 'state' for these runs to go on; simulate and "
                "sweep keep it with keep_state=True."
            ) from None
        raise


def _states(part: xr.Dataset) -> list[FloatArray]:
    if "state" not in part:
        return [np.zeros(0)] * part.sizes["run"]
    # What pads a state is NaN, and what follows it too; a run that completed has no other.
    return [row[~np.isnan(row)] for row in part["state"].values]


def _joined(flat: xr.Dataset, further: xr.Dataset, rows: npt.NDArray[np.int64]) -> xr.Dataset:
    """Put the records of runs that went on after those of before."""
    axis = "step" if "step" in further.dims else "time"
    converged = flat["status"].values == "converged"
    variables: dict[Hashable, Any] = {}
    for name in dict.fromkeys([*flat.data_vars, *further.data_vars]):
        old, new = _of_one_length(_variable(flat, name), _variable(further, name))
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
            values = old.values
            if new is not None:
                values = np.array(values, dtype=np.result_type(values, new.values))
                values[rows] = new.values
        variables[name] = (model.dims, values, model.attrs)
    coords = {name: c for name, c in flat.coords.items() if axis not in c.dims}
    places = np.concatenate([flat[axis].values, further[axis].values[1:]])
    for name, c in further.coords.items():
        if "run" not in c.dims and (name not in coords or c.size > coords[name].size):
            coords[name] = c
    attrs = {**flat.attrs, "tolerance": further.attrs["tolerance"]}
    whole = xr.Dataset(variables, coords={**coords, axis: places}, attrs=attrs)
    add_accuracy(whole, [flat, further])
    return whole


def _variable(dataset: xr.Dataset, name: Hashable) -> xr.Variable | None:
    return dataset[name].variable if name in dataset else None


def _of_one_length(
    old: xr.Variable | None, new: xr.Variable | None
) -> tuple[xr.Variable | None, xr.Variable | None]:
    """Fill with NaN where one has fewer eigenvalues; both with the dimensions of the first."""
    if old is None or new is None:
        return old, new
    most = max(one.sizes.get("eigenvalue", 0) for one in (old, new))
    old, new = (
        one.pad(eigenvalue=(0, most - one.sizes["eigenvalue"])) if "eigenvalue" in one.dims else one
        for one in (old, new)
    )
    return old, new.transpose(*old.dims)


def _part(
    values: xr.Variable | None,
    model: xr.Variable,
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
    old: xr.Variable | None, new: xr.Variable | None, runs: int, rows: npt.NDArray[np.int64]
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
