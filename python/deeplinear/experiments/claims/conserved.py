"""What gradient flow conserves, and gradient descent does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.results.runs import Runs

__all__ = ["CLAIM"]


def _drift(runs: Runs) -> FloatArray:
    """Return how far neighbouring layers drifted apart, over how far they were at the start."""
    return np.abs(runs.end("balancedness") / runs.start("balancedness") - 1)


def _findings(runs: Runs) -> Iterator[Finding]:
    """Compare how far neighbouring layers drifted apart under flow and under descent."""
    if not runs.linear or "balancedness" not in runs.recorded:
        return
    there = runs.only(runs.arrived)
    flow, rates = there.flow, there.rates
    if not flow.count or not rates:
        return
    of_flow = float(_drift(flow).max())
    by_rate = [float(np.median(_drift(cell))) for _, cell in there.by("learning_rate")]
    text = f"{by_rate[0]:.1e} at eta = {rates[0]:.3g}"
    if len(by_rate) > 1:
        text += f" to {by_rate[-1]:.1e} at {rates[-1]:.3g}"
    yield Finding(
        "relative change of |W_k+1^T W_k+1 - W_k W_k^T|, the largest over k: largest of flow, "
        "median of descent",
        "below 1e-6 (the integrator's error), and above 100 times the flow's, more at larger rates",
        f"{of_flow:.1e}, {text}",
        of_flow < 1e-6 and min(by_rate) > 100 * of_flow and by_rate[-1] >= by_rate[0],
    )


CLAIM = Claim(
    8,
    "Flow conserves the differences of neighbouring layers; descent does not.",
    _findings,
)
