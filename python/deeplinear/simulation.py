"""Training of an ensemble of runs from given weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear import _core
from deeplinear._support.checks import LARGEST_COUNT, FloatArray, all_finite, truth
from deeplinear._support.memory import aligned_copy, require_memory
from deeplinear._support.progress import Update, progress_bar
from deeplinear.dynamics import Dynamics
from deeplinear.landscape import Landscape
from deeplinear.network import Network
from deeplinear.options import RECORDABLE, STATUS_NAMES, Options, check_options
from deeplinear.run_settings import RunSettings

__all__ = ["Interrupted", "simulate"]


class Interrupted(KeyboardInterrupt):
    """A simulation that was stopped by Ctrl-C.

    Attributes
    ----------
    dataset : xarray.Dataset
        The runs that had finished by then, with dimension ``run``; of large networks also those
        that were on their way, with the status "unfinished", their records so far and the weights
        after ``last_step`` steps.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        super().__init__(f"stopped; {dataset.sizes['run']} runs are in .dataset")
        self.dataset = dataset

    def __reduce__(self) -> tuple[type[Interrupted], tuple[xr.Dataset]]:
        return type(self), (self.dataset,)


def simulate(
    landscape: Landscape,
    weights: Iterable[npt.ArrayLike],
    dynamics: Dynamics,
    *,
    steps: int | None = None,
    time: float | None = None,
    record: Sequence[str] | None = None,
    every: float | None = 1,
    tolerance: float = 0.0,
    dtype: npt.DTypeLike = "float64",
    threads: int | None = None,
    engine: str = "auto",
    overwrite_weights: bool = False,
    progress: bool | Update = False,
) -> xr.Dataset:
    """Train an ensemble of runs, or a large network, from given weights.

    Parameters
    ----------
    landscape : Landscape
        The network and its data.
    weights : sequence of L array_like, shapes (d_k, d_{k-1}) or (runs, d_k, d_{k-1})
        Where the runs start.
    dynamics : GradientDescent or GradientFlow
        How the weights move.
    steps : int, optional
        Number of steps; for gradient descent, and only there.
    time : float, optional
        End of the time axis that starts at 0; for gradient flow, and only there. Fixed steps end
        there with a shorter one where `time` is not a multiple.
    record : sequence of str, optional
        Names of `RECORDABLE`: "risk", "test_risk", "distance" (squared, linear networks alone),
        "sharpness", "lowest_eigenvalue", "layer_norm", "rank_one_gap", "alignment",
        "balancedness". By default "risk" and, of linear networks, "distance".
    every : int or float or None, default 1
        Steps between two records; for "dopri5", time between two records, which are read off its
        continuous extension. None records the start and the end; the end is always recorded.
    tolerance : float, default 0
        A run stops, converged, where its excess risk is at most this; at 0 none. The excess is
        ``R - R(w*)`` of a linear network, and the risk itself of others.
    dtype : {"float64", "float32"}
        Precision of the weights and of the steps. Eigenvalues and singular values of recorded
        weights are computed in float64 in any case.
    threads : int, optional
        Number of threads; as many as there are processors by default. Results do not depend on it.
        Where fewer can start, those do the work, and a `RuntimeWarning` says how many.
    engine : {"auto", "ensemble", "wide"}
        How runs meet the processor. "ensemble": a SIMD lane per run, and groups of lanes on the
        threads. "wide": the threads share the layers of a run, whose weights stay in place. Both
        round differently. "auto" takes the second for linear networks of 65,536 parameters or more
        whose layers have some 24 units or more.
    overwrite_weights : bool, default False
        Whether the runs may move the memory of `weights` itself, where the layers are float64 views
        of one vector, as those of `Network.unflatten` and ``init.sample`` are: then a large network
        needs no second copy, and the final ``weights`` share that memory. Otherwise ignored.
    progress : bool or callable, default False
        Whether to show a progress bar on a terminal; or a function that is called with the share
        that is done, several times a second: first with 0, never with less than before, and with 1
        at the end of all runs, however short.

    Returns
    -------
    xarray.Dataset
        Dimensions ``run`` and ``step`` or ``time``. Variables: what was recorded ("layer_norm" and
        "rank_one_gap" also by ``layer`` 1..L, "alignment" by ``pair`` 1..L-1); ``weights`` (run,
        parameter) at the end, see `Network.unflatten`; ``status`` (run), a word of `STATUS`, which
        says of each what it means: "completed"; "converged"; "diverged" (the risk or its gradient
        overflowed: a smaller learning rate or step); of "dopri5" in its place "max_steps" (it tried
        as many steps as it may: more of them, or looser tolerances) and "stiff" (no step above the
        rounding of the time is short enough: tighter tolerances, with which those before are
        shorter); or, of the initial weights of linear networks not computed through the samples,
        "overflowed" or "underflowed" (a product of the layers, or the risk, is out of the range of
        `dtype`: another scale); the coordinate ``out_of_range_layer`` (run) is the layer 1..L whose
        product ``W_k^T ... W_L^T p`` it was, 0 where there is none; ``last_step`` (run), the steps
        taken. The records of a run that ended early are NaN from there on, ``weights`` are where it
        stopped; the records of a converged run keep their last value.

        Two coordinates without a dimension, which `xarray.concat` keeps apart where they differ:
        ``network``, of which ``Network(**json.loads(dataset.network.item()))`` makes the network
        again, and ``engine``, the one that was taken. Attributes are the other arguments and the
        build. Of results of several calls that differ in one, such as the learning rate, pass
        ``combine_attrs="drop_conflicts"`` to `xarray.concat`: it keeps those that agree, and by
        default those of the first, which then claim for all what is true of one. A sequence in
        `sweep` makes a dimension of it instead. All of it comes back from a netCDF file as it was.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; before any work starts.
    MemoryError
        If the weights or the records do not fit the memory; before any work starts.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` with the finished runs.

    Notes
    -----
    Over thousands of layers a product over- or underflows unless the layers keep the size of a
    vector. ``init.Identity``, ``init.Orthogonal(1)`` and ``init.Residual(s)`` do at any depth.
    ``init.Gaussian(s)`` multiplies it by about ``s sqrt(d) exp(-1 / (2 d))`` per layer of width d;
    float64 holds sizes from 1e-308 to 1e154, float32 from 1e-38 to 1e19.
    """
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
    setting = RunSettings.of(dynamics)
    network, overwrite = landscape.network, truth("overwrite_weights", overwrite_weights)
    vectors, is_view = network._gather(weights, "weights", threads=options.threads)
    if vectors.ndim > 2:
        raise ValueError(
            f"weights must carry one leading axis, of runs, or none; got {vectors.shape[:-1]}."
        )
    vectors = np.atleast_2d(vectors)
    if is_view and not (overwrite and vectors.flags.writeable and options.dtype == "float64"):
        size = np.dtype(options.dtype).itemsize
        require_memory("a copy of the weights", network, float(vectors.size), size)
        vectors = aligned_copy(vectors, options.dtype)
    with progress_bar(progress, f"{len(vectors)} runs") as update:
        return run_ensemble(landscape, vectors, setting.repeat(len(vectors)), options, update)


