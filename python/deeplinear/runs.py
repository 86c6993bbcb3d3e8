"""Training of runs that have settings and a seed of their own each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import (
    FloatArray,
    describe,
    instance_of,
    is_sequence,
    number_or_text,
    scalar_or_sequence,
    sequence_fields,
)
from deeplinear._support.memory import aligned_empty, require_memory
from deeplinear._support.progress import Update, progress_bar
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow
from deeplinear.init import Initialization, fill
from deeplinear.landscape import Landscape
from deeplinear.options import Options, check_options
from deeplinear.records import TAKEN, Recorded, Recording
from deeplinear.run_settings import RunSettings
from deeplinear.seeds import check_seed, labels
from deeplinear.simulation import Interrupted, add_accuracy, run_ensemble

__all__ = ["sweep_runs"]

_OF_DYNAMICS = {field.name for kind in (GradientDescent, GradientFlow) for field in fields(kind)}
#: What else results name: a field that an initialization sweeps has another name.
_TAKEN = TAKEN | _OF_DYNAMICS


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
    steps, time, record, tolerance, dtype, threads, engine, keep_state
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
    columns = _columns(runs)
    count = len(columns["seed"])
    require_memory_of(landscape, count)
    of_init, of_dynamics = _owners(init, dynamics, columns)
    methods = {"method": tuple(dict.fromkeys(columns["method"]))} if "method" in of_dynamics else {}
    options = check_options(
        landscape,
        _with_values(dynamics, {k: columns[k][0] for k in of_dynamics} | methods),
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
    _check_names(options.record, columns)
    # Run by run, since not every combination need be allowed.
    settings = [
        RunSettings.of(_with_values(dynamics, dict(zip(of_dynamics, values, strict=True))))
        for values in _rows(columns, of_dynamics)
    ]
    vectors = _initial_weights(landscape, init, columns, of_init)
    coordinates = {name: labels(values) for name, values in columns.items()}
    with progress_bar(progress, f"{count} runs") as update:
        try:
            dataset = _run(landscape, vectors, settings, coordinates, options, update)
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


def require_memory_of(landscape: Landscape, runs: int) -> None:
    """Refuse more runs than fit the memory."""
    network = landscape.network
    require_memory(f"{runs} runs", network, float(network.parameters) * runs)


def _columns(runs: Any) -> dict[str, tuple[Any, ...]]:
    """Return what the runs have, by name, of one length, seeds checked."""
    takes = "runs must be a mapping of names to sequences, or a sequence of mappings, one per run"
    if isinstance(runs, Mapping) or hasattr(runs, "keys"):
        given = {name: runs[name] for name in runs.keys()}  # noqa: SIM118  (of a data frame)
        for name, values in given.items():
            if not is_sequence(values):
                raise TypeError(
                    f"runs[{name!r}] must be a sequence, of one value per run; "
                    f"got {describe(values)}."
                )
    elif isinstance(runs, (list, tuple)):
        given = _transposed(runs)
    else:
        raise TypeError(f"{takes}; got {describe(runs)}.")
    if "seed" not in given:
        raise ValueError(f"runs must hold 'seed'; got {_listed(given)}.")
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} of {name!r}" for name, count in lengths.items())
        raise ValueError(f"runs must hold one value per run of every name; got {counts}.")
    if not lengths["seed"]:
        raise ValueError("runs must hold at least one run; got none.")
    columns: dict[str, Any] = {}
    for name, values in given.items():
        check: Callable[[str, object], Any] = check_seed if name == "seed" else number_or_text
        columns[name] = scalar_or_sequence(f"runs[{name!r}]", values, check)
    return columns


def _transposed(runs: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the values of a list of mappings by name."""
    for i, run in enumerate(runs):
        if not isinstance(run, Mapping):
            raise TypeError(f"runs[{i}] must be a mapping of names to values; got {describe(run)}.")
        if run.keys() != runs[0].keys():
            raise ValueError(
                f"runs[{i}] must hold what runs[0] holds, {_listed(runs[0])}; got {_listed(run)}."
            )
    return {name: [run[name] for run in runs] for name in runs[0]} if runs else {"seed": []}


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _owners(
    init: Initialization, dynamics: Dynamics, columns: dict[str, tuple[Any, ...]]
) -> tuple[list[str], list[str]]:
    """Say which names are fields of the initialization, and which of the dynamics."""
    needed = [*swept_fields(init), *sequence_fields(dynamics)]
    for name in needed:
        if name not in columns:
            raise ValueError(
                f"runs must hold {name!r}, of which init or dynamics holds a sequence; "
                f"got {_listed(columns)}."
            )
    names = [name for name in columns if name != "seed"]
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


def _check_names(record: Recording, columns: dict[str, tuple[Any, ...]]) -> None:
    """Refuse functions that are called like a coordinate of the runs."""
    for function in record.functions:
        if function.__name__ in columns:
            raise ValueError(
                "record must hold functions with names of their own; "
                f"{function.__name__!r} is swept."
            )


def _field_names(configuration: Any) -> set[str]:
    if not is_dataclass(configuration):
        return set()
    return {field.name for field in fields(configuration) if field.init}


def _rows(columns: dict[str, tuple[Any, ...]], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the values of some names, run by run."""
    count = len(columns["seed"])
    return list(zip(*(columns[name] for name in names), strict=True)) if names else [()] * count


def _with_values(configuration: Any, values: dict[str, Any]) -> Any:
    return replace(configuration, **values) if values else configuration


def _initial_weights(
    landscape: Landscape,
    init: Initialization,
    columns: dict[str, tuple[Any, ...]],
    names: list[str],
) -> FloatArray:
    """Sample the weights (runs, P), once for all runs that share the law and the seed."""
    network = landscape.network
    drawn: dict[tuple[Any, ...], FloatArray] = {}
    vectors = aligned_empty((len(columns["seed"]), network.parameters))
    for row, key in zip(vectors, _rows(columns, [*names, "seed"]), strict=True):
        if key in drawn:
            row[:] = drawn[key]
        else:
            law = _with_values(init, dict(zip(names, key[:-1], strict=True)))
            fill(law, network, key[-1], row)
            drawn[key] = row
    return vectors


def _run(
    landscape: Landscape,
    vectors: FloatArray,
    settings: list[RunSettings],
    coordinates: dict[str, npt.NDArray[Any]],
    options: Options,
    progress: Update,
) -> xr.Dataset:
    """Run all, one integrator at a time; what the runs have become coordinates of run."""
    methods = list(dict.fromkeys(s.method for s in settings))
    done: list[xr.Dataset] = []
    started = 0
    for method in methods:
        rows = np.array([i for i, s in enumerate(settings) if s.method == method])
        count = len(rows)
        try:
            part = run_ensemble(
                landscape,
                vectors if len(methods) == 1 else vectors[rows],
                RunSettings.join([settings[i] for i in rows]),
                options,
                lambda x, n=started, more=count: progress((n + more * x) / len(settings)),  # type: ignore[misc]
            )
        except Interrupted as interrupted:
            part = interrupted.dataset
            done.append(_labelled(part, rows[part.run.values], coordinates))
            raise Interrupted(_join(done)) from None
        done.append(_labelled(part, rows, coordinates))
        started += count
    return _join(done).sortby("run")


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
