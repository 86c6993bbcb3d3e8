"""The generalization gap against the sharpness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deeplinear.experiments.figures.drawing import ENDS, SOME_DESCENT, Drawing
from deeplinear.experiments.figures.style import ALPHA, COLORS, legend, panels
from deeplinear.experiments.results.comparisons import gap_and_sharpness
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import regression_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]


def _draw(runs: Runs) -> Figure:
    figure, (axes,) = panels(1, 1, 3.6)
    axes.set(xscale="log", yscale="log")  # before what may be empty
    sharpness, gap, left_out, rate = gap_and_sharpness(runs.descent)
    text = "1 run" if left_out == 1 else f"{left_out} runs"
    label = rf"runs at $\eta = {rate:g}$" + (f"\n({text} without a gap)" if left_out else "")
    axes.plot(sharpness, gap, "o", color=COLORS[0], ms=3, alpha=0.35, mew=0, label=label)
    line = regression_line(np.log(sharpness), np.log(gap)) if len(gap) else None
    if line is not None:
        x = np.linspace(np.log(sharpness.min()), np.log(sharpness.max()), 100)
        y, half = line.band(x)
        text = f"slope {line.slope:.3f}\n$r^2 = {line.r_squared:.3f}$\n$p = {line.p:.1e}$"
        axes.plot(np.exp(x), np.exp(y), color=COLORS[3], label=text)
        axes.fill_between(
            np.exp(x),
            np.exp(y - half),
            np.exp(y + half),
            color=COLORS[3],
            alpha=2 * ALPHA,
            linewidth=0,
            label="95 % confidence\nband of the line",
        )
    axes.set_xlabel(r"sharpness $S(W)$ at the end")
    axes.set_ylabel("test risk minus risk at the end")
    legend(figure, None, None)
    return figure


DRAWING = Drawing(
    name="generalization",
    needs=("test_risk", "sharpness"),
    caption=(
        "The generalization gap against the sharpness, and the line through their logarithms. Runs "
        "at the smallest learning rate that reached a minimizer. The band is the 95 % confidence "
        "band of the regression of the logarithm of the gap on that of the sharpness."
    ),
    draw=_draw,
    faults=(ENDS, SOME_DESCENT),
)
