"""The ends of a sweep's runs: over one swept dimension as lines, over two as maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.checks import FloatArray, one_of
from deeplinear._support.memory import require_free
from deeplinear.experiments.figures.style import COLORS, MEDIAN_BAND, band, legend, panels, share_x
from deeplinear.experiments.results.statistics import wilson_interval
from deeplinear.options import STATUS
from deeplinear.store.opened_store import FAILED, Store, trouble

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["Ends", "draw", "read"]

_DIVERGED = tuple(STATUS).index("diverged")
#: How far steps that count as even may be from the least, and the range of a logarithmic axis.
_UNEVEN, _DECADES = 0.1, 30.0
#: The most numbers on the side of a map.
_TICKS = 5


@dataclass(frozen=True)
class Ends:
    """Where the runs of a sweep ended, on a grid of one or two dimensions.

    Attributes
    ----------
    variable : str
        What was recorded.
    meaning : str
        What that is, in words.
    axes : mapping of str to array
        The values of the dimensions, numbers ascending.
    values : array, shape (..., seeds)
        What was recorded last; NaN where a run diverged or is not finished.
    diverged : array, shape (..., seeds)
        1 where a run diverged, 0 where it did not; NaN where it is not finished.
    """

    variable: str
    meaning: str
    axes: Mapping[str, npt.NDArray[Any]]
    values: FloatArray
    diverged: FloatArray


def read(store: Store, variable: str | None, at: Sequence[str]) -> Ends:
    """Read the ends of the finished runs, block by block.

    Parameters
    ----------
    store : Store
        The store.
    variable : str, optional
        What was recorded of a run as one number; sharpness by default, or else the risk.
    at : sequence of str
        Values of dimensions that are not drawn, such as ``"depth=5"``.

    Raises
    ------
    ValueError
        If there is no such variable or value, or other than one or two dimensions are left.
    StoreError
        If the store cannot be read.
    MemoryError
        If the numbers do not fit.
    """
    axes = tuple(store.blocks.sizes)
    further = {n: store.group[n].metadata.dimension_names[len(axes) :] for n in store.variables}
    plain = [n for n, dims in further.items() if len(dims) == 1 and dims[0] in ("step", "time")]
    default = "sharpness" if "sharpness" in plain else plain[0]
    variable = default if variable is None else one_of("--variable", variable, tuple(plain))
    with trouble(store.path):
        labels = {name: store.group[name][...] for name in axes}
    fixed = dict(_place(text, labels) for text in at)
    drawn = [name for name in axes[:-1] if name not in fixed and len(labels[name]) > 1]
    if not 1 <= len(drawn) <= 2:
        found = ", ".join(drawn) or "none"
        raise ValueError(
            f"a figure must have one or two swept dimensions; got {found}: --at chooses a value of "
            "one, such as --at depth=5."
        )
    fixed = {name: fixed.get(name, 0) for name in axes[:-1] if name not in drawn}
    shape = (*(len(labels[name]) for name in drawn), len(labels[axes[-1]]))
    require_free("a figure must fit the memory", "the ends of its runs", 2.0 * prod(shape))
    values, diverged = np.full(shape, np.nan), np.full(shape, np.nan)
    for index in store.done():
        places = store.blocks.places(index)
        if not all(places[name].start <= i < places[name].stop for name, i in fixed.items()):
            continue
        # The fixed dimensions go, and the others stay.
        own = tuple(
            fixed[name] - cut.start if name in fixed else slice(None)
            for name, cut in places.items()
        )
        to = tuple(places[name] for name in (*drawn, axes[-1]))
        with trouble(store.path):
            last = np.asarray(store.group[variable].blocks[(*index, 0)])[..., -1][own]
            status = np.asarray(store.group["status"].blocks[index])[own]
        over = status == _DIVERGED
        there = (status > 0) & (status < FAILED)
        values[to] = np.where(there & ~over, last, np.nan)
        diverged[to] = np.where(there, over, np.nan)
    orders = [_order(labels[name]) for name in drawn]
    where = np.ix_(*orders, np.arange(shape[-1]))
    meaning = str(store.group[variable].attrs.get("long_name", variable))
    sorted_ = {name: labels[name][order] for name, order in zip(drawn, orders, strict=True)}
    return Ends(variable, meaning, sorted_, values[where], diverged[where])


def _order(values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Sort numbers, and leave texts as they are."""
    return np.argsort(_numbers(values), kind="stable")


def _place(text: str, labels: Mapping[str, npt.NDArray[Any]]) -> tuple[str, int]:
    """Find the place of "depth=5" on its dimension, by the nearest number or the same text."""
    name, _, wanted = text.partition("=")
    one_of("--at", name, tuple(labels)[:-1])
    values = labels[name]
    found = [i for i, value in enumerate(values) if _same(value, wanted)]
    if not found:
        known = ", ".join(map(_label, values))
        raise ValueError(f"--at {name} must be one of {known}; got {wanted!r}.")
    return name, found[0]


def _same(value: Any, wanted: str) -> bool:
    if not _number(value):
        return str(value) == wanted
    try:
        return bool(np.isclose(float(value), float(wanted), rtol=1e-6, atol=0))
    except ValueError:
        return False


