"""Puts the sweeps of an experiment into one labelled dataset.

Parts may have different numbers of records. Record 0 is the start, and the last record is the end,
of every run; a part with fewer records than the longest has NaN in between.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import deeplinear as dl
from deeplinear import theory
from deeplinear._support.checks import FloatArray
from deeplinear.experiments.preset import Preset, Problem, Training
from deeplinear.experiments.results.runs import arrived, excess_of_zero
from deeplinear.experiments.training import SETTLED_FOR
from deeplinear.records import NUMBERED
from deeplinear.simulation import add_accuracy

#: A run has reached a minimizer where its excess risk is at most this share of the zero map's, at
#: the end and `SETTLED_FOR` steps before.
REACHED = 1e-6
#: Nonlinear networks approach slowly: at the end of training their risk still falls, and most are
#: below a thousandth of the zero map's. Their smallest risk is not known, and counts as zero.
REACHED_NONLINEAR = 1e-3
#: Weights at the end are kept up to this many numbers.
LARGEST_WEIGHTS = 2_000_000

#: What follows from the data of a run alone: name -> (long name, function).
_OF_DATA: dict[str, tuple[str, Callable[[dl.Regression], float]]] = {
    "curvature_along_minimizer": (
        "curvature a of the data along the minimizer",
        theory.curvature_along_minimizer,
    ),
    "largest_curvature": (
        "largest eigenvalue Lambda of the covariance",
        lambda regression: float(regression.eigenvalues[-1]),
    ),
    "minimum_risk": (
        "smallest risk of a linear map",
        lambda regression: regression.minimum_risk,
    ),
}


@dataclass(frozen=True)
class Block:
    """What a part of the training trains on one landscape: one problem and depth.

    Attributes
    ----------
    part : int
        The number of the part.
    training : Training
        The part.
    sweep : deeplinear.Sweep
        The part as a sweep over all landscapes.
    problem : int
        The number of the problem.
    landscape : deeplinear.Landscape
        The one of it.
    """

    part: int
    training: Training
    sweep: dl.Sweep
    problem: int
    landscape: dl.Landscape

    @property
    def regression(self) -> dl.Regression:
        """The data."""
        return self.landscape.regression

    @property
    def depth(self) -> int:
        """The number L of layers."""
        return self.landscape.network.depth

    def cells(self) -> list[dict[str, Any]]:
        """Return its runs in order: the learning rates outside, the seeds inside."""
        inner = [name for name in self.sweep.axes if name not in self.sweep.outer]
        inner.sort(key=("learning_rate", "scale", "seed").index)
        values = product(*(self.sweep.axes[name] for name in inner))
        return [dict(zip(inner, row, strict=True)) for row in values]


@dataclass(frozen=True)
class BlockRuns:
    """Runs of a block, and the columns that all blocks have."""

    block: Block
    columns: dict[str, npt.NDArray[Any]]  # (runs,)
    records: dict[str, FloatArray]  # (runs, records[, layers or pairs])
    weights: npt.NDArray[Any] | None  # (runs, P), where `keeps_weights`

    def __len__(self) -> int:
        return len(self.columns["seed"])

    def take(self, index: npt.NDArray[Any]) -> BlockRuns:
        """Return some of the runs, by number or by truth values."""
        return BlockRuns(
            self.block,
            {name: values[index] for name, values in self.columns.items()},
            {name: values[index] for name, values in self.records.items()},
            None if self.weights is None else self.weights[index],
        )

    @staticmethod
    def join(parts: Sequence[BlockRuns]) -> BlockRuns:
        """Put runs of one block after each other."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return BlockRuns(
            first.block,
            {name: np.concatenate([p.columns[name] for p in parts]) for name in first.columns},
            {name: _joined([p.records[name] for p in parts]) for name in first.records},
            None
            if first.weights is None
            else np.concatenate([p.weights for p in parts if p.weights is not None]),
        )


def keeps_weights(preset: Preset) -> bool:
    """Say whether weights at the end are kept: of one depth, and where they are not many."""
    if len(preset.network.depths) > 1:
        return False
    network = preset.network.network(preset.data.d, preset.network.depths[0], preset.seed)
    return network.parameters * preset.runs <= LARGEST_WEIGHTS


