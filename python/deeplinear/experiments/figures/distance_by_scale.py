"""The distance to the minimizer that training ends at, against scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deeplinear.experiments.figures import by_scale
from deeplinear.experiments.figures.drawing import ENDS, Drawing
from deeplinear.experiments.figures.style import MEDIAN_BAND, smallest_distance
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw(runs: Runs) -> Figure:
    figure, axes = by_scale.new(r"squared distance $\|w - w^\star\|^2$ at the end")
    axes.set_yscale("log")
    summary = by_scale.at_end("distance", smallest_distance(runs))
    handles = [
        by_scale.ScaleLine.of(cell, summary).draw(axes, pen, rf"$\eta = {rate:g}$")
        for rate, cell, pen in by_scale.lines(runs)
    ]
    by_scale.legend_of_lines(figure, handles, MEDIAN_BAND, hollow=by_scale.any_hollow(runs))
    return figure


DRAWING = Drawing(
    name="distance",
    needs=("distance",),
    caption=(
        "The squared distance of the end-to-end map to the minimizer against scale. Medians over "
        "runs that did not diverge, with 95 % bands. Exact zeros stand at the bottom, far below "
        "the rounding error of the precision, squared."
    ),
    draw=_draw,
    faults=(ENDS,),
)