def _number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def draw(ends: Ends) -> Figure:
    """Draw the ends; in the style that is in use."""
    return _lines(ends) if len(ends.axes) == 1 else _maps(ends)


def _lines(ends: Ends) -> Figure:
    """Draw the medians over the seeds with their intervals, above the share that diverged."""
    ((name, values),) = ends.axes.items()
    figure, (above, below) = panels(2, 1, 4.6)
    x = _numbers(values)
    pen = {"color": COLORS[0], "marker": "o", "ms": 4.0}
    line = band(above, x, ends.values, ends.meaning, **pen)
    known = np.isfinite(ends.diverged)
    counts = [(int(d[k].sum()), int(k.sum())) for d, k in zip(ends.diverged, known, strict=True)]
    shares = np.array([wilson_interval(*count) for count in counts if count[1]]).reshape(-1, 3)
    at = x[[count[1] > 0 for count in counts]]
    below.fill_between(at, shares[:, 1], shares[:, 2], color=COLORS[3], alpha=0.15, linewidth=0)
    below.plot(at, shares[:, 0], color=COLORS[3], marker="o", ms=4.0)
    above.set_ylabel(f"final {ends.variable.replace('_', ' ')}")
    below.set(ylabel="share diverged", ylim=(-0.05, 1.05))
    for axes in (above, below):
        _set_scale(axes, values)
    share_x([above, below], name.replace("_", " "))
    legend(figure, [line], MEDIAN_BAND)
    return figure


def _maps(ends: Ends) -> Figure:
    """Draw the share that diverged, and the medians over the seeds of those that did not."""
    (y_name, y), (x_name, x) = ends.axes.items()
    figure, both = panels(1, 2, 3.2)
    title = f"median of the final {ends.variable.replace('_', ' ')}"
    for axes, text, table, limits in zip(
        both,
        ("share diverged", title),
        (_over_seeds(np.nanmean, ends.diverged), _over_seeds(np.nanmedian, ends.values)),
        ((0.0, 1.0), (None, None)),
        strict=True,
    ):
        mesh = axes.pcolormesh(
            _edges(x), _edges(y), np.ma.masked_invalid(table), vmin=limits[0], vmax=limits[1]
        )
        figure.colorbar(mesh, ax=axes, location="top", label=text)
        axes.set_xlabel(x_name.replace("_", " "))
        axes.grid(visible=False)
        axes.set(
            xscale="log" if _scale(x) == "log" else "linear",
            yscale="log" if _scale(y) == "log" else "linear",
        )
        _set_ticks(axes.xaxis, x)
        _set_ticks(axes.yaxis, y)
    both[0].set_ylabel(y_name.replace("_", " "))
    return figure


def _over_seeds(summary: Any, values: FloatArray) -> FloatArray:
    """Summarize over the seeds; NaN where no run has a value."""
    there = np.isfinite(values).any(-1)
    result = np.full(there.shape, np.nan)
    result[there] = summary(values[there], -1)
    return result


def _numbers(values: npt.NDArray[Any]) -> FloatArray:
    """Return where values stand on an axis: texts one after another."""
    if all(map(_number, values)):
        return np.asarray(values, np.float64)
    return np.arange(len(values), dtype=np.float64)


def _even(steps: npt.NDArray[Any]) -> bool:
    return bool(np.ptp(steps) <= _UNEVEN * steps.min(initial=np.inf))


def _scale(values: npt.NDArray[Any]) -> str:
    """Say how values lie: "linear" or "log" where in even steps, or else "uneven"."""
    if not all(map(_number, values)):
        return "uneven"
    x = _numbers(values)
    if _even(np.diff(x)):
        return "linear"
    return "log" if x.min() > 0 and _even(np.diff(np.log(x))) else "uneven"


def _set_scale(axes: Axes, values: npt.NDArray[Any]) -> None:
    """Choose the horizontal axis of lines."""
    if not all(map(_number, values)):
        axes.set_xticks(range(len(values)), labels=[str(value) for value in values])
    elif (x := _numbers(values)).min() > 0 and x.max() > _DECADES * x.min():
        axes.set_xscale("log")


def _edges(values: npt.NDArray[Any]) -> FloatArray:
    """Return the borders of cells: as far from one value as from the next, where steps are even."""
    scale = _scale(values)
    x = np.arange(len(values), dtype=np.float64) if scale == "uneven" else _numbers(values)
    x = np.log(x) if scale == "log" else x
    middle = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
    return np.exp(edges) if scale == "log" else edges


def _set_ticks(axis: Axis, values: npt.NDArray[Any]) -> None:
    """Name cells by their values: a few of them, each at its cell."""
    at = range(0, len(values), -(-len(values) // _TICKS))
    places = np.arange(len(values)) if _scale(values) == "uneven" else values
    axis.set_ticks([places[i] for i in at], labels=[_label(values[i]) for i in at], minor=False)
    axis.set_ticks([], minor=True)


def _label(value: Any) -> str:
    return f"{value:.3g}" if _number(value) else str(value)