@np.errstate(over="ignore", under="ignore")
def assemble(
    preset: Preset,
    problems: Sequence[Problem],
    parts: Sequence[BlockRuns],
    accuracy: Sequence[xr.Dataset],
) -> xr.Dataset:
    """Put runs one after another along ``run``, and add the data and what follows from them.

    Parameters
    ----------
    preset : Preset
        The experiment.
    problems : sequence of Problem
        Its problems.
    parts : sequence of BlockRuns
        The runs, at least those of one block.
    accuracy : sequence of xarray.Dataset
        What says how far the sharpness of these runs has converged.

    Returns
    -------
    xarray.Dataset
        As of `deeplinear.experiments.run.run`, but for the attributes.
    """
    variables: dict[Hashable, Any] = {}
    for name in parts[0].columns:
        values = np.concatenate([part.columns[name] for part in parts])
        variables[name] = ("run", values, {"long_name": _COLUMNS[name]})
    for name, (long_name, axes) in recorded(preset).items():
        values = _joined([part.records[name] for part in parts])
        variables[name] = (("run", "record", *axes), values, {"long_name": long_name})
    _add_bounds(variables, parts)
    kept = [part.weights for part in parts if part.weights is not None]
    if kept:
        weights = np.concatenate(kept)
        variables["weights"] = (("run", "parameter"), weights, {"long_name": "weights at the end"})
    regressions = [problem.regression for problem in problems]
    variables["X"] = (("problem", "sample", "input"), np.stack([r.X for r in regressions]))
    variables["y"] = (("problem", "sample"), np.stack([r.y for r in regressions]))
    variables["minimizer"] = (("problem", "input"), np.stack([r.minimizer for r in regressions]))
    coords = _coordinates(preset, problems, variables)
    dataset = xr.Dataset(variables, coords=coords)
    add_accuracy(dataset, accuracy)
    return dataset


#: What stands in a column of the runs: name -> long name; those before "status" are coordinates.
_COLUMNS = {
    "part": "part of the training",
    "problem": "number of the problem",
    "depth": "number L of layers",
    "scale": "scale of the initial weights",
    "learning_rate": "learning rate",
    "dynamics": "gradient descent, or the integrator of gradient flow",
    "seed": "seed of the initial weights",
    "status": "how the run ended",
    "last_step": "steps taken",
    "steps": "steps to take",
    "risk_before_end": f"risk {SETTLED_FOR} steps or one record before the end",
    "reached": "whether the excess risk at the end, and shortly before, is small",
}
_COORDINATES = tuple(_COLUMNS)[: list(_COLUMNS).index("status")]


def recorded(preset: Preset) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the long name, and the dimensions beside run and record, of all that is recorded."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {
        "time": ("time, or learning rate times steps", ()),
        "step": ("steps of gradient descent", ()),
    }
    for name in preset.recorded:
        meaning, axes = dl.RECORDABLE[name]
        variable = "recorded_weights" if name == "weights" else name  # those at the end have it
        found[variable] = (meaning, (axes,) if isinstance(axes, str) else axes or ())
    return found


def trained_runs(preset: Preset, block: Block, dataset: xr.Dataset) -> BlockRuns:
    """Take the runs of a block out of what `deeplinear.sweep_runs` returned for it."""
    training, axis = block.training, "step" if "step" in dataset.coords else "time"
    runs = dataset.sizes["run"]

    def column(name: str, otherwise: float) -> npt.NDArray[Any]:
        return dataset[name].values if name in dataset.coords else np.full(runs, otherwise)

    rate = column("learning_rate", np.nan)
    place = np.asarray(dataset[axis].values, dtype=np.float64)
    descent = isinstance(training.dynamics, dl.GradientDescent)
    records = {
        "time": rate[:, None] * place if descent else np.tile(place, (runs, 1)),
        "step": np.tile(place, (runs, 1)) if descent else np.full((runs, len(place)), np.nan),
    }
    records |= {n: dataset[n].values for n in recorded(preset) if n not in records}
    before = records["risk"][:, -2] if descent else np.full(runs, np.nan)
    if training.every is None:
        records = {name: values[:, [0, -1]] for name, values in records.items()}
    status = dataset["status"].values
    latest = np.fmax(records["risk"][:, -1], before)
    limit, least = _limits(block.regression, preset.network.linear)
    columns = {
        "part": np.full(runs, block.part),
        "problem": np.full(runs, block.problem),
        "depth": np.full(runs, block.depth),
        "scale": column("scale", 0.0),
        "learning_rate": rate,
        "dynamics": np.full(runs, dataset.attrs["method"]),
        "seed": dataset["seed"].values,
        "status": status,
        "last_step": dataset["last_step"].values,
        "steps": np.full(runs, training.steps if descent else np.nan, dtype=np.float64),
        "risk_before_end": before,
        "reached": (latest - least <= limit) & arrived(status),
    }
    return BlockRuns(
        block, columns, records, dataset["weights"].values if keeps_weights(preset) else None
    )


