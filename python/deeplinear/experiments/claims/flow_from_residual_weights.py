"""Gradient flow from residual weights: where it ends, by depth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import regression_line

__all__ = ["CLAIM"]


def _findings(runs: Runs) -> Iterator[Finding]:
    """Test, per scale, whether the sharpness over ``L Lambda`` goes on growing with the depth."""
    if runs.gaussian or not runs.linear:
        return
    for scale, cell in runs.flow.by("scale"):
        there = cell.only(cell.reached)
        depth = there.column("depth")
        depths = np.unique(depth)
        if len(depths) < 2:
            continue
        ratio = there.end("sharpness") / (depth * there.column("largest_curvature"))
        medians = [float(np.median(ratio[depth == value])) for value in depths]
        deep = depth >= depths[(len(depths) - 1) // 2]
        line = regression_line(np.log(depth[deep]), np.log(ratio[deep]))
        slope = "too few runs" if line is None else f"power {line.slope:.3f} (p = {line.p:.2g})"
        grows = line is not None and line.slope > 0.05 and line.p < 0.05
        yield Finding(
            f"S / (L Lambda) from s = {scale:g}: medians over L = {depths[0]:g} to {depths[-1]:g}, "
            f"largest of {there.count} runs, and its power of L in the deeper half",
            "all reach a minimizer; a power of at most 0.05, or none at the 5 % level",
            f"{min(medians):.3g} to {max(medians):.3g}, {ratio.max():.3g}, {slope}",
            None if line is None else bool(cell.reached.all()) and not grows,
        )


CLAIM = Claim(
    4,
    "Flow from residual weights ends at a sharpness within a constant of L Lambda, which depends "
    "on the scale of the weights and not on the depth.",
    _findings,
)
