"""Figures of an experiment over scales and learning rates, for print.

Each is drawn from the dataset alone, as `deeplinear.reproduce.run` returns it and `save` writes
it. One line per learning rate runs over the scales of the initial weights. Runs that diverged
count in the probability of divergence, and nowhere else: where all did there is no point.

Notes
-----
Sharpness and distance are medians over runs. Their bands are distribution-free 95 % confidence
intervals of the median: of n sorted values, from number k to number n + 1 - k with the largest k
such that ``1 - 2 P(B < k) >= 0.95`` for B binomial of n trials of probability 1/2. Fewer than six
values have no such k, and no band. The band of a probability is Wilson's 95 % interval.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear.checks import FloatArray
from deeplinear.files import replacing, require, writable_directory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["FIGURES", "distance", "divergence", "draw", "median_interval", "sharpness"]

# Okabe and Ito's colours, which colour-blind readers tell apart, and markers for grey prints.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
# Later ones are smaller, so that lines that lie on one another all show.
_MARKERS = (("o", 7.0), ("s", 5.8), ("^", 5.4), ("D", 4.2), ("v", 4.0), ("P", 3.6), ("X", 3.4))
_GREY = "#555555"
_ALPHA = 0.15

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same file everywhere
    "font.size": 9,
    "axes.labelsize": 10,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.3,
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


def median_interval(values: npt.ArrayLike) -> tuple[float, float, float]:
    """Compute the median, and the bounds of its distribution-free 95 % confidence interval.

    Parameters
    ----------
    values : array_like, shape (n,)
        The sample.

    Returns
    -------
    median, lower, upper : float
        The bounds are NaN for fewer than six values, all three for none.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = len(x)
    if n == 0:
        return math.nan, math.nan, math.nan
    k, tail = 0, 0.0  # P(B < k)
    while 1 - 2 * (tail + math.comb(n, k) / 2**n) >= 0.95:
        tail += math.comb(n, k) / 2**n
        k += 1
    lower, upper = (float(x[k - 1]), float(x[n - k])) if k > 0 else (math.nan, math.nan)
    return float(np.median(x)), lower, upper


def wilson_interval(successes: int, n: int) -> tuple[float, float, float]:
    """Compute a share, and the bounds of Wilson's 95 % interval of the probability behind it."""
    z = 1.959963984540054
    share, spread = successes / n, z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return share, max(centre - half, 0.0), min(centre + half, 1.0)


@dataclass(frozen=True)
class _Line:
    """What one learning rate's line shows, over the scales that it has a value at."""

    scale: FloatArray
    middle: FloatArray
    lower: FloatArray
    upper: FloatArray
    solid: npt.NDArray[np.bool_]  # whether most runs that did not diverge reached a minimizer

    @classmethod
    def of(cls, runs: xr.Dataset, summary: Callable[[xr.Dataset], Any]) -> _Line:
        """Summarize the runs of every scale as (middle, lower, upper)."""
        rows = []
        for scale, cell in _cut(runs, "scale").items():
            alive = cell["status"].values != "diverged"
            solid = bool(alive.any()) and bool(cell["reached"].values[alive].mean() > 0.5)
            rows.append((scale, *summary(cell), solid))
        table = np.array([row for row in rows if not math.isnan(row[1])]).reshape(-1, 5)
        scales, middle, lower, upper, reached = table.T
        return cls(scales, middle, lower, upper, reached.astype(bool))


def _cut(dataset: xr.Dataset, name: str) -> dict[float, xr.Dataset]:
    """Cut the runs by the values of a coordinate, in increasing order."""
    values = dataset[name].values
    return {float(x): dataset.isel(run=values == x) for x in np.unique(values)}


def _at_end(name: str, floor: float = 0.0) -> Callable[[xr.Dataset], tuple[float, float, float]]:
    """Summarize what runs that did not diverge ended at."""

    def summary(cell: xr.Dataset) -> tuple[float, float, float]:
        values = cell[name].sel(record="end").values[cell["status"].values != "diverged"]
        return median_interval(np.maximum(values, floor))

    return summary


