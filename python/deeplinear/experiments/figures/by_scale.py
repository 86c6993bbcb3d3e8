"""Lines over the scale of the initial weights, one per learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.figures.style import ALPHA, GREY, legend, panels, pens
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["ScaleLine", "any_hollow", "at_end", "legend_of_lines", "lines", "new"]

#: A summary of the runs of a scale: middle, lower and upper end of its interval.
Summary = Callable[[Runs], tuple[float, float, float]]


@dataclass(frozen=True)
class ScaleLine:
    """What one learning rate's line shows, over the scales that it has a value at."""

    scale: FloatArray
    middle: FloatArray
    lower: FloatArray
    upper: FloatArray
    solid: npt.NDArray[np.bool_]  # whether most runs that did not diverge reached a minimizer

    @classmethod
    def of(cls, runs: Runs, summary: Summary) -> ScaleLine:
        """Summarize the runs of every scale."""
        points = []
        for scale, cell in runs.by("scale"):
            alive = cell.arrived
            solid = bool(alive.any()) and bool(cell.reached[alive].mean() > 0.5)
            points.append((scale, *summary(cell), solid))
        table = np.array([p for p in points if not math.isnan(p[1])]).reshape(-1, 5)
        scales, middle, lower, upper, reached = table.T
        return cls(scales, middle, lower, upper, reached.astype(bool))

    def draw(self, axes: Axes, pen: dict[str, Any], label: str) -> Line2D:
        """Draw it with its band, and its points hollow where it is not solid."""
        self.draw_band(axes, pen["color"])
        (handle,) = axes.plot(self.scale, self.middle, label=label, **pen)
        hollow = ~self.solid
        axes.plot(self.scale[hollow], self.middle[hollow], mfc="white", linestyle="none", **pen)
        return handle

    def draw_band(self, axes: Axes, color: str) -> None:
        """Draw the intervals alone."""
        axes.fill_between(self.scale, self.lower, self.upper, color=color, alpha=ALPHA, linewidth=0)


def at_end(name: str, floor: float = 0.0) -> Summary:
    """Summarize what runs that did not diverge ended at."""

    def summary(cell: Runs) -> tuple[float, float, float]:
        return median_interval(np.maximum(cell.end(name)[cell.arrived], floor))

    return summary


def new(ylabel: str) -> tuple[Figure, Axes]:
    """Make a figure of one panel."""
    figure, (axes,) = panels(1, 1, 3.6)
    axes.set_xlabel("scale of the initial weights")
    axes.set_ylabel(ylabel)
    return figure, axes


def lines(runs: Runs) -> Iterator[tuple[float, Runs, dict[str, Any]]]:
    """Give every learning rate its runs, and its colour and marker."""
    for (rate, cell), pen in zip(runs.by("learning_rate"), pens(), strict=False):
        yield rate, cell, pen


def any_hollow(runs: Runs) -> bool:
    """Say whether a line has a hollow point."""
    found = (ScaleLine.of(cell, at_end("risk")) for _, cell, _ in lines(runs))
    return any(not line.solid.all() for line in found)


def legend_of_lines(figure: Figure, handles: list[Any], band: str, *, hollow: bool) -> None:
    """Put the legend beside the axes; it says what hollow points are, where there are any."""
    from matplotlib.lines import Line2D

    if hollow:
        text = "hollow: at most half of the\nruns reached a minimizer"
        line = Line2D([], [], color=GREY, marker="o", mfc="white", linestyle="none", label=text)
        handles = [*handles, line]
    legend(figure, handles, band)
