"""Training over a grid of initializations, dynamics and seeds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import fields, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import (
    FloatArray,
    describe,
    instance_of,
    is_sequence,
    non_negative_integer,
    positive_integer,
    refuse_masked,
    sequence_fields,
)
from deeplinear._support.memory import aligned_empty, require_memory
from deeplinear._support.progress import Update, progress_bar
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.init import Initialization, fill
from deeplinear.landscape import Landscape
from deeplinear.options import Options, check_options
from deeplinear.records import RECORDABLE, Recorded
from deeplinear.run_settings import RunSettings
from deeplinear.simulation import Interrupted, add_accuracy, run_ensemble

__all__ = ["sweep"]

#: Seeds are written as decimal text, which Python does up to some 4,000 digits.
_LARGEST_SEED = 2**1024 - 1
#: What else results name: a field that an initialization sweeps has another name.
_TAKEN = {
    *("seed", "run", "time", "layer", "pair", "parameter", "weights", "status", "last_step"),
    *("out_of_range_layer", "network", "engine"),
    *RECORDABLE,
    *(field.name for kind in (GradientDescent, GradientFlow) for field in fields(kind)),
}


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
    steps, time, record, tolerance, dtype, threads, engine
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
    instance_of("init", init, Initialization)  # type: ignore[type-abstract]
    options = check_options(
        landscape,
        dynamics,
        steps=steps,
        time=time,
        record=record,
        every=every,
        tolerance=tolerance,
        dtype=dtype,
        threads=threads,
        engine=engine,
    )
    swept = {**_fields_of(init), **sequence_fields(dynamics), "seed": _check_seeds(seeds)}
    _require_memory(landscape, prod(len(values) for values in swept.values()))
    for name, values in swept.items():
        if not isinstance(values, range) and len(set(values)) < len(values):
            twice = next(value for i, value in enumerate(values) if value in values[:i])
            raise ValueError(
                f"{'seeds' if name == 'seed' else name} must be different values; "
                f"got {twice!r} twice."
            )
    cells = [dict(zip(swept, values, strict=True)) for values in product(*swept.values())]
    with progress_bar(progress, f"{len(cells)} runs") as update:
        dataset = run_cells(landscape, init, dynamics, cells, options, update)
    return _unstack(dataset, swept)


def run_cells(
    landscape: Landscape,
    init: Initialization,
    dynamics: Dynamics,
    cells: list[dict[str, Any]],
    options: Options,
    progress: Update,
) -> xr.Dataset:
    """Train one run per cell; as `sweep`, with arguments that are checked.

    Parameters
    ----------
    landscape, init, dynamics
        As of `sweep`.
    cells : list of dict
        Values of the fields of `init` and `dynamics` that hold a sequence, and of ``"seed"``.
    options : Options
        The rest of the arguments.
    progress : callable
        Takes the share that is done.

    Returns
    -------
    xarray.Dataset
        As of `simulate`, with the values of the cells as coordinates of ``run``.

    Raises
    ------
    Interrupted
        As of `sweep`.
    """
    _require_memory(landscape, len(cells))
    settings = [_settings(dynamics, cell) for cell in cells]
    vectors = _initial_weights(landscape, init, cells)
    try:
        dataset = _run(landscape, vectors, settings, cells, options, progress)
    except Interrupted as interrupted:
        raise Interrupted(_described(interrupted.dataset, init)) from None
    return _described(dataset, init)


def _described(dataset: xr.Dataset, init: Initialization) -> xr.Dataset:
    return dataset.assign_attrs(initialization=repr(init))


def _fields_of(init: Initialization) -> dict[str, tuple[Any, ...]]:
    """Return the fields of an initialization that are swept; their names must be free."""
    swept = sequence_fields(init)
    for name in swept:
        if name in _TAKEN:
            raise ValueError(
                f"init must not sweep a field of the name {name!r}, which results have already."
            )
    return swept


def _check_seeds(seeds: object) -> Sequence[int]:
    takes = "seeds must be a positive integer or a non-empty sequence of non-negative integers"
    if isinstance(seeds, (str, bytes, bool, float)):
        raise TypeError(f"{takes}; got {describe(seeds)}.")
    values: Sequence[int]
    if isinstance(seeds, range):
        values = seeds
        if seeds:
            positive_integer("the number of seeds", (seeds[-1] - seeds[0]) // seeds.step + 1)
            for end in (seeds[0], seeds[-1]):
                non_negative_integer("seeds", end, _LARGEST_SEED)
    elif isinstance(seeds, Sequence) or is_sequence(seeds):
        refuse_masked("seeds", seeds)
        entries: Iterable[object] = seeds  # type: ignore[assignment]
        values = tuple(_seed(f"seeds[{i}]", entry) for i, entry in enumerate(entries))
    else:
        values = range(positive_integer("seeds", seeds))
    if not values:
        raise ValueError(f"{takes}; got {describe(seeds)}.")
    return values


def _seed(name: str, value: object) -> int:
    """Take a seed, also as the decimal text that results have for large ones."""
    text = value.item() if getattr(value, "ndim", None) == 0 else value  # type: ignore[attr-defined]
    if isinstance(text, str) and len(text) <= 309 and text.isascii() and text.isdecimal():
        value = int(text)
    return non_negative_integer(name, value, _LARGEST_SEED)


def _labels(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return values as a coordinate that files hold: integers beyond int64 as decimal text.

    Beside int64, which other results have, NumPy turns uint64 into float64.
    """
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        if max(values) >= 2**63 or min(values) < -(2**63):
            return np.array([str(value) for value in values])
        return np.array(values, np.int64)
    return np.array(values)


