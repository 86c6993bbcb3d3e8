"""Distance and sharpness along training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deeplinear.experiments.figures.drawing import ONLY_DESCENT, Drawing
from deeplinear.experiments.figures.style import (
    MEDIAN_BAND,
    band,
    draw_bound,
    draw_edge,
    edge_handle,
    legend,
    panels,
    pens,
    share_x,
)
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw(runs: Runs) -> Figure:
    figure, axes = panels(2, 1, 4.6)
    upper, lower = axes
    handles: list[Any] = []
    for (rate, cell), pen in zip(runs.by("learning_rate"), pens(), strict=False):
        color = {"color": pen["color"]}
        steps = cell.records("step")[0]
        band(upper, steps, cell.records("distance").T, "", **color)
        label = rf"$\eta = {rate:g}$"
        handles.append(band(lower, steps, cell.records("sharpness").T, label, **color))
        draw_edge(lower, rate, pen["color"])
    value = runs.first("sharpness_lower_bound")
    bound = draw_bound(lower, value, f"$2La = {value:.3g}$", (1, 1))
    several = runs.count > len(handles)
    handles += [edge_handle(), bound]
    upper.set_ylabel(r"squared distance $\|w - w^\star\|^2$")
    lower.set_ylabel(r"sharpness $S(W)$")
    upper.set_yscale("log")
    lower.set_yscale("log")
    share_x(axes, "step")
    legend(figure, handles, MEDIAN_BAND if several else None)
    return figure


DRAWING = Drawing(
    name="curves",
    needs=("distance", "sharpness"),
    caption=(
        "Squared distance and sharpness along training, a line per learning rate. Dashed: 2 / "
        "learning rate. Dotted: the lower bound 2 L a |w*|^(2-2/L) of every minimizer."
    ),
    draw=_draw,
    faults=(ONLY_DESCENT,),
)
