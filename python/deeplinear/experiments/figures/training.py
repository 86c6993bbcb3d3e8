"""What happens along training: distance and sharpness, and descent beside gradient flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from deeplinear._support.checks import FloatArray
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

__all__ = ["curves", "deviation_from_flow", "flow_and_descent"]


def curves(dataset: xr.Dataset) -> Figure:
    """Draw squared distance and sharpness along training, a line per learning rate.

    Dashed: 2 / learning rate. Dotted: the lower bound ``2 L a |w*|^(2-2/L)`` of every minimizer.
    """
    from matplotlib.lines import Line2D

    figure, (upper, lower) = panels(2, 1, 4.6)
    handles: list[Any] = []
    for (rate, runs), pen in zip(cut(dataset, "learning_rate").items(), pens(), strict=False):
        color = {"color": pen["color"]}
        steps = runs["step"].values[0]
        band(upper, steps, runs["distance"].values, "", **color)
        label = rf"$\eta = {rate:g}$"
        handles.append(band(lower, steps, runs["sharpness"].values, label, **color))
        lower.axhline(2 / rate, linestyle="--", linewidth=0.9, **color)
    value = float(dataset["sharpness_lower_bound"][0])
    lower.axhline(value, **bound_style((1, 1)))
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.9, label=r"$2/\eta$, in its colour"))
    handles.append(Line2D([], [], label=f"$2La = {value:.3g}$", **bound_style((1, 1))))
    upper.set_ylabel(r"squared distance $\|w - w^\star\|^2$")
    lower.set_ylabel(r"sharpness $S(W)$")
    upper.set_yscale("log")
    lower.set_yscale("log")
    upper.sharex(lower)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("step")
    several = dataset["seed"].values.size > len(handles) - 2
    legend(figure, handles, "95 % interval of the\nmedian over runs" if several else None)
    return figure


def deviation_from_flow(dataset: xr.Dataset) -> dict[float, FloatArray]:
    """Compare the sharpness of descent with that of gradient flow from the same weights.

    Parameters
    ----------
    dataset : xarray.Dataset
        An experiment of both, whose records are at the same times.

    Returns
    -------
    dict of float to ndarray, shape (runs,)
        By learning rate: the largest ``|S_descent(t) / S_flow(t) - 1|`` over the records of each
        run, infinite where the run diverged.
    """
    descent = ~np.isnan(dataset["learning_rate"].values)
    flow = dataset.isel(run=~descent)
    by_seed = {int(seed): i for i, seed in enumerate(flow["seed"].values)}
    result = {}
    for rate, runs in cut(dataset.isel(run=descent), "learning_rate").items():
        rows = [by_seed[int(seed)] for seed in runs["seed"].values]
        ratio = runs["sharpness"].values / flow["sharpness"].values[rows]
        result[rate] = np.nan_to_num(np.abs(ratio - 1), nan=np.inf).max(axis=1)
    return result


def flow_and_descent(dataset: xr.Dataset) -> Figure:
    """Draw flow and descent from the same weights on one time axis, and how far they part.

    Above: the sharpness of the first run. Below: the largest relative deviation of the sharpness of
    descent from that of flow along training, against the learning rate. Dashed: 2 over the largest
    sharpness of the flow, above which descent cannot follow it.
    """
    from matplotlib.lines import Line2D

    figure, (upper, lower) = panels(2, 1, 5.2)
    descent = ~np.isnan(dataset["learning_rate"].values)
    first = dataset["seed"].values == dataset["seed"].values[0]
    flow = dataset.isel(run=~descent)
    time, sharpness = dataset["time"].values, dataset["sharpness"].values
    handles: list[Any] = []
    rates = np.unique(dataset["learning_rate"].values[descent])
    shown = rates[np.unique(np.linspace(0, len(rates) - 1, 4).round().astype(int))]
    for rate, color in zip(shown, COLORS[1:], strict=False):
        chosen = first & (dataset["learning_rate"].values == rate)
        run = np.flatnonzero(chosen)[0]
        label = rf"descent, $\eta = {rate:.3g}$"
        handles += upper.plot(time[run], sharpness[run], color=color, label=label)
        upper.axhline(2 / rate, color=color, linestyle="--", linewidth=0.9)
    run = np.flatnonzero(first & ~descent)[0]
    line = upper.plot(time[run], sharpness[run], color=COLORS[0], lw=2, label="gradient flow")
    handles = [*line, *handles]
    peak = np.nanmax(flow["sharpness"].values)
    upper.set_ylim(0, 2.2 * peak)
    upper.set_xlabel(r"time, or $\eta$ times the step")
    upper.set_ylabel(r"sharpness $S(W)$")
    lower.set(xscale="log", yscale="log")  # before what may be empty
    deviations = deviation_from_flow(dataset)
    for rate, values in deviations.items():
        finite = values[np.isfinite(values)]
        lower.plot([rate] * len(finite), finite, "o", color=GREY, ms=3.5, alpha=0.7)
    highest = [np.nanmax(row) for row in flow["sharpness"].values]
    lower.axvspan(2 / max(highest), 2 / min(highest), color=COLORS[0], alpha=0.2, linewidth=0)
    handles += [
        Line2D([], [], color=GREY, ls="--", lw=0.9, label=r"$2/\eta$, in its colour"),
        Line2D([], [], color=GREY, ls="none", marker="o", ms=3.5, label="one run"),
        Line2D([], [], color=COLORS[0], alpha=0.3, lw=6, label=r"$2/\max_t S$ of the flow"),
    ]
    lower.set_xlabel(r"learning rate $\eta$")
    lower.set_ylabel("largest relative\ndeviation of $S$")
    legend(figure, handles, None)
    return figure
