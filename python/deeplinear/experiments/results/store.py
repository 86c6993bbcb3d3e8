"""The files of experiments: complete ones, and the runs that had finished when one was stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import deeplinear as dl
from deeplinear._support.files import (
    file_name,
    locked,
    require,
    user_path,
    writable_directory,
    write_file,
)
from deeplinear.experiments.preset import Preset, check_seed
from deeplinear.experiments.results.netcdf import MODULES, PART, Unusable, load, pack
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.table import lacking
from deeplinear.experiments.toml import canonical, to_toml

__all__ = ["SAVE_MODULES", "difference", "environment", "finished", "keep", "save", "unfinished"]

#: What `save` needs beyond the package's own requirements.
SAVE_MODULES = MODULES

#: The attributes that say what was run, and those that decide its last bits beside.
_SETTINGS = ("seed", "dtype", "deeplinear_version", "preset")
_BITS = ("simd", "compiler")
#: What tells a run from the others of its experiment.
_KEY = ("part", "problem", "depth", "learning_rate", "scale", "seed")


def save(dataset: xr.Dataset, directory: str | os.PathLike[str], name: str | None = None) -> Path:
    """Write what `run` returned as a netCDF file, which is whole or not there.

    The file is made in memory, with a checksum of all its bytes at the end (see the module
    `netcdf`), flushed to the disk, and given its name. It takes the memory of the file twice
    beside the data.

    Parameters
    ----------
    dataset : xarray.Dataset
        The data.
    directory : path-like
        Where to; made if it is not there.
    name : str, optional
        The file's name without its ending, the experiment's by default. A file that is there is
        replaced.

    Returns
    -------
    Path
        The file, ``NAME.nc``. Read it with ``xarray.load_dataset(path, engine="h5netcdf")``.

    Raises
    ------
    ImportError
        If h5netcdf or h5py is missing.
    TypeError, ValueError
        If the directory cannot be written, or the name is not that of a file in it.
    OSError
        If the file cannot be written, for want of space say; an older one is as it was.
    """
    require("A netCDF file", *SAVE_MODULES)
    stem = _name(dataset) if name is None else file_name("name", name)
    path = writable_directory("directory", directory) / f"{stem}.nc"
    write_file(path, pack(dataset))
    return path


def save_new(
    dataset: xr.Dataset,
    preset: Preset,
    directory: str | os.PathLike[str],
    dtype: npt.DTypeLike = "float64",
) -> Path:
    """Save all runs of an experiment, over no data that another try has saved meanwhile.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `run` returned.
    preset, dtype
        As of `run`.
    directory : path-like
        Where to; made if it is not there.

    Returns
    -------
    Path
        The file: that of `save`, or where data of other settings have its name, that of `keep`.

    Raises
    ------
    ImportError, ValueError, OSError
        As of `save`.
    """
    require("A netCDF file", *SAVE_MODULES)
    folder = writable_directory("directory", directory)
    path, content = folder / f"{_name(dataset)}.nc", pack(dataset)
    with locked(folder):
        try:
            write_file(path, content, new=True)
        except FileExistsError:
            taken = os.path.exists(path) and difference(preset, path, dtype=dtype) is not None
            if not taken:
                write_file(path, content)
        else:
            taken = False
    return keep(dataset, folder) if taken else path


def _name(dataset: xr.Dataset) -> str:
    return file_name("experiment of the dataset", dataset.attrs["experiment"])


def keep(dataset: xr.Dataset, directory: str | os.PathLike[str]) -> Path:
    """Write a part of the runs of an experiment, over no run that it does not hold.

    Parameters
    ----------
    dataset : xarray.Dataset
        The ``dataset`` of the `Interrupted` that `run` raised.
    directory : path-like
        Where to; made if it is not there.

    Returns
    -------
    Path
        The file, ``NAME-partial.nc``; ``NAME-partial-2.nc`` and so on where that is of other
        settings, holds other runs, is damaged or is not of this experiment, or where its
        directory can't be locked. Of several processes each takes a name of its own.

    Raises
    ------
    ImportError, ValueError, OSError
        As of `save`.
    """
    require("A netCDF file", *SAVE_MODULES)
    name = _name(dataset)
    folder = writable_directory("directory", directory)
    keys, content = _keys(dataset), pack(dataset)
    with locked(folder) as alone:
        # What is read here and replaced below must be the same.
        held = {
            path
            for path, other in (_partial(folder, name) if alone else ())
            if environment(other.attrs) == environment(dataset.attrs) and _keys(other) <= keys
        }
        for number in count(1):
            path = folder / (f"{name}-partial.nc" if number == 1 else f"{name}-partial-{number}.nc")
            try:
                write_file(path, content, new=path not in held)
            except FileExistsError:
                continue
            break
    return path


def _keys(dataset: xr.Dataset) -> set[tuple[Any, ...]]:
    """Return what tells the finished runs of a dataset from each other."""
    ended = Runs(dataset).ended
    # The learning rate of gradient flow is NaN, which differs from itself.
    columns = (map(repr, dataset[name].values[ended].tolist()) for name in _KEY)
    return set(zip(*columns, strict=True))


def _partial(folder: Path, name: str) -> Iterator[tuple[Path, xr.Dataset]]:
    """Read the parts of an experiment's runs that are there and can be read."""
    for path in sorted(folder.glob(f"{name}-partial*.nc")):
        if not PART.fullmatch(path.stem.removeprefix(name)):
            continue
        try:
            dataset = load(path)
        except Unusable:
            continue
        columns = (*_KEY, "status")
        if str(dataset.attrs["experiment"]) == name and all(
            column in dataset and dataset[column].dims == ("run",) for column in columns
        ):
            yield path, dataset


