"""The look of all figures, and the pieces that several of them share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplinear._support.checks import FloatArray
from deeplinear._support.files import require
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH = 6.3  # inches, of a page's text
NARROW = 3.5  # inches, of a phone
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

#: The ground of a dark page, which fills hollow markers, and the ink on it.
DARK_GROUND, DARK_INK = "#14171b", "#e8e8e8"
#: On a dark page: the same hues, lighter where they need it, and a darker grid.
_ON_DARK = {
    **{color.lower(): color.lower() for color in COLORS},
    "#0072b2": "#4aa8e0",
    "#d55e00": "#ff8640",
    "#000000": DARK_INK,
    "#ffffff": DARK_GROUND,
    GREY: "#b0b0b0",
    _STYLE["grid.color"]: "#3a3a3a",
}

_narrow: ContextVar[bool] = ContextVar("_narrow", default=False)


@contextmanager
def style(*, narrow: bool = False) -> Iterator[None]:
    """Draw and write figures in this style while the block runs; no global setting changes.

    Parameters
    ----------
    narrow : bool, default False
        Whether they are as wide as a phone, with the legend below the axes.
    """
    require("A figure", "matplotlib", "scipy")
    from matplotlib import style as matplotlib_style

    before = _narrow.set(narrow)
    try:
        with (
            matplotlib_style.context(["default", _STYLE]),
            np.errstate(over="ignore", under="ignore"),
        ):
            yield
    finally:
        _narrow.reset(before)


def darken(svg: str) -> str:
    """Recolour a figure for a dark page.

    Parameters
    ----------
    svg : str
        As matplotlib writes it: black fillings, such as letters, have no colour of their own.
    """
    svg = svg.replace("<svg ", f'<svg fill="{DARK_INK}" ', 1)
    return re.sub(
        r"(?<=fill: )#[0-9a-f]{6}|(?<=stroke: )#[0-9a-f]{6}", lambda match: _on_dark(match[0]), svg
    )


def _on_dark(color: str) -> str:
    """Return a colour for a dark page; a palette's darkest shade would be that of the ground."""
    shade = (round(0.65 * int(color[k : k + 2], 16) + 0.35 * 255) for k in (1, 3, 5))
    return _ON_DARK.get(color) or "#" + "".join(f"{part:02x}" for part in shade)


def bound_style(gaps: tuple[float, ...]) -> dict[str, Any]:
    """Style the line of a bound."""
    return {"color": "black", "linestyle": (0, gaps), "linewidth": 1.2}


def draw_bound(axes: Axes, value: float, label: str, gaps: tuple[float, ...]) -> Line2D:
    """Draw a bound as a line in a pattern; its handle."""
    from matplotlib.lines import Line2D

    axes.axhline(value, **bound_style(gaps))
    return Line2D([], [], label=label, **bound_style(gaps))


def draw_edge(axes: Axes, rate: float, color: str) -> None:
    """Draw 2 / learning rate, dashed."""
    axes.axhline(2 / rate, color=color, linestyle="--", linewidth=0.9)


def edge_handle() -> Line2D:
    """Make the handle of the lines at 2 / learning rate."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=GREY, ls="--", lw=0.9, label=r"$2/\eta$, in its colour")


def pens() -> Iterator[dict[str, Any]]:
    """Give one line after another its colour and marker."""
    i = 0
    while True:
        marker, size = MARKERS[i % len(MARKERS)]
        yield {"color": COLORS[i % len(COLORS)], "marker": marker, "ms": size}
        i += 1


def panels(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels."""
    from matplotlib.figure import Figure

    width = NARROW if _narrow.get() else WIDTH
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(rows, columns)))


def share_x(axes: list[Axes], label: str) -> None:
    """Give panels that stand above each other one axis, whose numbers stand below the last."""
    for panel in axes[:-1]:
        panel.sharex(axes[-1])
        panel.tick_params(labelbottom=False)
    axes[-1].set_xlabel(label)


def band(
    axes: Axes, x: Iterable[float], samples: Iterable[FloatArray], label: str, **pen: Any
) -> Line2D:
    """Draw the medians of the samples at x, with their 95 % bands; NaN are left out.

    A sample of fewer than six has no band.
    """
    points = [(at, *median_interval(s[np.isfinite(s)])) for at, s in zip(x, samples, strict=True)]
    table = np.array(points).reshape(-1, 4)
    at, middle, lower, upper = table[np.isfinite(table[:, 1])].T
    axes.fill_between(at, lower, upper, color=pen["color"], alpha=ALPHA, linewidth=0)
    (handle,) = axes.plot(at, middle, label=label, **pen)
    return handle


def bands(axes: Axes, samples: Mapping[float, FloatArray], label: str, **pen: Any) -> Line2D:
    """Draw the same of samples by x."""
    return band(axes, samples.keys(), samples.values(), label, **pen)


def smallest_distance(runs: Runs) -> float:
    """Return where a squared distance of exactly zero stands on a logarithmic axis."""
    return float(np.finfo(runs.data.attrs["dtype"]).eps) ** 2 / 1e6


MEDIAN_BAND = "95 % interval of the\nmedian over runs"


def legend(figure: Figure, handles: list[Any] | None, band_label: str | None = MEDIAN_BAND) -> None:
    """Put the legend beside the axes, or below them, where it covers nothing.

    Its entries are the handles, or what has a label in the axes.
    """
    from matplotlib.patches import Patch

    if handles is None:
        handles = figure.axes[0].get_legend_handles_labels()[0]
    if band_label is not None:
        handles = [*handles, Patch(color=GREY, alpha=0.25, linewidth=0, label=band_label)]
    if _narrow.get():
        _legend_below(figure, handles)
    else:
        figure.legend(handles=handles, loc="outside right upper")


def _legend_below(figure: Figure, handles: list[Any]) -> None:
    """Make the figure higher by the legend, which has two columns where they fit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    width, height = figure.get_size_inches() * figure.dpi
    for columns in (2, 1):
        box = figure.legend(
            handles=handles, loc="outside lower left", ncols=columns, columnspacing=1.2
        )
        size = box.get_window_extent(renderer)
        if size.width <= width or columns == 1:
            break
        box.remove()
    figure.set_size_inches(width / figure.dpi, (height + size.height) / figure.dpi)
