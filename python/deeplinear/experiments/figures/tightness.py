"""Where the bounds are tight, over the spectrum of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear.experiments.data import SpectralData
from deeplinear.experiments.figures.drawing import Drawing, Fault
from deeplinear.experiments.figures.style import COLORS, GREY, legend, panels
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw(runs: Runs) -> Figure:
    from matplotlib.lines import Line2D

    figure, axes = panels(2, 1, 5.4)
    handles: list[Any] = []
    axis = ("condition", "curvature_along_minimizer")
    for along, color, marker in (("top", COLORS[0], "o"), ("bottom", COLORS[3], "s")):
        there = runs.only((runs.data["along"].values == along) & runs.reached)
        if not there.count:
            continue
        lower = there.column("sharpness_lower_bound")
        for panel, name in zip(axes, axis, strict=True):
            x = there.column(name)
            order = np.argsort(x, kind="stable")
            for bound, gaps in (("aligned_sharpness", (5, 2)), ("sharpness_upper_bound", (1, 1.5))):
                ratio = there.column(bound) / lower
                panel.plot(x[order], ratio[order], color=color, linestyle=(0, gaps), linewidth=1.1)
            end = there.end("sharpness") / lower
            panel.plot(x, end, marker, color=color, ms=4, alpha=0.6, mew=0)
        label = rf"$w^\star$ along the {along}" + "\neigenvector, runs"
        handles.append(Line2D([], [], color=color, marker=marker, ls="none", ms=4, label=label))
    handles += [
        Line2D([], [], color=GREY, ls=(0, (5, 2)), lw=1.1, label="aligned minimizer, exact"),
        Line2D([], [], color=GREY, ls=(0, (1, 1.5)), lw=1.1, label="upper bound of\nthe flattest"),
    ]
    for panel in axes:
        panel.set(xscale="log", yscale="log", ylabel="sharpness over\nlower bound $S / (2La)$")
    axes[0].set_xlabel("condition number of the covariance $C$")
    axes[1].set_xlabel("curvature $a$ along the minimizer")
    legend(figure, handles, None)
    return figure


DRAWING = Drawing(
    name="tightness",
    needs=("sharpness",),
    caption=(
        "The final sharpness over its lower bound, against the spectrum of the data. Above against "
        "the condition number of the covariance, below against the curvature a along the "
        "minimizer, for minimizers along the top and along the bottom eigenvector. Points: runs. "
        "Lines: the exact ratio of the aligned minimizer, and that of the upper bound of the "
        "flattest one."
    ),
    draw=_draw,
    faults=(
        Fault(
            "the data have no spectrum of their own: it needs those of kind 'spectral'",
            lambda parts, data: not isinstance(data, SpectralData),
        ),
    ),
)