def unfinished(
    preset: Preset,
    directory: str | os.PathLike[str],
    seed: int | None = None,
    dtype: npt.DTypeLike = "float64",
) -> xr.Dataset | None:
    """Read the runs that had finished when the same experiment was stopped.

    Parameters
    ----------
    preset, seed, dtype
        As of `run`.
    directory : path-like
        Where `keep` wrote them.

    Returns
    -------
    xarray.Dataset or None
        For the argument ``resume`` of `run`. Of several files the one with the most runs; None
        where no file that can be read is of the same settings, version, compiler and processor.
    """
    preset = seeded(preset, seed)
    here = {**_wanted(preset, dtype), **_bits()}
    found = [
        dataset
        for _, dataset in _partial(user_path("directory", directory), preset.name)
        if environment(dataset.attrs) == here and not lacking(preset, dataset)
    ]
    return max(found, key=lambda dataset: len(_keys(dataset)), default=None)


def remove_parts(preset: Preset, directory: Path, dtype: npt.DTypeLike = "float64") -> None:
    """Remove the parts of an experiment that is complete now."""
    wanted = _wanted(preset, dtype)
    with locked(directory):
        for path, dataset in list(_partial(directory, preset.name)):
            if wanted.items() <= environment(dataset.attrs).items():
                path.unlink(missing_ok=True)


def seeded(preset: Preset, seed: int | None) -> Preset:
    """Give a preset the seed of the run: its text says what was run."""
    return preset if seed is None else replace(preset, seed=check_seed("seed", seed))


def _wanted(preset: Preset, dtype: npt.DTypeLike) -> dict[str, str]:
    values = (preset.seed, np.dtype(dtype).name, dl.build_config()["version"], to_toml(preset))
    return dict(zip(_SETTINGS, map(str, values), strict=True))


def _bits() -> dict[str, str]:
    build = dl.build_config()
    return dict(zip(_BITS, (build["simd"], build["compiler"]), strict=True))


def environment(attrs: Mapping[Any, Any]) -> dict[str, str]:
    """Return what must be equal where runs of two tries stand in one dataset."""
    found = {name: str(attrs.get(name)) for name in (*_SETTINGS, *_BITS)}
    return {**found, "preset": canonical(found["preset"])}


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

    Raises
    ------
    ValueError
        If what is there cannot be read.
    """
    path = user_path("directory", directory) / f"{preset.name}.nc"
    if not os.path.exists(path):  # or a link that leads nowhere
        return None
    dataset = _load(path)
    if isinstance(dataset, str) or _difference(seeded(preset, seed), dataset, dtype) is not None:
        return None
    return dataset


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

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    dataset = _load(user_path("path", path))
    if isinstance(dataset, str):
        return dataset
    return _difference(seeded(preset, seed), dataset, dtype)


def _load(path: Path) -> xr.Dataset | str:
    """Read a file; where it has no data to use, and the system would let it be read, say why."""
    try:
        return load(path)
    except Unusable as error:
        if error.kind in ("unreadable", "no file"):
            raise
        return "damaged data" if error.kind == "damaged" else "no data of this program"


def _difference(preset: Preset, dataset: xr.Dataset, dtype: npt.DTypeLike) -> str | None:
    stored = environment(dataset.attrs)
    for name, value in _wanted(preset, dtype).items():
        if name not in dataset.attrs:
            return "no data of this program"
        if stored[name] != value:
            what = f"{name.replace('_', ' ')} {stored[name]}, not {value}"
            return "an experiment of other settings" if name == "preset" else what
    if dataset.sizes.get("run") != preset.runs:
        return "a part of its runs"
    return None