@dataclass(frozen=True)
class _Grid:
    """The steps of every run, and when they are recorded."""

    steps: npt.NDArray[np.int64]
    last_step: FloatArray
    coordinate: npt.NDArray[Any]
    every: float  # between two records, 0 where only start and end are recorded


@np.errstate(over="ignore", under="ignore")
def _grid(network: Network, settings: RunSettings, options: Options) -> _Grid:
    runs, horizon, every = len(settings.step), options.horizon, options.every

    def places_of(end: float) -> FloatArray:
        count = _record_count(end, every)
        require_memory(f"{count:,} records", network, count * _numbers(network, runs, options))
        return _record_places(end, every, count)

    if settings.method == "dopri5":
        times = places_of(horizon)
        steps = np.zeros(runs, np.int64)
        return _Grid(steps, settings.step, times, _between(times, every))
    if settings.method == "descent":
        places = places_of(horizon).astype(np.int64)
        steps = np.full(runs, int(horizon), np.int64)
        return _Grid(steps, settings.step, places, _between(places, every))
    ratio = horizon / settings.step
    if ratio.max() > LARGEST_COUNT:
        raise ValueError(
            f"step must be at least time / 2^53; got {settings.step.min()} for time {horizon}."
        )
    counts = _count(ratio)
    # A last step that is shorter by rounding alone is a whole one.
    exact = np.abs(ratio - counts) <= 1e-9 * ratio
    last = np.where(exact, settings.step, horizon - (counts - 1) * settings.step)
    if every is not None and len(np.unique(settings.step)) > 1:
        raise ValueError("every must be None where the runs have different steps; got a number.")
    whole = places_of(int(counts[0]))
    times = whole * settings.step[0]
    times[-1] = horizon
    return _Grid(counts, last, times, _between(times, every))


def _between(places: npt.NDArray[Any], every: float | None) -> float:
    return 0.0 if every is None or len(places) == 2 else float(every)


def _count(ratio: FloatArray) -> npt.NDArray[np.int64]:
    """Round up to whole numbers, at least 1, but for what is above one by rounding alone."""
    whole = np.rint(ratio)
    count = np.where(np.abs(ratio - whole) <= 1e-9 * ratio, whole, np.ceil(ratio))
    return np.maximum(count, 1).astype(np.int64)


