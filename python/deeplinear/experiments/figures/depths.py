"""Which learning rates reach the minimizer, by depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from deeplinear.experiments.figures.style import GREY, band, cut, legend, panels, pens
from deeplinear.options import arrived

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["depths"]


def depths(dataset: xr.Dataset) -> Figure:
    """Draw the squared distance at the end against the learning rate, a line per depth.

    Medians over the runs that did not diverge, with 95 % bands; where more than half of them
    diverged there is no point. Dashed: the critical learning rate ``1 / (L a |w*|^(2-2/L))``.
    """
    from matplotlib.lines import Line2D

    figure, (axes,) = panels(1, 1, 3.8)
    axes.set(xscale="log", yscale="log")  # before what may be empty
    handles: list[Any] = []
    floor = float(np.finfo(dataset.attrs["dtype"]).eps) ** 2 / 1e6
    for (depth, runs), pen in zip(cut(dataset, "depth").items(), pens(), strict=False):
        cells = cut(runs, "learning_rate")
        most = max(cell.sizes["run"] for cell in cells.values())
        table = np.full((most, len(cells)), np.nan)
        for column, cell in enumerate(cells.values()):
            alive = arrived(cell["status"].values)
            if alive.mean() < 0.5:
                continue
            values = cell["distance"].sel(record="end").values[alive]
            table[: len(values), column] = np.maximum(values, floor)
        label = f"$L = {depth:g}$"
        handles.append(band(axes, np.array(list(cells)), table, label, **pen))
        axes.axvline(
            float(runs["critical_learning_rate"][0]),
            color=pen["color"],
            linestyle="--",
            linewidth=0.9,
        )
    axes.set_xlabel(r"learning rate $\eta$")
    axes.set_ylabel(r"squared distance $\|w - w^\star\|^2$ at the end")
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.9, label="$1/(La)$, in its colour"))
    legend(figure, handles)
    return figure
