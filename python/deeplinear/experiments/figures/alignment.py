"""How layers become rank one and align, along training and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.figures.style import BOUNDS, COLORS, band, bound_style, legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["alignment_curves", "alignment_scales", "is_flow"]

_KINDS = (("gradient flow", True, COLORS[0], "o"), ("descent", False, COLORS[1], "s"))


def is_flow(dataset: xr.Dataset) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell the runs of gradient flow from those of descent."""
    return np.asarray(np.isnan(dataset["learning_rate"].values))


def _parts(dataset: xr.Dataset, along: bool) -> xr.Dataset:
    """Take the parts that are recorded along training, or those that are not."""
    between = np.isfinite(dataset["risk"].values[:, 1:-1]).any(axis=1)
    return dataset.isel(run=between == along)


def _draw_bounds(axes: Axes, dataset: xr.Dataset) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = []
    for name, label, gaps in BOUNDS:
        axes.axhline(float(dataset[name][0]), **bound_style(gaps))
        handles.append(Line2D([], [], label=label, **bound_style(gaps)))
    return handles


def alignment_curves(dataset: xr.Dataset) -> Figure:
    """Draw rank-one gap, alignment, layer norms, balancedness and sharpness along training.

    Medians over runs; the gap, alignment and norm of each layer or pair are thin lines, from pale
    (first) to dark (last), of the flow alone. The sharpness stands beside its bounds.
    """
    from matplotlib import colormaps

    figure, axes = panels(5, 1, 8.6)
    runs = _parts(dataset, along=True)
    flow = runs.isel(run=is_flow(runs))
    time = flow["time"].values[0]
    layered = (
        ("rank_one_gap", "rank-one gap\n" + r"$\sigma_2 / \sigma_1$"),
        ("alignment", "alignment\n" + r"$|u_k \cdot v_{k+1}|$"),
        ("layer_norm", "layer norm\n" + r"$\sigma_1$"),
    )
    palette = colormaps["cividis_r"]
    for panel, (name, label) in zip(axes, layered, strict=False):
        middle = np.median(flow[name].values, axis=0)  # (record, layer)
        for k, line in enumerate(middle.T):
            shade = palette(0.25 + 0.75 * k / max(1, middle.shape[1] - 1))
            panel.plot(time, line, color=shade, linewidth=0.9)
        panel.set_ylabel(label)
    handles: list[Any] = []
    for name, panel in (("balancedness", axes[3]), ("sharpness", axes[4])):
        for text, kind, color, _ in _KINDS:
            chosen = runs.isel(run=is_flow(runs) == kind)
            if not chosen.sizes["run"]:
                continue
            style = "-" if kind else "--"
            values = chosen[name].values
            if name == "balancedness":  # change since the start
                values = np.abs(values - values[:, :1]) / values[:, :1]
                values = np.where(values > 0, values, np.nan)
            line = band(panel, chosen["time"].values[0], values, text, color=color, ls=style)
            if name == "sharpness":
                handles.append(line)
    axes[3].set_yscale("log")
    axes[3].set_ylabel("relative change\nof imbalance")
    axes[4].set_ylabel("sharpness\n$S(W)$")
    axes[4].set_yscale("log")
    handles += _draw_bounds(axes[4], runs)
    for panel in axes[:-1]:
        panel.sharex(axes[4])
        panel.tick_params(labelbottom=False)
    axes[4].set_xlabel(r"time, or $\eta$ times the step")
    legend(figure, handles)
    return figure


def _per_run(values: FloatArray) -> FloatArray:
    """Take the median over the layers of every run, (run,) of (run, layer)."""
    return np.asarray(np.median(values, axis=1) if values.ndim == 2 else values)


def alignment_scales(dataset: xr.Dataset) -> Figure:
    """Draw rank-one gap, alignment and sharpness at the end against the scale of the start.

    Medians over runs, with 95 % bands, of the median over the layers of each run.
    """
    figure, axes = panels(3, 1, 6.2)
    runs = _parts(dataset, along=False)
    scales = np.unique(runs["scale"].values)
    handles: list[Any] = []
    for name, panel in zip(("rank_one_gap", "alignment", "sharpness"), axes, strict=True):
        for text, kind, color, marker in _KINDS:
            chosen = runs.isel(run=is_flow(runs) == kind)
            if not chosen.sizes["run"]:
                continue
            end = _per_run(chosen[name].isel(record=-1).values)
            most = max(int((chosen["scale"].values == s).sum()) for s in scales)
            table = np.full((most, len(scales)), np.nan)
            for column, scale in enumerate(scales):
                cell = end[chosen["scale"].values == scale]
                table[: len(cell), column] = cell
            pen = {"color": color, "marker": marker, "ms": 6 if kind else 3.5}
            line = band(panel, scales, table, text, **pen)
            if name == "sharpness":
                handles.append(line)
    axes[0].set(ylabel="rank-one gap\n" + r"$\sigma_2 / \sigma_1$", yscale="log")
    axes[1].set(ylabel="alignment\n" + r"$|u_k \cdot v_{k+1}|$")
    axes[2].set(ylabel="sharpness\n$S(W)$", yscale="log")
    handles += _draw_bounds(axes[2], runs)
    for panel in axes[:-1]:
        panel.sharex(axes[2])
        panel.tick_params(labelbottom=False)
    axes[2].set_xlabel("scale of the initial weights")
    legend(figure, handles)
    return figure
