"""The look of all figures, and the pieces that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from deeplinear.checks import FloatArray
from deeplinear.figures.statistics import median_interval
from deeplinear.files import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH = 6.3  # inches, of a page's text
# Okabe and Ito's colours, which colour-blind readers tell apart, and markers for grey prints.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#999999")
# Later ones are smaller, so that lines that lie on one another all show.
MARKERS = (
    ("o", 7.0),
    ("s", 5.8),
    ("^", 5.4),
    ("D", 4.2),
    ("v", 4.0),
    ("P", 3.6),
    ("X", 3.4),
    ("p", 3.2),
)
GREY = "#555555"
ALPHA = 0.15

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same file everywhere
    "font.size": 9,
    "axes.labelsize": 10,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.3,
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "deeplinear",
    "savefig.dpi": 200,
}

#: On a dark page: light ink, and the same hues, lighter where they need it.
_DARK: dict[str, Any] = {
    "text.color": "#e8e8e8",
    "axes.edgecolor": "#c8c8c8",
    "axes.labelcolor": "#e8e8e8",
    "xtick.color": "#c8c8c8",
    "ytick.color": "#c8c8c8",
    "grid.color": "#3a3a3a",
}
_LIGHTER = {"#0072B2": "#4aa8e0", "#D55E00": "#ff8640", "#000000": "#f0f0f0", GREY: "#b0b0b0"}


@contextmanager
def style() -> Iterator[None]:
    """Draw and write figures in this style while the block runs; no global setting changes."""
    require("A figure", "matplotlib")
    from matplotlib import style as matplotlib_style

    with matplotlib_style.context(["default", _STYLE]):
        yield


def darken(figure: Figure) -> None:
    """Recolour a figure for a dark page."""
    from matplotlib.artist import Artist
    from matplotlib.colors import to_hex

    def lighter(color: Any) -> Any:
        try:
            return _LIGHTER.get(to_hex(color).upper(), _LIGHTER.get(to_hex(color)))
        except ValueError:
            return None

    ink = _DARK["text.color"]
    for artist in figure.findobj(Artist):
        for part in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            get, put = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
            if get is None or put is None:
                continue
            color = np.asarray(get(), dtype=object)
            if color.ndim == 2 and len(color) == 1:
                color = color[0]
            new = lighter(tuple(color.tolist()) if color.ndim else get())
            if new is not None:
                put(new)
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.grid(color=_DARK["grid.color"])
        for spine in axes.spines.values():
            spine.set_color(_DARK["axes.edgecolor"])
        axes.tick_params(colors=_DARK["xtick.color"], which="both")
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_color(ink)
    figure.patch.set_alpha(0)


def bound_style(gaps: tuple[float, ...]) -> dict[str, Any]:
    """Style the line of a bound."""
    return {"color": "black", "linestyle": (0, gaps), "linewidth": 1.2}


#: The bounds on the sharpness: variable, symbol, pattern of the line.
BOUNDS = (
    ("small_scale_sharpness_bound", r"$8L\Lambda$", (1, 3)),
    ("sharpness_upper_bound", r"upper bound of the flattest", (4, 1.5, 1, 1.5)),
    ("aligned_sharpness", r"aligned minimizer, exact", (5, 2)),
    ("sharpness_lower_bound", r"$2La$", (1, 1)),
)


def pens() -> Iterator[dict[str, Any]]:
    """Give one line after another its colour and marker."""
    i = 0
    while True:
        marker, size = MARKERS[i % len(MARKERS)]
        yield {"color": COLORS[i % len(COLORS)], "marker": marker, "ms": size}
        i += 1


def cut(dataset: xr.Dataset, name: str) -> dict[float, xr.Dataset]:
    """Cut the runs by the values of a coordinate, in increasing order."""
    values = dataset[name].values
    return {float(x): dataset.isel(run=values == x) for x in np.unique(values)}


def panels(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(rows, columns)))


def band(axes: Axes, x: FloatArray, values: FloatArray, label: str, **pen: Any) -> Line2D:
    """Draw medians of values (runs, x) over the runs with their 95 % bands; NaN are left out.

    One run has a line and no band.
    """
    table = np.array([median_interval(column[np.isfinite(column)]) for column in values.T])
    there = np.isfinite(table[:, 0])
    middle, lower, upper = table[there].T
    axes.fill_between(x[there], lower, upper, color=pen["color"], alpha=ALPHA, linewidth=0)
    (handle,) = axes.plot(x[there], middle, label=label, **pen)
    return handle


MEDIAN_BAND = "95 % interval of the\nmedian over runs"


def legend(figure: Figure, handles: list[Any], band_label: str | None = MEDIAN_BAND) -> None:
    """Put the legend beside the axes, where it covers nothing."""
    from matplotlib.patches import Patch

    if band_label is not None:
        handles = [*handles, Patch(color=GREY, alpha=0.25, linewidth=0, label=band_label)]
    figure.legend(handles=handles, loc="outside right upper")


Draw = Callable[[xr.Dataset], "Figure"]
