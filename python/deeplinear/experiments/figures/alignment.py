"""What the figures of alignment share: flow beside descent, and the bounds on the sharpness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deeplinear.experiments.figures.style import COLORS, draw_bound
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["draw_bounds", "flow_and_descent_of"]

#: The bounds on the sharpness: variable, symbol, pattern of the line.
_BOUNDS = (
    ("small_scale_sharpness_bound", r"$8L\Lambda$", (1, 3)),
    ("sharpness_upper_bound", r"upper bound of the flattest", (4, 1.5, 1, 1.5)),
    ("aligned_sharpness", r"aligned minimizer, exact", (5, 2)),
    ("sharpness_lower_bound", r"$2La$", (1, 1)),
)


def flow_and_descent_of(runs: Runs) -> Iterator[tuple[str, Runs, dict[str, Any]]]:
    """Give the runs of each, if there are any, with their label, and the pen of their points."""
    for label, part, pen in (
        ("gradient flow", runs.flow, {"color": COLORS[0], "marker": "o", "ms": 6, "ls": "-"}),
        ("descent", runs.descent, {"color": COLORS[1], "marker": "s", "ms": 3.5, "ls": "--"}),
    ):
        if part.count:
            yield label, part, pen


def draw_bounds(axes: Axes, runs: Runs) -> list[Line2D]:
    """Draw the bounds on the sharpness; their handles."""
    return [draw_bound(axes, runs.first(name), label, gaps) for name, label, gaps in _BOUNDS]
