"""Training of an ensemble of runs from given weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear import _core
from deeplinear._support.checks import FloatArray, all_finite, truth
from deeplinear._support.memory import aligned_copy, require_memory
from deeplinear._support.progress import Update, progress_bar
from deeplinear.dynamics import Dynamics
from deeplinear.landscape import Landscape
from deeplinear.network import Network
from deeplinear.options import STATUS_NAMES, Options, check_options
from deeplinear.records import NUMBERED, Observers, Recorded, lengths_of_axes
from deeplinear.run_settings import RunSettings
from deeplinear.schedule import Origin, schedule

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
    record: Recorded | None = None,
    every: float | None = 1,
    tolerance: float = 0.0,
    dtype: npt.DTypeLike = "float64",
    threads: int | None = None,
    engine: str = "auto",
    device: str = "cpu",
    overwrite_weights: bool = False,
    keep_state: bool | None = None,
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
    record : sequence of str or function, or mapping, optional
        Names of `RECORDABLE`: "risk", "test_risk", "distance" (squared), "sharpness",
        "lowest_eigenvalue", "eigenvalues:k" (the k largest), "gauss_newton", "hessian_trace",
        "layer_sharpness", "gradient_norm", "layer_norm", "singular_values", "rank_one_gap",
        "alignment", "balancedness", "end_to_end" (the map w) and "weights" (as the variable
        ``recorded_weights``); "distance" and "end_to_end" of linear networks alone. A mapping has
        them as keys, with True or the number k. A function of your own takes a copy of the
        weights, L arrays, at every record, and returns a number or an array; it is called from any
        thread, one at a time, and the variable has its ``__name__``. By default "risk" and, of
        linear networks, "distance".
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
    engine : {"auto", "ensemble", "wide", "emulated"}
        How runs meet the processor. "ensemble": a SIMD lane per run, and groups of lanes on the
        threads. "wide": the threads share the layers of a run, whose weights stay in place; or,
        where the landscape is computed through the samples, blocks of them. Both round differently,
        but for the samples. "auto" takes the second for linear networks of 65,536 parameters or
        more whose layers have some 24 units or more, and through the samples from some 40 units on.
        "emulated" is slow: the threads play what a graphics processor does.
    device : {"cpu", "cuda", "cuda:0", ...}
        Who takes the steps: this processor, or a graphics processor of NVIDIA's, a thread for every
        run, see `devices`. Results are those of the engine "ensemble", to the bit where this
        processor has fused multiply-adds.
    overwrite_weights : bool, default False
        Whether the runs may move the memory of `weights` itself, where the layers are float64 views
        of one vector, as those of `Network.unflatten` and ``init.sample`` are: then a large network
        needs no second copy, and the final ``weights`` share that memory. Otherwise ignored.
    keep_state : bool, optional
        Whether runs keep what they need beside their weights for `resume` to go on to the bit, as
        the variable ``state``: with momentum, and on the engine "wide", up to twice the numbers of
        the weights and some vectors. None, the default, keeps it where that is at most 128 MB.
    progress : bool or callable, default False
        Whether to show a progress bar on a terminal; or a function that is called with the share
        that is done, several times a second: first with 0, never with less than before, and with 1
        at the end of all runs, however short.

    Returns
    -------
    xarray.Dataset
        Dimensions ``run`` and ``step`` or ``time``. Variables: what was recorded, with the further
        dimensions that `RECORDABLE` names (``layer`` 1..L, ``pair`` 1..L-1, ``input``, ``value``
        and ``eigenvalue`` from 1 on, the largest first); ``weights`` (run,
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
        keep_state=keep_state,
        device=device,
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
        require_copy(network, vectors, options.dtype)
        vectors = aligned_copy(vectors, options.dtype)
    with progress_bar(progress, f"{len(vectors)} runs") as update:
        return run_ensemble(landscape, vectors, setting.repeat(len(vectors)), options, update)


def run_ensemble(
    landscape: Landscape,
    vectors: FloatArray,
    settings: RunSettings,
    options: Options,
    progress: Update | None = None,
    origin: Origin | None = None,
) -> xr.Dataset:
    """Run the core on weights (runs, P), which it moves, and label what comes out by ``run``.

    Runs that have an origin go on from there.

    Raises
    ------
    Interrupted
        On Ctrl-C.
    """
    network = landscape.network
    plan = schedule(network, settings, options, origin)
    start = vectors
    if start.dtype != options.dtype:
        require_copy(network, start, options.dtype)
        start = aligned_copy(start, options.dtype)
    _require_beside_weights(network, settings, options)
    if not all_finite(start, options.threads):
        raise ValueError(f"weights must be finite in {options.dtype}; some are too large for it.")
    slots = len(plan.coordinate)
    shapes = {} if origin is None else origin.shapes
    observers = Observers(network, options.record.functions, len(start), slots, shapes)
    steps = settings.core_steps(
        float(options.horizon),
        plan.every,
        plan.steps,
        plan.last_step,
        done=None if origin is None else origin.done,
        states=None if origin is None else origin.states,
        keep_states=keeps_states(network, len(start), options.keep_state),
    )
    outcome = _core.simulate(
        landscape._problem,
        start,
        _core.Plan(steps, options.tolerance, options.threads, options.device_table),
        options.engine,
        [(record.name, record.count) for record in options.record.records],
        slots,
        observers.visit if options.record.functions else None,
        progress,
    )
    observers.carry_forward(outcome.status == _CONVERGED)
    axis = settings.kind.axis
    variables: dict[str, Any] = {}
    for record in options.record.records:
        attrs: dict[str, Any] = {"long_name": record.meaning}
        if record.iterative:
            attrs |= dict(zip(_ACCURACY, outcome.accuracy[record.name], strict=True))
        dims = ("run", axis, *record.axes)
        variables[record.variable] = (dims, outcome.records[record.name], attrs)
    variables |= observers.variables(axis)
    variables["weights"] = (("run", "parameter"), start)
    if outcome.states is not None:
        variables["state"] = (("run", "state_entry"), outcome.states, _STATE)
    variables["status"] = (("run",), STATUS_NAMES[outcome.status])
    variables["last_step"] = (("run",), outcome.last_step, {"long_name": "steps taken"})
    used = {dim for dims, *_ in variables.values() for dim in dims}
    count = max((record.count for record in options.record.records), default=1)
    dataset = xr.Dataset(
        variables,
        coords={
            "run": np.arange(len(start)),
            "out_of_range_layer": (
                "run",
                outcome.out_of_range_layer,
                {"long_name": "layer whose product was out of range, 0 for none"},
            ),
            "network": ((), _text(network), {"long_name": "arguments of Network, JSON"}),
            "engine": outcome.engine,
            axis: plan.coordinate,
            **{
                name: np.arange(1, length + 1)
                for name, length in lengths_of_axes(network, count).items()
                if name in NUMBERED and name in used
            },
        },
        attrs=_attributes(settings, options),
    )
    if outcome.interrupted:
        kept = outcome.status != 0
        if outcome.engine == "wide":
            kept |= outcome.last_step > 0
        # Of one large network nothing is copied.
        raise Interrupted(dataset if kept.all() else dataset.isel(run=np.flatnonzero(kept)))
    if progress is not None:
        try:
            progress(1.0)
        except KeyboardInterrupt:
            raise Interrupted(dataset) from None
    return dataset


def require_copy(network: Network, vectors: FloatArray, dtype: str) -> None:
    size = float(vectors.size)
    require_memory("a copy of the weights", network, size, np.dtype(dtype).itemsize)


def _require_beside_weights(network: Network, settings: RunSettings, options: Options) -> None:
    """Refuse what a run takes while it is computed, beside its weights, if that does not fit."""
    momentum = np.any(settings.column("momentum") > 0) * np.dtype(options.dtype).itemsize
    functions = 16 if options.record.functions else 0  # their weights in float64, and theirs alone
    if size := momentum + functions:
        require_memory(
            "what a run has beside its weights", network, float(network.parameters), int(size)
        )


_CONVERGED = STATUS_NAMES.tolist().index("converged")
_STATE = {"long_name": "what a run needs beside its weights to go on"}
#: Numbers of all states that are kept without being asked for
_SMALL_STATE = 2**24


def keeps_states(network: Network, runs: int, wanted: bool | None) -> bool:
    """Say whether runs keep their states, and refuse those that are wanted but do not fit."""
    most = 2.0 * network.parameters + 16 * (1 + 2 * sum(network.widths))
    if wanted:
        require_memory("the states of runs", network, 2 * most * runs)
    return most * runs <= _SMALL_STATE if wanted is None else wanted


#: Attributes of records that come from iterations
_ACCURACY = ("largest_relative_residual", "unconverged")


def add_accuracy(dataset: xr.Dataset, parts: Sequence[xr.Dataset]) -> None:
    """Say of runs that were put together from parts how far their records have converged."""
    residual, unconverged = _ACCURACY
    for name, variable in dataset.data_vars.items():
        found = [
            part[name].attrs for part in parts if name in part and residual in part[name].attrs
        ]
        if found:
            variable.attrs |= {
                residual: max(float(attrs[residual]) for attrs in found),
                unconverged: sum(int(attrs[unconverged]) for attrs in found),
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
        "method": settings.label,
        **settings.common(),
        "tolerance": options.tolerance,
        "dtype": options.dtype,
        "deeplinear_version": _core.build_config()["version"],
        "simd": _core.SIMD_LEVEL,
    }
