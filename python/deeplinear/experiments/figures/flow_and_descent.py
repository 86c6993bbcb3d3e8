"""Gradient descent beside gradient flow from the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear.experiments.figures.drawing import (
    SOME_DESCENT,
    SOME_FLOW,
    Drawing,
    Fault,
    descends,
)
from deeplinear.experiments.figures.style import (
    COLORS,
    GREY,
    draw_edge,
    edge_handle,
    legend,
    panels,
)
from deeplinear.experiments.results.comparisons import deviation_from_flow
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw_first_run(axes: Axes, runs: Runs) -> list[Any]:
    """Draw the sharpness of the flow and of at most four learning rates from the first weights."""
    first = runs.only(runs.seeds == runs.seeds[0])
    handles: list[Any] = []
    rates = np.array(runs.rates)
    shown = rates[np.unique(np.linspace(0, len(rates) - 1, 4).round().astype(int))]
    for rate, color in zip(shown, COLORS[1:], strict=False):
        run = first.only(first.column("learning_rate") == rate)
        label = rf"descent, $\eta = {rate:.3g}$"
        time, sharpness = run.records("time")[0], run.records("sharpness")[0]
        handles += axes.plot(time, sharpness, color=color, label=label)
        draw_edge(axes, rate, color)
    time, sharpness = first.flow.records("time")[0], first.flow.records("sharpness")[0]
    return axes.plot(time, sharpness, color=COLORS[0], lw=2, label="gradient flow") + handles


def _draw(runs: Runs) -> Figure:
    from matplotlib.lines import Line2D

    figure, (upper, lower) = panels(2, 1, 5.2)
    handles = _draw_first_run(upper, runs)
    along_flow = runs.flow.records("sharpness")
    upper.set_ylim(0, 2.2 * np.nanmax(along_flow))
    upper.set_xlabel(r"time, or $\eta$ times the step")
    upper.set_ylabel(r"sharpness $S(W)$")
    lower.set(xscale="log", yscale="log")  # before what may be empty
    for rate, values in deviation_from_flow(runs).items():
        finite = values[np.isfinite(values)]
        lower.plot([rate] * len(finite), finite, "o", color=GREY, ms=3.5, alpha=0.7)
    highest = [np.nanmax(values) for values in along_flow]
    lower.axvspan(2 / max(highest), 2 / min(highest), color=COLORS[0], alpha=0.2, linewidth=0)
    handles += [
        edge_handle(),
        Line2D([], [], color=GREY, ls="none", marker="o", ms=3.5, label="one run"),
        Line2D([], [], color=COLORS[0], alpha=0.3, lw=6, label=r"$2/\max_t S$ of the flow"),
    ]
    lower.set_xlabel(r"learning rate $\eta$")
    lower.set_ylabel("largest relative\ndeviation of $S$")
    legend(figure, handles, None)
    return figure


DRAWING = Drawing(
    name="flow-and-descent",
    needs=("distance", "sharpness", "balancedness"),
    caption=(
        "Flow and descent from the same weights on one time axis, and how far they part. Above: "
        "the sharpness of the first run. Below: the largest relative deviation of the sharpness of "
        "descent from that of flow along training, against the learning rate. Dashed: 2 over the "
        "largest sharpness of the flow, above which descent cannot follow it."
    ),
    draw=_draw,
    faults=(
        SOME_FLOW,
        SOME_DESCENT,
        Fault(
            "gradient descent has more runs than gradient flow, which each is compared with",
            lambda parts, data: (
                max(part.runs for part in parts if descends(part))
                > max(part.runs for part in parts if not descends(part))
            ),
        ),
    ),
)
