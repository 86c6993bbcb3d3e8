"""How layers become rank one and align, along training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear.experiments.figures.alignment import draw_bounds, flow_and_descent_of
from deeplinear.experiments.figures.drawing import Drawing, Fault, descends
from deeplinear.experiments.figures.style import band, legend, panels, share_x
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DRAWING"]

_LAYERED = (
    ("rank_one_gap", "rank-one gap\n" + r"$\sigma_2 / \sigma_1$"),
    ("alignment", "alignment\n" + r"$|u_k \cdot v_{k+1}|$"),
    ("layer_norm", "layer norm\n" + r"$\sigma_1$"),
)


def _draw_layers(axes: Axes, flow: Runs, name: str) -> None:
    """Draw the median of every layer or pair of layers."""
    from matplotlib import colormaps

    palette = colormaps["cividis_r"]
    middle = np.median(flow.records(name), axis=0)  # (record, layer)
    for k, line in enumerate(middle.T):
        shade = palette(0.25 + 0.75 * k / max(1, middle.shape[1] - 1))
        axes.plot(flow.records("time")[0], line, color=shade, linewidth=0.9)


def _draw(runs: Runs) -> Figure:
    figure, axes = panels(5, 1, 8.6)
    along = runs.only(runs.in_between)
    for panel, (name, label) in zip(axes, _LAYERED, strict=False):
        _draw_layers(panel, along.flow, name)
        panel.set_ylabel(label)
    handles: list[Any] = []
    for name, panel in (("balancedness", axes[3]), ("sharpness", axes[4])):
        for text, part, pen in flow_and_descent_of(along):
            values = part.records(name)
            if name == "balancedness":  # change since the start
                values = np.abs(values - values[:, :1]) / values[:, :1]
                values = np.where(values > 0, values, np.nan)
            time = part.records("time")[0]
            line = band(panel, time, values.T, text, color=pen["color"], ls=pen["ls"])
            if name == "sharpness":
                handles.append(line)
    axes[3].set_yscale("log")
    axes[3].set_ylabel("relative change\nof imbalance")
    axes[4].set_ylabel("sharpness\n$S(W)$")
    axes[4].set_yscale("log")
    handles += draw_bounds(axes[4], along)
    share_x(axes, r"time, or $\eta$ times the step")
    legend(figure, handles)
    return figure


DRAWING = Drawing(
    name="alignment-curves",
    needs=("rank_one_gap", "alignment", "layer_norm", "balancedness", "sharpness"),
    caption=(
        "Rank-one gap, alignment, layer norms, balancedness and sharpness along training. Medians "
        "over runs; the gap, alignment and norm of each layer or pair are thin lines, from pale "
        "(first) to dark (last), of the flow alone. The sharpness stands beside its bounds."
    ),
    draw=_draw,
    faults=(
        Fault(
            "no part of gradient flow has 'every': it shows what happens in between",
            lambda parts, data: (
                not any(part.every is not None for part in parts if not descends(part))
            ),
        ),
    ),
)
