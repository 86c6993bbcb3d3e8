"""The sharpness that training starts and ends at, against scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear.experiments.figures import by_scale
from deeplinear.experiments.figures.drawing import ENDS, Drawing
from deeplinear.experiments.figures.style import (
    GREY,
    MEDIAN_BAND,
    draw_bound,
    draw_edge,
    edge_handle,
)
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw(runs: Runs) -> Figure:
    figure, axes = by_scale.new(r"sharpness $S(W)$")
    axes.set_yscale("log")
    handles: list[Any] = []
    for rate, cell, pen in by_scale.lines(runs):
        line = by_scale.ScaleLine.of(cell, by_scale.at_end("sharpness"))
        handles.append(line.draw(axes, pen, rf"final, $\eta = {rate:g}$"))
        draw_edge(axes, rate, pen["color"])
    # Learning rates share their starts.
    starts = np.stack([runs.column("scale"), runs.seeds])
    _, first = np.unique(starts, axis=1, return_index=True)
    start = by_scale.ScaleLine.of(
        runs.only(np.sort(first)), lambda cell: median_interval(cell.start("sharpness"))
    )
    start.draw_band(axes, GREY)
    handles += axes.plot(start.scale, start.middle, color=GREY, linestyle="-", label="initial")
    handles.append(edge_handle())
    power = "" if _unit_norm(runs) else r"\,|w^\star|^{2-2/L}"
    guide = "" if runs.linear else " of\nthe linear network"
    for name, label, gaps in (
        ("small_scale_sharpness_bound", rf"$8L\Lambda{power}$", (1, 3)),
        ("sharpness_lower_bound", rf"$2La{power}$", (1, 1)),
    ):
        if name == "small_scale_sharpness_bound" and not runs.gaussian:
            continue  # it holds for small Gaussian weights
        value = runs.first(name)
        handles.append(draw_bound(axes, value, f"{label} $= {value:.3g}${guide}", gaps))
    by_scale.legend_of_lines(figure, handles, MEDIAN_BAND, hollow=by_scale.any_hollow(runs))
    return figure


def _unit_norm(runs: Runs) -> bool:
    norms = np.linalg.norm(runs.data["minimizer"].values, axis=-1)
    return bool((abs(norms - 1) < 1e-9).all())


DRAWING = Drawing(
    name="sharpness",
    needs=("sharpness",),
    caption=(
        "Initial and final sharpness against scale, beside 2 / learning rate and the bounds. "
        "Medians over runs that did not diverge (over all, at the start) with 95 % bands. Dashed: "
        "2 / learning rate, in the line's colour. Dotted: the lower bound 2 L a |w*|^(2-2/L) of "
        "every minimizer and, for Gaussian weights, the bound 8 L Lambda |w*|^(2-2/L) of those "
        "that gradient flow from a small scale ends at."
    ),
    draw=_draw,
    faults=(ENDS,),
)
