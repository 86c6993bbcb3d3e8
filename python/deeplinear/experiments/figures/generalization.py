"""The generalization gap against the sharpness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.figures.statistics import regression_line
from deeplinear.experiments.figures.style import ALPHA, COLORS, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gap_and_sharpness", "generalization"]


def gap_and_sharpness(dataset: xr.Dataset) -> tuple[FloatArray, FloatArray, int, float]:
    """Take the runs at the smallest learning rate that reached a minimizer.

    Returns
    -------
    sharpness, gap : ndarray, shape (m,)
        At the end, of the runs whose gap, test risk minus risk, is positive.
    left_out : int
        Runs whose gap is not.
    learning_rate : float
        The learning rate.
    """
    rate = float(np.nanmin(dataset["learning_rate"].values))
    chosen = (dataset["learning_rate"].values == rate) & dataset["reached"].values
    end = dataset.isel(run=chosen).sel(record="end")
    gap = end["test_risk"].values - end["risk"].values
    good = gap > 0
    return end["sharpness"].values[good], gap[good], int((~good).sum()), rate


def generalization(dataset: xr.Dataset) -> Figure:
    """Draw the generalization gap against the sharpness, and the line through their logarithms.

    Runs at the smallest learning rate that reached a minimizer. The band is the 95 % confidence
    band of the regression of the logarithm of the gap on that of the sharpness.
    """
    figure, (axes,) = panels(1, 1, 3.6)
    axes.set(xscale="log", yscale="log")  # before what may be empty
    sharpness, gap, left_out, rate = gap_and_sharpness(dataset)
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
