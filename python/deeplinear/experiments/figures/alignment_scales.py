"""How far layers have become rank one and aligned at the end, against the scale of the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.figures.alignment import draw_bounds, flow_and_descent_of
from deeplinear.experiments.figures.drawing import SOME_ENDS, Drawing
from deeplinear.experiments.figures.style import bands, legend, panels, share_x
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _per_run(values: FloatArray) -> FloatArray:
    """Take the median over the layers of every run, (run,) of (run, layer)."""
    return np.asarray(np.median(values, axis=1) if values.ndim == 2 else values)


def _draw(runs: Runs) -> Figure:
    figure, axes = panels(3, 1, 6.2)
    ends = runs.only(~runs.in_between)
    handles: list[Any] = []
    for name, panel in zip(("rank_one_gap", "alignment", "sharpness"), axes, strict=True):
        for text, part, pen in flow_and_descent_of(ends):
            samples = {scale: _per_run(cell.end(name)) for scale, cell in part.by("scale")}
            points = {key: pen[key] for key in ("color", "marker", "ms")}
            line = bands(panel, samples, text, **points)
            if name == "sharpness":
                handles.append(line)
    axes[0].set(ylabel="rank-one gap\n" + r"$\sigma_2 / \sigma_1$", yscale="log")
    axes[1].set(ylabel="alignment\n" + r"$|u_k \cdot v_{k+1}|$")
    axes[2].set(ylabel="sharpness\n$S(W)$", yscale="log")
    handles += draw_bounds(axes[2], ends)
    share_x(axes, "scale of the initial weights")
    legend(figure, handles)
    return figure


DRAWING = Drawing(
    name="alignment-scales",
    needs=("rank_one_gap", "alignment", "sharpness"),
    caption=(
        "Rank-one gap, alignment and sharpness at the end against the scale of the start. Medians "
        "over runs, with 95 % bands, of the median over the layers of each run."
    ),
    draw=_draw,
    faults=(SOME_ENDS,),
)
