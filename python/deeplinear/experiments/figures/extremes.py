"""Where the bounds are tight: over depth, and over the spectrum of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from deeplinear.experiments.figures.style import (
    COLORS,
    GREY,
    band,
    bound_style,
    cut,
    legend,
    panels,
    pens,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["depth_scaling", "tightness"]


def depth_scaling(dataset: xr.Dataset) -> Figure:
    """Draw the final sharpness over depth times the largest curvature, against the residual scale.

    A line per depth: medians over the runs that reached a minimizer, with 95 % bands. Dotted: the
    lower bound of every minimizer in the same units, ``2 a / Lambda``.
    """
    from matplotlib.lines import Line2D

    figure, (axes,) = panels(1, 1, 3.8)
    handles: list[Any] = []
    for (depth, runs), pen in zip(cut(dataset, "depth").items(), pens(), strict=False):
        cells = cut(runs.isel(run=runs["reached"].values), "scale")
        if not cells:
            continue
        most = max(cell.sizes["run"] for cell in cells.values())
        table = np.full((most, len(cells)), np.nan)
        for column, cell in enumerate(cells.values()):
            unit = depth * cell["largest_curvature"].values
            table[: cell.sizes["run"], column] = cell["sharpness"].isel(record=-1).values / unit
        handles.append(band(axes, np.array(list(cells)), table, f"$L = {depth:g}$", **pen))
    value = 2 * float(dataset["curvature_along_minimizer"][0] / dataset["largest_curvature"][0])
    axes.axhline(value, **bound_style((1, 1)))
    handles.append(Line2D([], [], label=r"$2a/\Lambda$, lower bound", **bound_style((1, 1))))
    axes.set_yscale("log")
    axes.set_xlabel("scale $s$ of the residual initialization")
    axes.set_ylabel(r"final sharpness $S / (L\Lambda)$")
    legend(figure, handles)
    return figure


def tightness(dataset: xr.Dataset) -> Figure:
    """Draw the final sharpness over its lower bound, against the spectrum of the data.

    Above against the condition number of the covariance, below against the curvature a along the
    minimizer, for minimizers along the top and along the bottom eigenvector. Points: runs. Lines:
    the exact ratio of the aligned minimizer, and that of the upper bound of the flattest one.
    """
    from matplotlib.lines import Line2D

    figure, axes = panels(2, 1, 5.4)
    handles: list[Any] = []
    axis = ("condition", "curvature_along_minimizer")
    for along, color, marker in (("top", COLORS[0], "o"), ("bottom", COLORS[3], "s")):
        runs = dataset.isel(run=dataset["along"].values == along)
        runs = runs.isel(run=runs["reached"].values)
        if not runs.sizes["run"]:
            continue
        lower = runs["sharpness_lower_bound"].values
        for panel, name in zip(axes, axis, strict=True):
            x = runs[name].values
            order = np.argsort(x, kind="stable")
            for bound, gaps in (("aligned_sharpness", (5, 2)), ("sharpness_upper_bound", (1, 1.5))):
                ratio = runs[bound].values / lower
                panel.plot(x[order], ratio[order], color=color, linestyle=(0, gaps), linewidth=1.1)
            end = runs["sharpness"].isel(record=-1).values / lower
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
