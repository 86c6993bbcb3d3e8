"""Experiments as data: which problem, network, initial weights and training, and what is recorded.

Every class is frozen, checks its fields when it is made, and holds nothing but settings: an
experiment can be compared, printed, stored beside its results and changed by
`dataclasses.replace`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear._support.checks import (
    describe,
    instance_of,
    non_negative_integer,
    one_of,
    positive_integer,
    scalar_or_sequence,
    sequence_fields,
)
from deeplinear.experiments.data import (
    Data,
    FileData,
    GaussianData,
    Problem,
    SpectralData,
    different,
    keep,
)
from deeplinear.experiments.figures import FIGURE_NAMES, FIGURE_NEEDS, FIGURES
from deeplinear.experiments.training import Training
from deeplinear.init import Initialization
from deeplinear.network import Network
from deeplinear.networks import Networks
from deeplinear.records import RECORDABLE

if TYPE_CHECKING:
    from deeplinear import Sweep

__all__ = [
    "FIGURE_NAMES",
    "FIGURE_NEEDS",
    "Architecture",
    "Data",
    "FileData",
    "GaussianData",
    "Preset",
    "Problem",
    "SpectralData",
    "Training",
]

_SEED_STRIDE = 1_000_000
#: The largest seed of an experiment: seeds of initial weights are a million times as large.
LARGEST_SEED = 2**32 - 1


def check_seed(name: str, value: object) -> int:
    """Take a seed of an experiment, from 0 to 2^32 - 1."""
    seed = non_negative_integer(name, value)
    if seed > LARGEST_SEED:
        raise ValueError(f"{name} must be at most {LARGEST_SEED}; got {describe(seed)}.")
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


def _sequence(name: str, value: object) -> tuple[Any, ...]:
    """Take a sequence that is no text."""
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a sequence of names; got {describe(value)}.")
    return tuple(value)


def _names(name: str, value: object, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Take a sequence of different names."""
    entries = enumerate(_sequence(name, value))
    names = tuple(one_of(f"{name}[{i}]", entry, choices) for i, entry in entries)
    different(name, names)
    return names


def _records(name: str, value: object) -> tuple[str, ...]:
    """Take a sequence of different things to record, such as "risk" or "eigenvalues:5"."""
    entries = _sequence(name, value)
    parts = [str.partition(x, ":") if isinstance(x, str) else (x, "", "") for x in entries]
    names = _names(name, [first for first, *_ in parts], tuple(RECORDABLE))
    for i, (first, colon, count) in enumerate(parts):
        if colon and RECORDABLE[first][1] != "eigenvalue":
            raise ValueError(f"{name}[{i}] must not have a count; got {describe(entries[i])}.")
        if colon and not re.fullmatch("[1-9][0-9]{0,8}", count):
            raise ValueError(
                f"{name}[{i}] must have a positive integer for a count; got {describe(entries[i])}."
            )
    return tuple(f"{n}:{count}" if c else n for n, (_, c, count) in zip(names, parts, strict=True))


@dataclass(frozen=True)
class Architecture:
    """Networks of one kind, of one or several depths L: `deeplinear.Networks` but for the seed.

    "plain": a first layer of shape (width, d), L - 2 of (width, width) and a last one of
    (1, width). "residual": L layers of shape (d, d), and a fixed readout, a random unit vector.

    Attributes
    ----------
    kind : {"plain", "residual"}
        See above.
    depths : sequence of int
        The depths.
    activation : str
        The function between the layers, see `Network`.
    width : int, optional
        The units of a layer; by default d, and always d in residual networks.
    """

    kind: str = "plain"
    depths: tuple[int, ...] = (10,)
    activation: str = "identity"
    width: int | None = None

    def __post_init__(self) -> None:
        depths = scalar_or_sequence("depths", self.depths, positive_integer)
        keep(self, depths=depths if isinstance(depths, tuple) else (depths,))
        different("depths", self.depths)
        checked = self.networks(0)
        for name in ("kind", "activation", "width"):
            value = getattr(checked, name)
            if isinstance(value, tuple):
                raise ValueError(f"{name} must be one value here; got a sequence.")
            keep(self, **{name: value})

    @property
    def linear(self) -> bool:
        """Whether the network is a linear map."""
        return self.activation == "identity"

    def networks(self, seed: int) -> Networks:
        """Return the family, over its depths."""
        return Networks(self.depths, self.width, self.kind, self.activation, seed)

    def network(self, d: int, depth: int, seed: int) -> Network:
        """Make the network of one depth.

        Parameters
        ----------
        d : int
            The number of inputs.
        depth : int
            The number L of layers.
        seed : int
            Decides the readout of a residual network, as of `Networks`.
        """
        return replace(self.networks(seed), depth=depth).network(d)


