"""The share of runs that end in one way over two settings, of a grid that was refined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deeplinear._support.checks import FloatArray, one_of
from deeplinear.experiments.figures.style import COLORS, panels

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["phase_diagram"]

_STEPS = 20


def phase_diagram(points: xr.Dataset, x: str | None = None, y: str | None = None) -> Figure:
    """Draw the share of seeds over two dimensions, and the line on which it is one half.

    Between points it is linear on triangles, so that the line lies within the smallest cells where
    the share jumps. Axes are logarithmic where the grid is geometric.

    Parameters
    ----------
    points : xarray.Dataset
        As `deeplinear.refine` returns them; those that are not finished are left out.
    x, y : str, optional
        The dimensions across and upwards; by default the first that differs, and the other.

    Raises
    ------
    ValueError
        If the points differ in other dimensions than two of numbers, or lie on one line.
    """
    points = points.isel(point=np.isfinite(points["share"].values))
    dims = [
        str(name)
        for name, values in points.coords.items()
        if values.dims == ("point",) and name not in ("point", "level") and _differ(values)
    ]
    if len(dims) != 2 or any(points[name].dtype.kind not in "iuf" for name in dims):
        raise ValueError(
            "points must differ in two dimensions of numbers, so that others must be selected, as "
            f"by points.where(points.depth == 2, drop=True); got {', '.join(dims) or 'none'}."
        )
    across = one_of("x", x, dims) if x is not None else _other(dims, y, 0)
    upwards = one_of("y", y, dims) if y is not None else _other(dims, across, 1)
    if across == upwards:
        raise ValueError(f"x and y must be two dimensions; got {across!r} twice.")
    return _draw(points, across, upwards)


def _differ(values: xr.DataArray) -> bool:
    return len(np.unique(values.values)) > 1


def _other(dims: list[str], taken: str | None, default: int) -> str:
    return next((name for name in dims if name != taken), dims[0]) if taken else dims[default]


def _draw(points: xr.Dataset, x: str, y: str) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import LogLocator
    from matplotlib.tri import Triangulation

    figure, (axes,) = panels(1, 1, 4.2)
    share = points["share"].values
    try:
        triangles = Triangulation(_placed(points, x), _placed(points, y)).triangles
    except (RuntimeError, ValueError):
        raise ValueError("points must not lie on one line; all that are finished do.") from None
    mesh = Triangulation(_numbers(points, x), _numbers(points, y), triangles)
    colors = LinearSegmentedColormap.from_list("share", [COLORS[0], "#ffffff", COLORS[3]])
    levels = np.linspace(0, 1, _STEPS + 1)
    levels[-1] += 1e-9  # areas end below their upper level
    area = axes.tricontourf(mesh, share, levels, cmap=colors)
    area.set_edgecolor("face")  # no seams between areas
    if share.min() < 0.5 < share.max():
        axes.tricontour(mesh, share, [0.5], colors="black", linewidths=1.3)
    for name, scale, axis in ((x, axes.set_xscale, axes.xaxis), (y, axes.set_yscale, axes.yaxis)):
        if _geometric(points, name):
            scale("log")
            values = points[name].values
            axis.set_major_locator(
                LogLocator(subs=(1, 2, 5) if values.max() < 100 * values.min() else (1,))
            )
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    axes.set(xlabel=_label(x), ylabel=_label(y))
    axes.grid(visible=False)
    bar = figure.colorbar(area, ax=axes, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label(points["share"].attrs.get("long_name", "share of seeds"))
    bar.outline.set_linewidth(0.7)
    bar.ax.axhline(0.5, color="black", linewidth=1.3)
    return figure


def _geometric(points: xr.Dataset, name: str) -> bool:
    return bool(points[name].attrs.get("spacing") == "geometric")


def _numbers(points: xr.Dataset, name: str) -> FloatArray:
    values: FloatArray = points[name].values.astype(np.float64)
    return values


def _placed(points: xr.Dataset, name: str) -> FloatArray:
    """Return where points stand along an axis, from 0 to 1, as one sees it."""
    values = _numbers(points, name)
    if _geometric(points, name):
        values = np.log(values)
    placed: FloatArray = (values - values.min()) / (values.max() - values.min())
    return placed


def _label(name: str) -> str:
    return r"learning rate $\eta$" if name == "learning_rate" else name.replace("_", " ")