def lacking(preset: Preset, dataset: xr.Dataset) -> str:
    """Name what `stored_runs` needs and a dataset does not have, such as "status, sharpness"."""
    if "run" not in dataset.dims:
        return "dimension run"
    needed: dict[str, tuple[str, ...]] = dict.fromkeys(_COLUMNS, ("run",))
    needed |= {name: ("run", "record", *axes) for name, (_, axes) in recorded(preset).items()}
    if keeps_weights(preset):
        needed["weights"] = ("run", "parameter")
    missing = [n for n, dims in needed.items() if n not in dataset or dataset[n].dims != dims]
    attrs = [] if "simulation_seconds" in dataset.attrs else ["simulation_seconds"]
    if "sharpness" in dataset:
        attrs += {"largest_relative_residual", "unconverged"} - set(dataset["sharpness"].attrs)
    return ", ".join([*missing, *attrs])


def stored_runs(preset: Preset, block: Block, dataset: xr.Dataset) -> BlockRuns:
    """Take the runs of a block out of what `assemble` returned, without the records it pads."""
    places = (("part", block.part), ("problem", block.problem), ("depth", block.depth))
    those = np.logical_and.reduce([dataset[name].values == value for name, value in places])
    part = dataset.isel(run=np.flatnonzero(those))
    records = {}
    for name in recorded(preset):
        values = part[name].values
        if part.sizes["run"]:
            count = int(np.isfinite(part["time"].values[0]).sum())
            values = values[:, [*range(count - 1), -1]]
        records[name] = values
    columns = {name: part[name].values for name in _COLUMNS}
    columns["status"] = columns["status"].astype(np.array(list(dl.STATUS)).dtype)
    columns["dynamics"] = columns["dynamics"].astype(str)
    weights = part["weights"].values if keeps_weights(preset) else None
    return BlockRuns(block, columns, records, weights)


def reached_below(linear: bool) -> float:
    """Return the share of the zero map's excess risk that counts as reached."""
    return REACHED if linear else REACHED_NONLINEAR


def _limits(regression: dl.Regression, linear: bool) -> tuple[float, float]:
    """Return the largest excess risk of a run that reached a minimizer, and the smallest risk."""
    zero = excess_of_zero(regression.X, regression.y, regression.minimizer, linear=linear)
    return reached_below(linear) * float(zero), regression.minimum_risk if linear else 0.0


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    """Put records of runs, (run, record, ...), after each other, in the shape that holds all."""
    shape = tuple(np.max([part.shape[1:] for part in parts], axis=0).tolist())
    return np.concatenate([_padded(part, shape) for part in parts])


def _padded(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Put NaN before the last record, and after the last layer and the like, up to a shape."""
    if values.shape[1:] == shape:
        return values
    whole = np.full((len(values), *shape), np.nan)
    inner = (slice(None), *(slice(size) for size in values.shape[2:]))
    first = values.shape[1] - 1
    whole[:, :first][(inner[0], slice(None), *inner[1:])] = values[:, :-1]
    whole[:, -1][inner] = values[:, -1]
    return whole


def _add_bounds(variables: dict[Hashable, Any], parts: Sequence[BlockRuns]) -> None:
    """Add what follows from every run's data, and what the theory says of them at its depth."""
    runs, blocks = [len(part) for part in parts], [part.block for part in parts]
    of_blocks = {
        name: (long_name, [of_data(block.regression) for block in blocks])
        for name, (long_name, of_data) in _OF_DATA.items()
    } | {
        name: (long_name, [bound(block.regression, block.depth) for block in blocks])
        for name, (long_name, bound) in theory.BOUNDS.items()
    }
    for name, (long_name, values) in of_blocks.items():
        variables[name] = ("run", np.repeat(values, runs), {"long_name": long_name})


def _coordinates(
    preset: Preset,
    problems: Sequence[Problem],
    variables: dict[Hashable, Any],
) -> dict[Hashable, Any]:
    """Move the coordinates of the runs out of the variables, and number the rest."""
    coords: dict[Hashable, Any] = {name: variables.pop(name) for name in _COORDINATES}
    of_run = coords["problem"][1]
    for name in problems[0].labels:
        labels = np.array([problem.labels[name] for problem in problems])
        coords[name] = ("run", labels[of_run], {"long_name": f"{name} of the problem"})
    ends = all(part.every is None for part in preset.training)
    sizes = {
        dim: size
        for dims, values, *_ in variables.values()
        for dim, size in zip(np.atleast_1d(dims).tolist(), np.shape(values), strict=True)
    }
    coords["record"] = ["start", "end"] if ends else np.arange(sizes["record"])
    coords |= {name: np.arange(1, sizes[name] + 1) for name in NUMBERED if name in sizes}
    return coords