@dataclass(frozen=True)
class Preset:
    """An experiment: every problem, depth and part of the training, from every scale.

    Attributes
    ----------
    name : str
        What its files are called: letters, digits, ``-``, ``_`` and ``.``. It does not end with
        ``-partial``, which names the finished runs of an experiment that was stopped.
    title : str
        What it is, in a few words.
    data : GaussianData, SpectralData or FileData
        The problems.
    network : Architecture
        The networks.
    init : Initialization
        The law of the initial weights, with one scale or a sequence.
    training : tuple of Training
        The parts.
    record : tuple of str
        What is measured, names of `deeplinear.RECORDABLE`; "risk" is one of them. Of eigenvalues
        it also says how many: "eigenvalues:5".
    figures : tuple of str
        Which of `FIGURE_NAMES` are drawn. What a figure shows must be recorded: "sharpness",
        "distance", "depths" and "generalization" show the start and the end, and need parts
        without ``every``; "curves" and "alignment-curves" show what happens in between.
    seed : int
        What data, readout and initial weights are drawn from, unless the run is given another.
    """

    name: str
    title: str
    data: Data
    network: Architecture
    init: Initialization
    training: tuple[Training, ...]
    record: tuple[str, ...] = ("risk", "distance", "sharpness")
    figures: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_texts()
        instance_of("data", self.data, Data)  # type: ignore[type-abstract]
        instance_of("network", self.network, Architecture)
        instance_of("init", self.init, Initialization)  # type: ignore[type-abstract]
        keep(self, seed=check_seed("seed", self.seed), training=tuple(self.training))
        if not self.training:
            raise ValueError("training must have at least one part; got none.")
        for i, part in enumerate(self.training):
            instance_of(f"training[{i}]", part, Training)
            if part.scale is not None and not hasattr(self.init, "scale"):
                raise ValueError(
                    f"training[{i}].scale must not be given for an initialization without one."
                )
            try:
                law = self.law(part)
            except ValueError as error:
                raise ValueError(f"training[{i}].{error}") from None
            different("scale", sequence_fields(law).get("scale", ()))
        self._check_record()
        keep(self, figures=_names("figures", self.figures, FIGURE_NAMES))
        for figure in self.figures:
            reason = FIGURES[figure].lacking(self.recorded, self.data, self.training)
            if reason is not None:
                raise ValueError(f"figures must not hold {figure!r} where {reason}.")

    def _check_texts(self) -> None:
        for name in ("name", "title"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a text; got {describe(value)}.")
        if not re.fullmatch(r"\w[\w.-]{0,99}", self.name, re.ASCII):
            raise ValueError(
                "name must be made of letters, digits, '_', '-' and '.', and start with one of the "
                f"first three; got {describe(self.name)}."
            )
        if re.search(r"-partial(-\d+)?$", self.name, re.ASCII | re.IGNORECASE):
            raise ValueError(
                "name must not end with '-partial', as the files of experiments that were stopped "
                f"do; got {describe(self.name)}."
            )
        if not self.title.isprintable():
            raise ValueError(f"title must be one line of text; got {describe(self.title)}.")

    def _check_record(self) -> None:
        keep(self, record=_records("record", self.record))
        if "risk" not in self.recorded:
            raise ValueError("record must hold 'risk', which tells what a run reached.")
        if "distance" in self.recorded and not self.network.linear:
            raise ValueError(
                "record must not hold 'distance' where the network is not linear: it has no "
                "end-to-end map."
            )
        if "test_risk" in self.recorded and not self.data.tested:
            raise ValueError("record must not hold 'test_risk' where there are no test data.")

    @property
    def recorded(self) -> tuple[str, ...]:
        """The names of what is recorded, without the number that one may have."""
        return tuple(name.partition(":")[0] for name in self.record)

    def law(self, part: Training) -> Initialization:
        """Return the law of the initial weights of a part, with the sequence of its scales."""
        if not hasattr(self.init, "scale"):
            return self.init
        own = part.scales
        return replace(self.init, scale=self.scales if own is None else own)  # type: ignore[type-var]

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales of the initial weights; 0 for the identity, the residual law of scale 0."""
        return tuple(np.atleast_1d(getattr(self.init, "scale", 0.0)).tolist())

    def sweeps(self, dtype: str = "float64") -> tuple[Sweep, ...]:
        """Say what is trained: a sweep for every part of the training.

        What is recorded of a part of gradient descent without `every` is, beside the start and the
        end, the record before: it tells whether a run has settled.
        """
        from deeplinear import Landscapes, Sweep  # what runs them loads more than a help should

        family = Landscapes(self.network.networks(self.seed), self.data.law(self.seed))
        return tuple(
            Sweep(
                family,
                self.law(part),
                part.swept_dynamics,
                initial_seeds(self.seed, part.runs),
                steps=part.steps,
                time=part.time,
                record=self.record,
                every=part.records_apart,
                tolerance=part.tolerance,
                dtype=dtype,
            )
            for part in self.training
        )

    def cells(self, part: Training) -> int:
        """Count the combinations of problem, depth, scale and learning rate of a part."""
        scales = self.scales if part.scales is None else part.scales
        rates = max(1, len(part.learning_rates))
        return self.data.count * len(self.network.depths) * len(scales) * rates

    @property
    def runs(self) -> int:
        """Runs of all cells together."""
        return sum(self.cells(part) * part.runs for part in self.training)

    @property
    def steps(self) -> int:
        """Steps of gradient descent of all runs together, if none stops early."""
        return sum(self.cells(part) * part.runs * (part.steps or 0) for part in self.training)

    def quick(self) -> Preset:
        """Make it small: every third value of what has more than five, and at most 8 runs a cell.

        What is left equals the same cells of the whole, but for the training of nonlinear
        networks, which is cut to 2,000 steps.
        """
        return replace(
            self,
            name=f"{self.name}-quick",
            title=f"{self.title}, a small version",
            data=_thinned(self.data),
            network=_thinned(self.network),
            init=_thinned(self.init),
            training=tuple(self._quick_part(part) for part in self.training),
        )

    def _quick_part(self, part: Training) -> Training:
        steps = part.steps
        if steps is not None and not self.network.linear:
            steps = min(steps, 2_000)
        part = replace(part, dynamics=_thinned(part.dynamics), scale=_third(part.scale))
        return replace(part, runs=min(part.runs, 8), steps=steps)


def _third(value: Any) -> Any:
    """Keep every third value of a sequence that has more than five."""
    return value[::3] if isinstance(value, tuple) and len(value) > 5 else value


def _thinned(settings: Any) -> Any:
    """Do so in every field."""
    return replace(settings, **{k: _third(x) for k, x in sequence_fields(settings).items()})
