"""Runs a preset, and keeps what came out with every setting that led to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear import _core
from deeplinear.assembly import (
    REACHED,
    REACHED_NONLINEAR,
    SETTLED_FOR,
    Block,
    assemble,
    reached_below,
)
from deeplinear.dynamics import GradientDescent
from deeplinear.experiments import Preset, Problem, check_seed
from deeplinear.files import replacing, require, writable_directory
from deeplinear.landscape import Landscape
from deeplinear.preset_files import to_toml
from deeplinear.progress import Update, progress_bar
from deeplinear.simulation import Interrupted
from deeplinear.sweeps import sweep

__all__ = [
    "REACHED",
    "REACHED_NONLINEAR",
    "SETTLED_FOR",
    "check_seed",
    "finished",
    "initial_seeds",
    "run",
    "save",
]

_SEED_STRIDE = 1_000_000


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
    progress: bool | Update = True,
) -> xr.Dataset:
    """Run an experiment.

    Parameters
    ----------
    preset : Preset
        The experiment.
    seed : int, optional
        From 0 to 2^32 - 1, the preset's by default: the data and the readout are drawn from it,
        and the initial weights have the `initial_seeds` of it, so another seed gives other data
        and other runs.
    threads, dtype
        As of `deeplinear.simulate`.
    progress : bool or callable, default True
        Whether to show one progress bar on a terminal; or a function that is called with the
        share of all work that is done, from 0 to 1.

    Returns
    -------
    xarray.Dataset
        Dimensions ``run`` and ``record``. Record 0 is the start, the last one the end, called
        "start" and "end" where there are no others. A part of the training with fewer records
        than the longest has NaN in between.

        Coordinates of ``run``: ``part`` (number of the training), ``problem``, ``depth``,
        ``scale``, ``learning_rate`` (NaN for gradient flow), ``dynamics``, ``seed``, and the
        labels of the problems.

        Variables: what was recorded (run, record), with ``layer`` or ``pair`` as of
        `deeplinear.simulate`, beside ``time`` and ``step``; ``status`` (run); ``reached`` (run),
        whether the excess risk at the end, and for gradient descent `SETTLED_FOR` steps or one
        record before (``risk_before_end``), is at most `REACHED` of the zero map's (of nonlinear
        networks the risk itself, and `REACHED_NONLINEAR`); ``steps`` and
        ``last_step`` (run), to take (NaN for gradient flow) and taken; the bounds of
        `deeplinear.theory` for the run's problem and depth (run); the data ``X``, ``y`` and
        ``minimizer`` by problem; ``weights`` (run, parameter) at the end, where they are not many.

        Attributes: the settings, ``preset`` (as TOML) among them, and the seconds that the
        simulation took.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; before any work starts.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` whose ``dataset`` is as above, of the finished runs.
    """
    preset = _seeded(preset, seed)
    text = to_toml(preset)
    problems = preset.data.problems(preset.seed)
    blocks = list(_blocks(preset, problems))
    works = [_work(preset, block) for block in blocks]
    total, done = sum(works), 0.0
    swept: list[tuple[Block, xr.Dataset]] = []
    interrupted = False
    start = time.perf_counter()
    description = f"{preset.name}: {preset.runs:,} runs"
    bar = nullcontext(progress) if callable(progress) else progress_bar(progress, description)
    with bar as update:
        try:
            for block, work in zip(blocks, works, strict=True):
                dataset = _sweep(
                    preset,
                    block,
                    threads=threads,
                    dtype=dtype,
                    progress=lambda x, d=done, w=work: update((d + w * x) / total),  # type: ignore[misc]
                )
                swept.append((block, dataset))
                done += work
                update(done / total)
        except Interrupted as stopped:
            swept.append((block, stopped.dataset))
            interrupted = True
        except KeyboardInterrupt:  # between two simulations
            interrupted = True
    seconds = time.perf_counter() - start
    if not swept:
        raise KeyboardInterrupt
    dataset = assemble(preset, problems, swept)
    dataset.attrs = _settings(preset, text, swept[0][1], threads)
    dataset.attrs["simulation_seconds"] = seconds
    if interrupted:
        raise Interrupted(dataset)
    return dataset


def _seeded(preset: Preset, seed: int | None) -> Preset:
    """Give a preset the seed of the run: its text says what was run."""
    return preset if seed is None else replace(preset, seed=check_seed("seed", seed))


def _blocks(preset: Preset, problems: list[Problem]) -> Iterator[Block]:
    """Cut the experiment into sweeps: part by part, problem by problem, depth by depth."""
    for i, training in enumerate(preset.training):
        for j, problem in enumerate(problems):
            for depth in preset.network.depths:
                yield Block(i, training, j, problem.regression, depth)


def _work(preset: Preset, block: Block) -> float:
    """Estimate the work of a block, in steps times layers; for the progress alone."""
    training, depths = block.training, len(preset.network.depths)
    runs = preset.cells(training) * training.runs / (preset.data.count * depths)
    # An adaptive step is as long as the curvature lets it, about 0.1 at sharpness 20.
    steps = training.steps if training.steps is not None else 10 * (training.time or 0.0)
    return runs * steps * block.depth


def _sweep(
    preset: Preset,
    block: Block,
    *,
    threads: int | None,
    dtype: npt.DTypeLike,
    progress: Update,
) -> xr.Dataset:
    """Train a block."""
    training, every = block.training, block.training.every
    if every is None and training.steps is not None:
        every = max(1, training.steps - SETTLED_FOR)
    dynamics = training.dynamics
    if isinstance(dynamics, GradientDescent):
        dynamics = GradientDescent(training.learning_rates)  # a dimension, also of one rate
    network = preset.network.network(preset.data.d, block.depth, preset.seed)
    return sweep(
        Landscape(network, block.regression),
        preset.law(training),
        dynamics,
        seeds=initial_seeds(preset.seed, training.runs),
        steps=training.steps,
        time=training.time,
        record=preset.record,
        every=every,
        tolerance=training.tolerance,
        dtype=dtype,
        threads=threads,
        progress=progress,
    )


def _settings(preset: Preset, text: str, part: xr.Dataset, threads: int | None) -> dict[str, Any]:
    """Every setting, as text and numbers that netCDF holds."""
    build = _core.build_config()
    return {
        "experiment": preset.name,
        "title": preset.title,
        "preset": text,
        "n": preset.data.n,
        "d": preset.data.d,
        "network": preset.network.kind,
        "activation": preset.network.activation,
        "readout": part.attrs["readout"],
        "init": type(preset.init).__name__,
        "record": " ".join(preset.record),
        "figures": " ".join(preset.figures),
        "seed": preset.seed,
        "dtype": part.attrs["dtype"],
        "threads": build["threads"] if threads is None else threads,
        "reached_below": reached_below(preset.network.linear),
        "reached_for_steps": SETTLED_FOR,
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


def finished(
    preset: Preset,
    directory: str | os.PathLike[str],
    seed: int | None = None,
    dtype: npt.DTypeLike = "float64",
) -> xr.Dataset | None:
    """Read the data of an experiment that was run before with the same settings.

    Parameters
    ----------
    preset, seed, dtype
        As of `run`.
    directory : path-like
        Where `save` wrote them.

    Returns
    -------
    xarray.Dataset or None
        None where there is no such file, or `difference` finds one.
    """
    path = Path(directory) / f"{preset.name}.nc"
    if not path.exists() or difference(preset, path, seed, dtype) is not None:
        return None
    return xr.load_dataset(path, engine="h5netcdf")


def difference(
    preset: Preset,
    path: str | os.PathLike[str],
    seed: int | None = None,
    dtype: npt.DTypeLike = "float64",
) -> str | None:
    """Say in a few words what tells stored data from those that `run` would give.

    Parameters
    ----------
    preset, seed, dtype
        As of `run`.
    path : path-like
        A file that is there.

    Returns
    -------
    str or None
        Such as ``"seed 3, not 0"``; None where settings and version are the same.
    """
    preset = _seeded(preset, seed)
    wanted = {
        "seed": preset.seed,
        "dtype": np.dtype(dtype).name,
        "deeplinear_version": _core.build_config()["version"],
        "preset": to_toml(preset),
    }
    require("A netCDF file", *SAVE_MODULES)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            stored = {name: dataset.attrs[name] for name in wanted}
    except (OSError, ValueError, KeyError):
        return "no data of this program"
    for name, value in wanted.items():
        if stored[name] != value:
            what = f"{name.replace('_', ' ')} {stored[name]}, not {value}"
            return "an experiment of other settings" if name == "preset" else what
    return None
