"""Runs a preset, and keeps what came out with every setting that led to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear import _core, theory
from deeplinear.checks import non_negative_integer
from deeplinear.dynamics import GradientDescent
from deeplinear.files import replacing, require, writable_directory
from deeplinear.landscape import Landscape
from deeplinear.presets import Preset, Training
from deeplinear.progress import progress_bar
from deeplinear.regression import Regression
from deeplinear.simulation import RECORDABLE, Interrupted, Progress
from deeplinear.sweeps import sweep

__all__ = ["REACHED", "check_seed", "initial_seeds", "run", "save"]

#: A run has reached a minimizer where its excess risk is at most this share of the zero map's,
REACHED = 1e-6
#: at the end and this number of steps before: above a critical learning rate runs come near a
#: minimizer by chance, but a step away from it multiplies the distance.
SETTLED_FOR = 10

_SEED_STRIDE = 1_000_000
_LARGEST_SEED = 2**32 - 1


def check_seed(name: str, value: object) -> int:
    """Take a seed of an experiment, from 0 to 2^32 - 1."""
    seed = non_negative_integer(name, value)
    if seed > _LARGEST_SEED:
        raise ValueError(f"{name} must be at most {_LARGEST_SEED}; got {seed}.")
    return seed


def initial_seeds(seed: int, runs: int) -> range:
    """Seeds of the initial weights of the runs of every cell: ``1_000_000 (seed + 1) + i``.

    Two experiments of different seeds share none, and none is the seed of its own data. Cells of
    different scales and learning rates share them: run i starts from the same normal draws, so
    the cells can be compared run by run.

    Parameters
    ----------
    seed : int
        The seed of the experiment.
    runs : int
        Runs per cell.
    """
    first = _SEED_STRIDE * (seed + 1)
    return range(first, first + runs)


def run(
    preset: Preset,
    *,
    seed: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike = "float64",
    progress: bool | Progress = True,
) -> xr.Dataset:
    """Run an experiment.

    Parameters
    ----------
    preset : Preset
        The experiment.
    seed : int, optional
        From 0 to 2^32 - 1, the preset's by default: the data are
        ``gaussian_regression(..., seed=seed)``, and the initial weights have the `initial_seeds`
        of it, so another seed gives other data and other runs.
    threads, dtype
        As of `deeplinear.simulate`.
    progress : bool or callable, default True
        Whether to show one progress bar on a terminal; or a function that is called with the
        share of all steps that is done, from 0 to 1.

    Returns
    -------
    xarray.Dataset
        Dimension ``run``, with coordinates ``learning_rate``, ``scale`` and ``seed``, and
        ``record``, "start" and "end". Variables: what was recorded (run, record); ``status``
        (run), "completed" or "diverged"; ``reached`` (run), whether the excess risk at the end
        and `SETTLED_FOR` steps before (``risk_before_end``) is at most `REACHED` of the zero
        map's; ``steps`` and ``last_step`` (run), to take and taken; ``weights`` (run, parameter)
        at the end; the data ``X``, ``y`` and their ``minimizer``. Every setting, the bounds of
        `deeplinear.theory` and the seconds that the simulation took are attributes.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; before any work starts.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` whose ``dataset`` is as above, of the finished runs.
    """
    seed = check_seed("seed", preset.seed if seed is None else seed)
    regression = preset.data.regression(seed)
    landscape = Landscape(preset.network, regression)
    init = replace(preset.init, scale=preset.scales)
    total, done = preset.steps, 0
    parts: list[xr.Dataset] = []
    interrupted = False
    start = time.perf_counter()
    description = f"{preset.name}: {preset.runs} runs"
    bar = nullcontext(progress) if callable(progress) else progress_bar(progress, description)
    with bar as update:
        for training in preset.training:
            work = len(preset.scales) * training.runs * training.steps
            try:
                swept = sweep(
                    landscape,
                    init,
                    GradientDescent((training.learning_rate,)),
                    seeds=initial_seeds(seed, training.runs),
                    steps=training.steps,
                    record=preset.record,
                    every=max(1, training.steps - SETTLED_FOR),
                    dtype=dtype,
                    threads=threads,
                    progress=lambda x, d=done, w=work: update((d + w * x) / total),  # type: ignore[misc]
                )
                parts.append(_label(_flat(swept), training))
                done += work
                update(done / total)
            except Interrupted as stopped:
                parts.append(_label(stopped.dataset, training))
                interrupted = True
                break
            except KeyboardInterrupt:  # between two simulations
                interrupted = True
                break
    seconds = time.perf_counter() - start
    if not parts:
        raise KeyboardInterrupt
    dataset = _assemble(parts, regression)
    dataset.attrs = _settings(preset, seed, regression, parts[0], threads)
    dataset.attrs["simulation_seconds"] = seconds
    if interrupted:
        raise Interrupted(dataset)
    return dataset


def _flat(swept: xr.Dataset) -> xr.Dataset:
    """Put the swept dimensions into one, ``run``, with their values as coordinates."""
    dims = ("learning_rate", "scale", "seed")
    return swept.stack(run=dims).reset_index("run").transpose("run", ...)


def _label(part: xr.Dataset, training: Training) -> xr.Dataset:
    """Name the records, and add the steps that the runs were to take."""
    part = part.drop_vars([name for name in ("run", "step") if name in part.coords])
    before = part["risk"].isel(step=-2)
    part = part.isel(step=[0, -1]).rename(step="record").assign_coords(record=["start", "end"])
    steps = np.full(part.sizes["run"], training.steps)
    return part.assign(
        steps=("run", steps, {"long_name": "steps to take"}),
        risk_before_end=("run", before.values, {"long_name": f"risk {SETTLED_FOR} steps before"}),
    )


def _assemble(parts: list[xr.Dataset], regression: Regression) -> xr.Dataset:
    """Put the learning rates together, and add the data and what follows from them."""
    dataset = xr.concat(parts, dim="run", join="exact", combine_attrs="drop_conflicts")
    for name, variable in dataset.data_vars.items():
        if name in RECORDABLE:
            variable.attrs["long_name"] = RECORDABLE[str(name)][0]
    if "sharpness" in dataset:
        sharpness = [part["sharpness"].attrs for part in parts]
        residual = max(attrs["largest_relative_residual"] for attrs in sharpness)
        unconverged = sum(attrs["unconverged"] for attrs in sharpness)
        dataset["sharpness"].attrs["largest_relative_residual"] = float(residual)
        dataset["sharpness"].attrs["unconverged"] = int(unconverged)
    end = dataset["risk"].sel(record="end").values
    latest = np.maximum(end, dataset["risk_before_end"].values) - regression.minimum_risk
    reached = latest <= REACHED * _zero_map_excess(regression)
    dataset["reached"] = (
        "run",
        reached & (dataset["status"].values != "diverged"),
        {
            "long_name": f"excess risk at the end, and {SETTLED_FOR} steps before, at most "
            f"{REACHED:g} of the zero map's"
        },
    )
    dataset["X"] = (("sample", "input"), regression.X)
    dataset["y"] = ("sample", regression.y)
    dataset["minimizer"] = ("input", regression.minimizer)
    for name, long_name in (
        ("learning_rate", "learning rate"),
        ("scale", "standard deviation of the initial weights"),
        ("seed", "seed of the initial weights"),
    ):
        dataset[name].attrs["long_name"] = long_name
    return dataset


def _zero_map_excess(regression: Regression) -> float:
    """``R(0) - R(w*) = w*^T C w*``."""
    w = regression.minimizer
    return float(w @ regression.covariance @ w)


def _settings(
    preset: Preset, seed: int, regression: Regression, part: xr.Dataset, threads: int | None
) -> dict[str, Any]:
    """Every setting and bound, as text, numbers and arrays that netCDF holds."""
    depth, build = preset.depth, _core.build_config()
    return {
        "experiment": preset.name,
        "title": preset.title,
        "n": preset.data.n,
        "d": preset.data.d,
        "noise": preset.data.noise,
        "seed": seed,
        "depth": depth,
        **{name: part.attrs[name] for name in ("widths", "readout", "activation", "method")},
        "init": type(preset.init).__name__,
        "scales": np.array(preset.scales),
        "learning_rates": np.array([t.learning_rate for t in preset.training]),
        "steps": np.array([t.steps for t in preset.training]),
        "runs_per_cell": np.array([t.runs for t in preset.training]),
        "record": " ".join(preset.record),
        "tolerance": part.attrs["tolerance"],
        "dtype": part.attrs["dtype"],
        "threads": build["threads"] if threads is None else threads,
        "reached_below": REACHED,
        "reached_for_steps": SETTLED_FOR,
        "minimum_risk": regression.minimum_risk,
        "covariance_eigenvalues": np.array(regression.eigenvalues),
        "curvature_along_minimizer": theory.curvature_along_minimizer(regression),
        "sharpness_lower_bound": theory.sharpness_lower_bound(regression, depth),
        "aligned_sharpness": theory.aligned_sharpness(regression, depth),
        "sharpness_upper_bound": theory.sharpness_upper_bound(regression, depth),
        "small_scale_sharpness_bound": theory.small_scale_sharpness_bound(regression, depth),
        "critical_learning_rate": theory.critical_learning_rate(regression, depth),
        "deeplinear_version": build["version"],
        "compiler": build["compiler"],
        "simd": part.attrs["simd"],
    }


def save(dataset: xr.Dataset, directory: str | os.PathLike[str], name: str | None = None) -> Path:
    """Write what `run` returned as a netCDF file, which is whole or not there.

    Parameters
    ----------
    dataset : xarray.Dataset
        The data.
    directory : path-like
        Where to; made if it is not there.
    name : str, optional
        The file's name without its ending, the experiment's by default.

    Returns
    -------
    Path
        The file, ``NAME.nc``. Read it with ``xarray.load_dataset(path, engine="h5netcdf")``.

    Raises
    ------
    ImportError
        If h5netcdf or h5py is missing.
    ValueError
        If the directory cannot be written.
    """
    require("A netCDF file", *SAVE_MODULES)
    folder = writable_directory("directory", directory)
    path = folder / f"{dataset.attrs['experiment'] if name is None else name}.nc"
    with replacing(path) as temporary:
        dataset.to_netcdf(
            temporary, engine="h5netcdf", encoding=dict(_compression(dataset.variables.items()))
        )
    return path


#: What `save` needs beyond the package's own requirements.
SAVE_MODULES = ("h5netcdf", "h5py")


def _compression(
    variables: Iterable[tuple[Any, xr.Variable]],
) -> Iterable[tuple[Any, dict[str, Any]]]:
    """Compress the large arrays of numbers."""
    for name, variable in variables:
        if variable.dtype.kind == "f" and variable.size > 1000:
            yield name, {"zlib": True, "complevel": 4, "shuffle": True}
