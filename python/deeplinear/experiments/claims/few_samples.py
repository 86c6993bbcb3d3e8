"""Fewer samples than inputs: the same picture, and what the sharpness says of generalization."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.claims.where_descent_ends import where_descent_ends
from deeplinear.experiments.results.comparisons import gap_and_sharpness
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.statistics import regression_line

__all__ = ["CLAIM"]


def _gap(descent: Runs) -> Iterator[Finding]:
    """Test the regression of the generalization gap on the sharpness."""
    sharpness, gaps, left_out, rate = gap_and_sharpness(descent)
    line = regression_line(np.log(sharpness), np.log(gaps))
    quantity = f"slope of log generalization gap on log sharpness at eta = {rate:g}"
    expected = "above 0 with p < 0.05"
    if line is None:
        yield Finding(quantity, expected, "too few runs", None)
        return
    yield Finding(
        f"{quantity} ({line.n:,} runs, {left_out} without a gap)",
        expected,
        f"{line.slope:.3f}, r^2 = {line.r_squared:.3f}, p = {line.p:.1e}",
        line.slope > 0 and line.p < 0.05,
    )


def _findings(runs: Runs) -> Iterator[Finding]:
    if not runs.few_samples:
        return
    if runs.linear:
        yield from where_descent_ends(runs.descent)
    if "test_risk" in runs.recorded and runs.descent.count:
        yield from _gap(runs.descent)


CLAIM = Claim(
    6,
    "With fewer samples than inputs the picture is the same, and the generalization gap grows with "
    "the sharpness.",
    _findings,
)