def _record_count(end: float, every: float | None) -> int:
    if every is None or every >= end:
        return 2
    if float(end).is_integer() and float(every).is_integer():
        return -(-int(end) // int(every)) + 1
    ratio = min(end / every, 1e300)
    return int(_count(np.array([ratio]))[0] if ratio < LARGEST_COUNT else ratio) + 1


def _record_places(end: float, every: float | None, count: int) -> FloatArray:
    """0, every, 2 every, ... and the end."""
    places = np.arange(count, dtype=np.float64) * (every or end)
    places[-1] = end
    return places


def _numbers(network: Network, runs: int, options: Options) -> float:
    """Count the numbers of a record: of every run, and its place."""
    sizes = {None: 1, "layer": network.depth, "pair": network.depth - 1}
    return 1.0 + runs * sum(sizes[RECORDABLE[name][1]] for name in options.record)


def run_ensemble(
    landscape: Landscape,
    vectors: FloatArray,
    settings: RunSettings,
    options: Options,
    progress: Update | None = None,
) -> xr.Dataset:
    """Run the core on weights (runs, P), which it moves, and label what comes out by ``run``.

    Raises
    ------
    Interrupted
        On Ctrl-C.
    """
    grid = _grid(landscape.network, settings, options)
    start = vectors if vectors.dtype == options.dtype else aligned_copy(vectors, options.dtype)
    if not all_finite(start, options.threads):
        raise ValueError(f"weights must be finite in {options.dtype}; some are too large for it.")
    result = _core.simulate(
        landscape._problem,
        start,
        "euler" if settings.method == "descent" else settings.method,
        settings.step,
        grid.steps,
        grid.last_step,
        float(options.horizon),
        settings.rtol,
        settings.atol,
        settings.max_steps,
        grid.every,
        len(grid.coordinate),
        options.record,
        options.tolerance,
        options.threads,
        options.engine,
        progress,
    )
    axis = "step" if settings.method == "descent" else "time"
    depth = landscape.network.depth
    variables: dict[str, Any] = {}
    for name, values in result["records"].items():
        long_name, extra = RECORDABLE[name]
        dims = ("run", axis) if extra is None else ("run", axis, extra)
        variables[name] = (dims, values, {"long_name": long_name})
    if "sharpness" in variables:
        variables["sharpness"][2]["largest_relative_residual"] = result["sharpness_residual"]
        variables["sharpness"][2]["unconverged"] = result["unconverged"]
    variables["weights"] = (("run", "parameter"), start)
    variables["status"] = (("run",), STATUS_NAMES[result["status"]])
    variables["last_step"] = (("run",), result["last_step"], {"long_name": "steps taken"})
    dataset = xr.Dataset(
        variables,
        coords={
            "run": np.arange(len(start)),
            "out_of_range_layer": (
                "run",
                result["out_of_range_layer"],
                {"long_name": "layer whose product was out of range, 0 for none"},
            ),
            "network": ((), _text(landscape.network), {"long_name": "arguments of Network, JSON"}),
            "engine": "wide" if result["wide"] else "ensemble",
            axis: grid.coordinate,
            "layer": np.arange(1, depth + 1),
            "pair": np.arange(1, depth),
        },
        attrs=_attributes(settings, options),
    )
    unused = [
        name
        for name in ("layer", "pair")
        if not any(name in v.dims for v in dataset.data_vars.values())
    ]
    dataset = dataset.drop_vars(unused)
    if result["interrupted"]:
        kept = result["status"] != 0
        if result["wide"]:
            kept |= result["last_step"] > 0
        # Of one large network nothing is copied.
        raise Interrupted(dataset if kept.all() else dataset.isel(run=np.flatnonzero(kept)))
    if progress is not None:
        try:
            progress(1.0)
        except KeyboardInterrupt:
            raise Interrupted(dataset) from None
    return dataset


def add_accuracy(dataset: xr.Dataset, parts: Sequence[xr.Dataset]) -> None:
    """Say of runs that were put together from parts how far their sharpness has converged."""
    if "sharpness" in dataset:
        found = [part["sharpness"].attrs for part in parts if "sharpness" in part]
        dataset["sharpness"].attrs |= {
            "largest_relative_residual": max(float(a["largest_relative_residual"]) for a in found),
            "unconverged": sum(int(a["unconverged"]) for a in found),
        }


def _text(network: Network) -> str:
    """Write a network as the arguments of its class, in JSON."""
    readout = None if network.readout is None else network.readout.tolist()
    return json.dumps(
        {"widths": network.widths, "readout": readout, "activation": network.activation}
    )


def _attributes(settings: RunSettings, options: Options) -> dict[str, Any]:
    """Return what was asked for, and of which build; the same for networks of other shapes."""
    return {
        "method": "gradient descent" if settings.method == "descent" else settings.method,
        **settings.common(),
        "tolerance": options.tolerance,
        "dtype": options.dtype,
        "deeplinear_version": _core.build_config()["version"],
        "simd": _core.SIMD_LEVEL,
    }
