"""Where the sharpness of residual networks ends, over depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deeplinear.experiments.figures.drawing import Drawing
from deeplinear.experiments.figures.style import bands, draw_bound, legend, panels, pens
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw(runs: Runs) -> Figure:
    figure, (axes,) = panels(1, 1, 3.8)
    handles: list[Any] = []
    for (depth, of_depth), pen in zip(runs.by("depth"), pens(), strict=False):
        there = of_depth.only(of_depth.reached)
        if there.count:
            samples = {
                scale: cell.end("sharpness") / (depth * cell.column("largest_curvature"))
                for scale, cell in there.by("scale")
            }
            handles.append(bands(axes, samples, f"$L = {depth:g}$", **pen))
    value = 2 * (runs.first("curvature_along_minimizer") / runs.first("largest_curvature"))
    handles.append(draw_bound(axes, value, r"$2a/\Lambda$, lower bound", (1, 1)))
    axes.set_yscale("log")
    axes.set_xlabel("scale $s$ of the residual initialization")
    axes.set_ylabel(r"final sharpness $S / (L\Lambda)$")
    legend(figure, handles)
    return figure


DRAWING = Drawing(
    name="depth-scaling",
    needs=("sharpness",),
    caption=(
        "The final sharpness over depth times the largest curvature, against the residual scale. A "
        "line per depth: medians over the runs that reached a minimizer, with 95 % bands. Dotted: "
        "the lower bound of every minimizer in the same units, 2 a / Lambda."
    ),
    draw=_draw,
)