def _require_memory(landscape: Landscape, runs: int) -> None:
    network = landscape.network
    require_memory(f"{runs} runs", network, float(network.parameters) * runs)


def _of_cell(configuration: Any, cell: dict[str, Any]) -> Any:
    """Put a cell's values in place of the sequences of a configuration."""
    swept = {name: cell[name] for name in sequence_fields(configuration)}
    return replace(configuration, **swept) if swept else configuration


def _settings(dynamics: Dynamics, cell: dict[str, Any]) -> RunSettings:
    return RunSettings.of(_of_cell(dynamics, cell))


def _initial_weights(
    landscape: Landscape, init: Initialization, cells: list[dict[str, Any]]
) -> FloatArray:
    """Sample the weights (runs, P), once for all cells that share the law and the seed."""
    network, fields = landscape.network, tuple(sequence_fields(init))
    drawn: dict[tuple[Any, ...], FloatArray] = {}
    vectors = aligned_empty((len(cells), network.parameters))
    for row, cell in zip(vectors, cells, strict=True):
        key = (*(cell[name] for name in fields), cell["seed"])
        if key in drawn:
            row[:] = drawn[key]
        else:
            fill(_of_cell(init, cell), network, cell["seed"], row)
            drawn[key] = row
    return vectors


def _run(
    landscape: Landscape,
    vectors: FloatArray,
    settings: list[RunSettings],
    cells: list[dict[str, Any]],
    options: Options,
    progress: Update,
) -> xr.Dataset:
    """Run all cells, one integrator at a time; the cells' values become coordinates of run."""
    methods = list(dict.fromkeys(s.method for s in settings))
    done: list[xr.Dataset] = []
    started = 0
    for method in methods:
        rows = np.array([i for i, s in enumerate(settings) if s.method == method])
        count = len(rows)
        coordinates = {name: ("run", _labels([cells[i][name] for i in rows])) for name in cells[0]}
        try:
            part = run_ensemble(
                landscape,
                vectors if len(methods) == 1 else vectors[rows],
                RunSettings.join([settings[i] for i in rows]),
                options,
                lambda x, n=started, more=count: progress((n + more * x) / len(cells)),  # type: ignore[misc]
            )
        except Interrupted as interrupted:
            finished = interrupted.dataset
            kept = finished.run.values
            labelled = finished.assign_coords(
                {name: ("run", values[kept]) for name, (_, values) in coordinates.items()}
            ).assign_coords(run=rows[kept])
            raise Interrupted(_join([*done, labelled])) from None
        done.append(part.assign_coords(coordinates).assign_coords(run=rows))
        started += count
    return _join(done).sortby("run")


def _join(parts: list[xr.Dataset]) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    whole = xr.concat(
        parts,
        dim="run",
        data_vars="all",
        coords="different",  # the engine may be
        compat="equals",
        join="exact",
        combine_attrs="drop_conflicts",
    )
    add_accuracy(whole, parts)
    return whole


def _unstack(dataset: xr.Dataset, swept: dict[str, Sequence[Any]]) -> xr.Dataset:
    """Replace the dimension run, whose order is that of the cells, by the swept ones."""
    sizes = tuple(len(values) for values in swept.values())
    variables: dict[Hashable, Any] = {}
    for name, variable in dataset.data_vars.items():
        dims = tuple(swept) + variable.dims[1:]
        values = variable.values.reshape(sizes + variable.shape[1:])
        variables[name] = (dims, values, variable.attrs)
    coords: dict[Hashable, Any] = {name: _labels(values) for name, values in swept.items()}
    for name, c in dataset.coords.items():
        if "run" not in c.dims:
            coords[name] = c
        elif name != "run" and name not in swept:
            coords[name] = (tuple(swept), c.values.reshape(sizes), c.attrs)
    return xr.Dataset(variables, coords=coords, attrs=dataset.attrs)
