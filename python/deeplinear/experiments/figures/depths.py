"""Which learning rates reach the minimizer, by depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.figures.drawing import ENDS, ONLY_DESCENT, Drawing
from deeplinear.experiments.figures.style import (
    GREY,
    bands,
    legend,
    panels,
    pens,
    smallest_distance,
)
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _ends(runs: Runs) -> Iterator[tuple[float, FloatArray]]:
    """Give the final distances by learning rate, where at least half did not diverge."""
    for rate, cell in runs.by("learning_rate"):
        alive = cell.arrived
        if alive.mean() >= 0.5:
            yield rate, np.maximum(cell.end("distance")[alive], smallest_distance(runs))


def _draw(runs: Runs) -> Figure:
    from matplotlib.lines import Line2D

    figure, (axes,) = panels(1, 1, 3.8)
    axes.set(xscale="log", yscale="log")  # before what may be empty
    handles: list[Any] = []
    for (depth, cell), pen in zip(runs.by("depth"), pens(), strict=False):
        handles.append(bands(axes, dict(_ends(cell)), f"$L = {depth:g}$", **pen))
        critical = cell.first("critical_learning_rate")
        axes.axvline(critical, color=pen["color"], linestyle="--", linewidth=0.9)
    axes.set_xlabel(r"learning rate $\eta$")
    axes.set_ylabel(r"squared distance $\|w - w^\star\|^2$ at the end")
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.9, label="$1/(La)$, in its colour"))
    legend(figure, handles)
    return figure


DRAWING = Drawing(
    name="depths",
    needs=("distance",),
    caption=(
        "The squared distance at the end against the learning rate, a line per depth. Medians over "
        "the runs that did not diverge, with 95 % bands; where more than half of them diverged "
        "there is no point. Dashed: the critical learning rate 1 / (L a |w*|^(2-2/L))."
    ),
    draw=_draw,
    faults=(ENDS, ONLY_DESCENT),
)