def _draw_line(axes: Axes, line: _Line, pen: dict[str, Any], label: str) -> Line2D:
    """Draw a line with its band, and its points hollow where the line is not solid."""
    color = pen["color"]
    axes.fill_between(line.scale, line.lower, line.upper, color=color, alpha=_ALPHA, linewidth=0)
    (handle,) = axes.plot(line.scale, line.middle, label=label, **pen)
    hollow = ~line.solid
    axes.plot(line.scale[hollow], line.middle[hollow], mfc="white", linestyle="none", **pen)
    return handle


def _new(ylabel: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.3, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("scale of the initial weights")
    axes.set_ylabel(ylabel)
    return figure, axes


def _lines(dataset: xr.Dataset) -> Iterator[tuple[float, xr.Dataset, dict[str, Any]]]:
    """Give every learning rate its runs, and its colour and marker."""
    for i, (rate, runs) in enumerate(_cut(dataset, "learning_rate").items()):
        marker, size = _MARKERS[i % len(_MARKERS)]
        yield rate, runs, {"color": _COLORS[i % len(_COLORS)], "marker": marker, "ms": size}


def _legend(figure: Figure, handles: list[Any], band: str, hollow: bool) -> None:
    """Put the legend beside the axes, where it covers nothing."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [*handles, Patch(color=_GREY, alpha=0.25, linewidth=0, label=band)]
    if hollow:
        text = "hollow: at most half of the\nruns reached a minimizer"
        handles.append(
            Line2D([], [], color=_GREY, marker="o", mfc="white", linestyle="none", label=text)
        )
    figure.legend(handles=handles, loc="outside right upper")


_MEDIAN_BAND = "95 % interval of the\nmedian over runs"


def sharpness(dataset: xr.Dataset) -> Figure:
    """Draw initial and final sharpness against scale, beside 2 / learning rate and the bounds.

    Medians over runs that did not diverge (over all, at the start) with 95 % bands; see the
    module's notes. Dashed: 2 / learning rate, in the line's colour. Dotted: the lower bound
    ``2 L a |w*|^(2-2/L)`` of every minimizer, and the bound ``8 L Lambda |w*|^(2-2/L)`` of those
    that gradient flow from a small scale ends at.
    """
    from matplotlib.lines import Line2D

    figure, axes = _new(r"sharpness $S(W)$")
    axes.set_yscale("log")
    handles: list[Any] = []
    for rate, runs, pen in _lines(dataset):
        line = _Line.of(runs, _at_end("sharpness"))
        handles.append(_draw_line(axes, line, pen, rf"final, $\eta = {rate:g}$"))
        axes.axhline(2 / rate, color=pen["color"], linestyle="--", linewidth=0.9)
    # Learning rates share their starts.
    _, first = np.unique(np.stack([dataset["scale"], dataset["seed"]]), axis=1, return_index=True)

    def at_start(cell: xr.Dataset) -> tuple[float, float, float]:
        return median_interval(cell["sharpness"].sel(record="start").values)

    start = _Line.of(dataset.isel(run=np.sort(first)), at_start)
    axes.fill_between(start.scale, start.lower, start.upper, color=_GREY, alpha=_ALPHA, linewidth=0)
    handles += axes.plot(start.scale, start.middle, color=_GREY, linestyle="-", label="initial")
    handles.append(Line2D([], [], color=_GREY, ls="--", lw=0.9, label=r"$2/\eta$, in its colour"))
    power = "" if _unit_norm(dataset) else r"\,|w^\star|^{2-2/L}"
    for name, label, gaps in (
        ("small_scale_sharpness_bound", rf"$8L\Lambda{power}$", (1, 3)),
        ("sharpness_lower_bound", rf"$2La{power}$", (1, 1)),
    ):
        value = float(dataset[name][0])
        label = f"{label} $= {value:.3g}$"
        style: dict[str, Any] = {"color": "black", "linestyle": (0, gaps), "linewidth": 1.2}
        axes.axhline(value, **style)
        handles.append(Line2D([], [], label=label, **style))
    _legend(figure, handles, _MEDIAN_BAND, _any_hollow(dataset))
    return figure


def _unit_norm(dataset: xr.Dataset) -> bool:
    norms = np.linalg.norm(dataset["minimizer"].values, axis=-1)
    return bool((abs(norms - 1) < 1e-9).all())


def _any_hollow(dataset: xr.Dataset) -> bool:
    lines = (_Line.of(runs, _at_end("risk")) for _, runs, _ in _lines(dataset))
    return any(not line.solid.all() for line in lines)


def distance(dataset: xr.Dataset) -> Figure:
    """Draw the squared distance of the end-to-end map to the minimizer against scale.

    Medians over runs that did not diverge, with 95 % bands; see the module's notes. Exact zeros
    stand at the bottom, far below the rounding error of the precision, squared.
    """
    figure, axes = _new(r"squared distance $\|w - w^\star\|^2$ at the end")
    axes.set_yscale("log")
    floor = float(np.finfo(dataset.attrs["dtype"]).eps) ** 2 / 1e6
    handles = [
        _draw_line(axes, _Line.of(runs, _at_end("distance", floor)), pen, rf"$\eta = {rate:g}$")
        for rate, runs, pen in _lines(dataset)
    ]
    _legend(figure, handles, _MEDIAN_BAND, _any_hollow(dataset))
    return figure


def divergence(dataset: xr.Dataset) -> Figure:
    """Draw the share of runs that diverged against scale, with Wilson's 95 % interval."""
    figure, axes = _new("probability of divergence")
    handles: list[Any] = []

    def share(cell: xr.Dataset) -> tuple[float, float, float]:
        return wilson_interval(int((cell["status"].values == "diverged").sum()), cell.sizes["run"])

    for rate, runs, pen in _lines(dataset):
        line = _Line.of(runs, share)
        line.solid[:] = True
        handles.append(_draw_line(axes, line, pen, rf"$\eta = {rate:g}$"))
    axes.set_ylim(-0.03, 1.03)
    _legend(figure, handles, "Wilson's 95 % interval\nover runs", hollow=False)
    return figure


#: The figures by name.
FIGURES: dict[str, Callable[[xr.Dataset], Figure]] = {
    "sharpness": sharpness,
    "distance": distance,
    "divergence": divergence,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and write figures in this style while the block runs; no global setting changes."""
    require("A figure", "matplotlib")
    from matplotlib import style as matplotlib_style

    with matplotlib_style.context(["default", _STYLE]):
        yield


def draw(
    dataset: xr.Dataset, directory: str | os.PathLike[str], name: str | None = None
) -> list[Path]:
    """Write the figures that the experiment asks for as PDF and PNG.

    The same data give the same files.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `deeplinear.reproduce.run` returned or `save` wrote.
    directory : path-like
        Where to; made if it is not there.
    name : str, optional
        What the files' names begin with, the experiment's name by default.

    Returns
    -------
    list of Path
        ``NAME-sharpness.pdf``, ``NAME-sharpness.png`` and so on.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If the directory cannot be written.
    """
    folder = writable_directory("directory", directory)
    prefix = dataset.attrs["experiment"] if name is None else name
    # No time and no version in the files.
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    paths = []
    with style():
        for key in dataset.attrs["figures"].split():
            if key not in FIGURES:
                continue
            figure = FIGURES[key](dataset)
            for ending, entries in metadata.items():
                path = folder / f"{prefix}-{key}.{ending}"
                with replacing(path) as temporary:
                    figure.savefig(temporary, format=ending, metadata=entries)
                paths.append(path)
    return paths
