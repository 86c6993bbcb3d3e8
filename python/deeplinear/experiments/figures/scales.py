"""What training ends at against scale: sharpness, distance and probability of divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.figures.statistics import median_interval, wilson_interval
from deeplinear.experiments.figures.style import (
    ALPHA,
    GREY,
    MEDIAN_BAND,
    bound_style,
    cut,
    legend,
    panels,
    pens,
)
from deeplinear.options import arrived

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["distance", "divergence", "sharpness"]


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
        for scale, cell in cut(runs, "scale").items():
            alive = arrived(cell["status"].values)
            solid = bool(alive.any()) and bool(cell["reached"].values[alive].mean() > 0.5)
            rows.append((scale, *summary(cell), solid))
        table = np.array([row for row in rows if not math.isnan(row[1])]).reshape(-1, 5)
        scales, middle, lower, upper, reached = table.T
        return cls(scales, middle, lower, upper, reached.astype(bool))


def _at_end(name: str, floor: float = 0.0) -> Callable[[xr.Dataset], tuple[float, float, float]]:
    """Summarize what runs that did not diverge ended at."""

    def summary(cell: xr.Dataset) -> tuple[float, float, float]:
        values = cell[name].sel(record="end").values[arrived(cell["status"].values)]
        return median_interval(np.maximum(values, floor))

    return summary


def _draw_line(axes: Axes, line: _Line, pen: dict[str, Any], label: str) -> Line2D:
    """Draw a line with its band, and its points hollow where the line is not solid."""
    color = pen["color"]
    axes.fill_between(line.scale, line.lower, line.upper, color=color, alpha=ALPHA, linewidth=0)
    (handle,) = axes.plot(line.scale, line.middle, label=label, **pen)
    hollow = ~line.solid
    axes.plot(line.scale[hollow], line.middle[hollow], mfc="white", linestyle="none", **pen)
    return handle


def _new(ylabel: str) -> tuple[Figure, Axes]:

    figure, (axes,) = panels(1, 1, 3.6)
    axes.set_xlabel("scale of the initial weights")
    axes.set_ylabel(ylabel)
    return figure, axes


def _lines(dataset: xr.Dataset) -> Iterator[tuple[float, xr.Dataset, dict[str, Any]]]:
    """Give every learning rate its runs, and its colour and marker."""
    for (rate, runs), pen in zip(cut(dataset, "learning_rate").items(), pens(), strict=False):
        yield rate, runs, pen


def _legend(figure: Figure, handles: list[Any], band: str, hollow: bool) -> None:
    from matplotlib.lines import Line2D

    if hollow:
        text = "hollow: at most half of the\nruns reached a minimizer"
        line = Line2D([], [], color=GREY, marker="o", mfc="white", linestyle="none", label=text)
        handles = [*handles, line]
    legend(figure, handles, band)


def sharpness(dataset: xr.Dataset) -> Figure:
    """Draw initial and final sharpness against scale, beside 2 / learning rate and the bounds.

    Medians over runs that did not diverge (over all, at the start) with 95 % bands. Dashed: 2 /
    learning rate, in the line's colour. Dotted: the lower bound ``2 L a |w*|^(2-2/L)`` of every
    minimizer and, for Gaussian weights, the bound ``8 L Lambda |w*|^(2-2/L)`` of those that
    gradient flow from a small scale ends at.
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
    axes.fill_between(start.scale, start.lower, start.upper, color=GREY, alpha=ALPHA, linewidth=0)
    handles += axes.plot(start.scale, start.middle, color=GREY, linestyle="-", label="initial")
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.9, label=r"$2/\eta$, in its colour"))
    power = "" if _unit_norm(dataset) else r"\,|w^\star|^{2-2/L}"
    guide = "" if dataset.attrs["activation"] == "identity" else " of\nthe linear network"
    for name, label, gaps in (
        ("small_scale_sharpness_bound", rf"$8L\Lambda{power}$", (1, 3)),
        ("sharpness_lower_bound", rf"$2La{power}$", (1, 1)),
    ):
        if name == "small_scale_sharpness_bound" and dataset.attrs["init"] != "Gaussian":
            continue  # it holds for small Gaussian weights
        value = float(dataset[name][0])
        axes.axhline(value, **bound_style(gaps))
        text = f"{label} $= {value:.3g}${guide}"
        handles.append(Line2D([], [], label=text, **bound_style(gaps)))
    _legend(figure, handles, MEDIAN_BAND, _any_hollow(dataset))
    return figure


def _unit_norm(dataset: xr.Dataset) -> bool:
    norms = np.linalg.norm(dataset["minimizer"].values, axis=-1)
    return bool((abs(norms - 1) < 1e-9).all())


def _any_hollow(dataset: xr.Dataset) -> bool:
    lines = (_Line.of(runs, _at_end("risk")) for _, runs, _ in _lines(dataset))
    return any(not line.solid.all() for line in lines)


def distance(dataset: xr.Dataset) -> Figure:
    """Draw the squared distance of the end-to-end map to the minimizer against scale.

    Medians over runs that did not diverge, with 95 % bands. Exact zeros
    stand at the bottom, far below the rounding error of the precision, squared.
    """
    figure, axes = _new(r"squared distance $\|w - w^\star\|^2$ at the end")
    axes.set_yscale("log")
    floor = float(np.finfo(dataset.attrs["dtype"]).eps) ** 2 / 1e6
    handles = [
        _draw_line(axes, _Line.of(runs, _at_end("distance", floor)), pen, rf"$\eta = {rate:g}$")
        for rate, runs, pen in _lines(dataset)
    ]
    _legend(figure, handles, MEDIAN_BAND, _any_hollow(dataset))
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
