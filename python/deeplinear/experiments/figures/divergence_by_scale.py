"""How likely training diverges, against scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deeplinear.experiments.figures import by_scale
from deeplinear.experiments.figures.drawing import Drawing
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _share(cell: Runs) -> tuple[float, float, float]:
    return wilson_interval(int(cell.diverged.sum()), cell.count)


def _draw(runs: Runs) -> Figure:
    figure, axes = by_scale.new("probability of divergence")
    handles: list[Any] = []
    for rate, cell, pen in by_scale.lines(runs):
        line = by_scale.ScaleLine.of(cell, _share)
        line.solid[:] = True
        handles.append(line.draw(axes, pen, rf"$\eta = {rate:g}$"))
    axes.set_ylim(-0.03, 1.03)
    by_scale.legend_of_lines(figure, handles, "Wilson's 95 % interval\nover runs", hollow=False)
    return figure


DRAWING = Drawing(
    name="divergence",
    needs=(),
    caption="The share of runs that diverged against scale, with Wilson's 95 % interval.",
    draw=_draw,
)
