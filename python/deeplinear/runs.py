"""Training of runs that have settings and a seed of their own each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import FloatArray, instance_of, sequence_fields
from deeplinear._support.distinct import Index
from deeplinear._support.memory import aligned_empty, require_memory
from deeplinear._support.progress import Update, progress_bar
from deeplinear.cells import Cells, listed
from deeplinear.draws import draw
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.init import Initialization
from deeplinear.landscape import Landscape
from deeplinear.options import Options, check_options
from deeplinear.records import TAKEN, Recorded, Recording
from deeplinear.run_settings import RunSettings
from deeplinear.schedule import schedule
from deeplinear.seeds import labels
from deeplinear.simulation import Interrupted, add_accuracy, keeps_states, run_ensemble

__all__ = ["sweep_runs"]

_OF_DYNAMICS = {field.name for kind in (GradientDescent, GradientFlow) for field in fields(kind)}
#: What else results name: a field that an initialization sweeps has another name.
_TAKEN = TAKEN | _OF_DYNAMICS
#: Bytes of a run beside its weights and records: settings, number, status, last step
_BESIDE_WEIGHTS = 200


def sweep_runs(
    landscape: Landscape,
    init: Initialization,
    dynamics: Dynamics,
    *,
    runs: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    steps: int | None = None,
    time: float | None = None,
    record: Recorded | None = None,
    every: float | None = None,
    tolerance: float = 0.0,
    dtype: npt.DTypeLike = "float64",
    threads: int | None = None,
    engine: str = "auto",
    keep_state: bool | None = None,
    device: str = "cpu",
    progress: bool | Update = True,
) -> xr.Dataset:
    """Train the runs of a list, which need not be all combinations as those of `sweep` are.

    A run depends on its own settings and seed alone, not on what else is in the list: each equals
    `simulate` from ``init.sample(network, seed)``, to the bit.

    Parameters
    ----------
    landscape : Landscape
        The network and its data.
    init : Initialization
        Such as ``dl.init.Gaussian(0.5)``, or a law of your own.
    dynamics : GradientDescent or GradientFlow
        How the weights move.
    runs : mapping of str to sequences, or sequence of mappings
        The ``"seed"`` of every run, and its values of fields of `init` and `dynamics` in place of
        those that are there: ``{"scale": [0.2, 0.5], "seed": [0, 7]}``, or ``[{"scale": 0.2,
        "seed": 0}, {"scale": 0.5, "seed": 7}]``, or a data frame. A field that holds a sequence
        must be among them.
    every, progress
        As of `sweep`.
    steps, time, record, tolerance, dtype, threads, engine, keep_state, device
        As of `simulate`.

    Returns
    -------
    xarray.Dataset
        As of `simulate`, with what `runs` holds as coordinates of ``run``; seeds and the attribute
        ``initialization`` are as of `sweep`.

    Raises
    ------
    TypeError, ValueError, MemoryError, Interrupted
        As of `sweep`.

    Examples
    --------
    >>> import deeplinear as dl
    >>> landscape = dl.Landscape(dl.Network((3, 3, 1)), dl.gaussian_regression(n=12, d=3))
    >>> runs = {"learning_rate": [0.01, 0.02, 0.02], "scale": [0.1, 0.1, 0.5], "seed": [4, 4, 0]}
    >>> law, dynamics = dl.init.Residual(0.0), dl.GradientDescent(0.01)
    >>> dataset = dl.sweep_runs(landscape, law, dynamics, runs=runs, steps=100, progress=False)
    >>> dataset["risk"].dims, dataset["scale"].values.tolist()
    (('run', 'step'), [0.1, 0.1, 0.5])
    """
    instance_of("landscape", landscape, Landscape)
    return run_cells(
        landscape,
        init,
        dynamics,
        Cells.of_lists(runs),
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
        device=device,
    )


def run_cells(
    landscape: Landscape,
    init: Initialization,
    dynamics: Dynamics,
    cells: Cells,
    *,
    progress: bool | Update,
    **arguments: Any,
) -> xr.Dataset:
    """Check what is left of the arguments of `sweep_runs`, and train the runs."""
    _require_memory(landscape, cells)
    options = check_cells(landscape, init, dynamics, cells, **arguments)
    with progress_bar(progress, f"{cells.runs} runs") as update:
        return train_cells(landscape, init, dynamics, cells, options, update)


def check_cells(
    landscape: Landscape,
    init: Initialization,
    dynamics: Dynamics,
    cells: Cells,
    **arguments: Any,
) -> Options:
    """Check the names of cells, and the arguments that `simulate` and `sweep` share."""
    _, of_dynamics = _owners(init, dynamics, cells)
    values = cells.first(of_dynamics)
    if "method" in values:
        values["method"] = tuple(one["method"] for one in cells.combinations(["method"])[0])
    options = check_options(landscape, _with_values(dynamics, values), **arguments)
    _check_names(options.record, cells)
    return options


def train_cells(
    landscape: Landscape,
    init: Initialization,
    dynamics: Dynamics,
    cells: Cells,
    options: Options,
    progress: Update,
) -> xr.Dataset:
    """Train the runs of checked cells.

    Parameters
    ----------
    landscape : Landscape
        The network and its data.
    init, dynamics
        Their fields that `cells` hold are replaced by these values.
    cells : Cells
        What differs from run to run.
    options : Options
        What `check_cells` returned, of these cells or of some that hold these.
    progress : callable
        Called with the share that is done.

    Returns
    -------
    xarray.Dataset
        As of `sweep_runs`.

    Raises
    ------
    TypeError, ValueError, MemoryError, Interrupted
        As of `sweep`.
    """
    of_init, of_dynamics = _owners(init, dynamics, cells)
    parts = _settings(dynamics, cells, of_dynamics)
    _require_all(landscape, cells, options, parts)
    vectors = _initial_weights(landscape, init, cells, of_init, options.threads)
    coordinates = {name: cells.labels(name) for name in cells.values}
    try:
        dataset = _run(landscape, vectors, parts, coordinates, options, progress)
    except Interrupted as interrupted:
        raise Interrupted(_described(interrupted.dataset, init)) from None
    return _described(dataset, init)


def _described(dataset: xr.Dataset, init: Initialization) -> xr.Dataset:
    return dataset.assign_attrs(initialization=repr(init))


def swept_fields(init: Initialization) -> dict[str, tuple[Any, ...]]:
    """Return the fields of an initialization that hold a sequence; their names must be free."""
    instance_of("init", init, Initialization)  # type: ignore[type-abstract]
    swept = sequence_fields(init)
    for name in swept:
        if name in _TAKEN:
            raise ValueError(
                f"init must not sweep a field of the name {name!r}, which results have already."
            )
    return swept


def _require_memory(landscape: Landscape, cells: Cells, beside: float = 0.0) -> None:
    """Refuse more runs than fit the memory, with so many bytes beside weights and coordinates."""
    own = sum(8 + labels(values[:1]).dtype.itemsize for values in cells.values.values())
    each = 8 * landscape.network.parameters + own + _BESIDE_WEIGHTS
    require_memory(f"{cells.runs} runs", landscape.network, float(each) * cells.runs + beside, 1)


def _require_all(
    landscape: Landscape, cells: Cells, options: Options, parts: list[tuple[Index, RunSettings]]
) -> None:
    """Refuse runs that do not fit the memory with all that comes of them."""
    network, several = landscape.network, len(parts) > 1
    beside = 0.0
    for runs, settings in parts:
        numbers = options.record.size(network) * len(
            schedule(network, settings, options).coordinate
        )
        if keeps_states(network, len(runs), options.keep_state):
            numbers += 2 * network.parameters * float(np.any(settings.column("momentum") > 0))
        each = 8 * numbers
        if several or options.dtype != "float64":  # copies of the weights
            each += network.parameters * np.dtype(options.dtype).itemsize
        beside += len(runs) * each * (4 if several else 1)  # parts are put together, and sorted
    _require_memory(landscape, cells, beside)


def _owners(init: Initialization, dynamics: Dynamics, cells: Cells) -> tuple[list[str], list[str]]:
    """Say which names are fields of the initialization, and which of the dynamics."""
    needed = [*swept_fields(init), *sequence_fields(dynamics)]
    for name in needed:
        if name not in cells.values:
            raise ValueError(
                f"runs must hold {name!r}, of which init or dynamics holds a sequence; "
                f"got {listed(cells.values)}."
            )
    names = [name for name in cells.values if name != "seed"]
    of_dynamics = [name for name in names if name in _field_names(dynamics)]
    of_init = [name for name in names if name in _field_names(init) - _TAKEN]
    for name in names:
        if name not in (*of_dynamics, *of_init) and isinstance(dynamics, Dynamics):
            known = sorted(_field_names(dynamics) | (_field_names(init) - _TAKEN))
            raise ValueError(
                f"runs must hold 'seed' and fields of init and dynamics, which are "
                f"{', '.join(known)}; got {name!r}."
            )
    return of_init, of_dynamics


def _check_names(record: Recording, cells: Cells) -> None:
    """Refuse functions that are called like a coordinate of the runs."""
    for function in record.functions:
        if function.__name__ in cells.values:
            raise ValueError(
                "record must hold functions with names of their own; "
                f"{function.__name__!r} is swept."
            )


def _field_names(configuration: Any) -> set[str]:
    if not is_dataclass(configuration):
        return set()
    return {field.name for field in fields(configuration) if field.init}


def _with_values(configuration: Any, values: dict[str, Any]) -> Any:
    return replace(configuration, **values) if values else configuration


def _settings(
    dynamics: Dynamics, cells: Cells, names: list[str]
) -> list[tuple[Index, RunSettings]]:
    """Return the runs of each integrator with their settings.

    What differs is checked in its combinations, since not every one need be allowed.
    """
    combinations, which = cells.combinations(names)
    each = [RunSettings.of(_with_values(dynamics, values)) for values in combinations]
    found = []
    for method in dict.fromkeys(settings.method for settings in each):
        own = np.array([settings.method == method for settings in each])
        runs = np.flatnonzero(own[which])
        joined = RunSettings.join([settings for settings in each if settings.method == method])
        found.append((runs, joined.take((np.cumsum(own) - 1)[which[runs]])))
    return found


def _initial_weights(
    landscape: Landscape, init: Initialization, cells: Cells, names: list[str], threads: int
) -> FloatArray:
    """Sample the weights (runs, P), once for all runs that share the law and the seed."""
    network = landscape.network
    combinations, law_of = cells.combinations(names)
    laws = [_with_values(init, values) for values in combinations]
    vectors = aligned_empty((cells.runs, network.parameters))
    draw(network, laws, law_of, cells.values["seed"], cells.index("seed"), vectors, threads)
    return vectors


def _run(
    landscape: Landscape,
    vectors: FloatArray,
    parts: list[tuple[Index, RunSettings]],
    coordinates: dict[str, npt.NDArray[Any]],
    options: Options,
    progress: Update,
) -> xr.Dataset:
    """Run all, one integrator at a time; what the runs have become coordinates of run."""
    done: list[xr.Dataset] = []
    started, count = 0, len(vectors)
    for rows, settings in parts:
        more = len(rows)
        try:
            part = run_ensemble(
                landscape,
                vectors if len(parts) == 1 else vectors[rows],
                settings,
                options,
                lambda x, n=started, more=more: progress((n + more * x) / count),  # type: ignore[misc]
            )
        except Interrupted as interrupted:
            part = interrupted.dataset
            done.append(_labelled(part, rows[part.run.values], coordinates))
            raise Interrupted(_join(done)) from None
        done.append(_labelled(part, rows, coordinates))
        started += more
    return done[0] if len(done) == 1 else _join(done).sortby("run")


def _labelled(
    part: xr.Dataset, rows: npt.NDArray[Any], coordinates: dict[str, npt.NDArray[Any]]
) -> xr.Dataset:
    """Give runs the numbers and coordinates that they have among all."""
    own = {name: ("run", values[rows]) for name, values in coordinates.items()}
    return part.assign_coords(own).assign_coords(run=rows)


def _join(parts: list[xr.Dataset]) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    whole = xr.concat(
        _of_one_length(parts),
        dim="run",
        data_vars="all",
        coords="different",  # the engine may be
        compat="equals",
        join="exact",
        combine_attrs="drop_conflicts",
    )
    add_accuracy(whole, parts)
    return whole


def _of_one_length(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Fill states up with NaN: what a run has to keep depends on its method."""
    entry = "state_entry"
    longest = max(part.sizes.get(entry, 0) for part in parts)
    return [
        part.pad({entry: (0, longest - part.sizes[entry])}) if entry in part.sizes else part
        for part in parts
    ]
