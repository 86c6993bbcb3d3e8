"""Gradient descent ends where gradient flow does, or at the edge of stability."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.claims.where_descent_ends import where_descent_ends
from deeplinear.experiments.results.comparisons import deviation_from_flow, final_sharpness_by_start
from deeplinear.experiments.results.runs import Runs

__all__ = ["CLAIM"]


def _follows_flow(runs: Runs) -> Iterator[Finding]:
    """Compare the ends of flow and of descent with the smallest rate from the same weights."""
    flow = final_sharpness_by_start(runs.flow)
    rate = min(runs.rates)
    descent = final_sharpness_by_start(runs.only(runs.column("learning_rate") == rate))
    common = sorted(key for key in descent if key in flow)
    if not common:
        return
    smallest = min(k[2] for k in common)
    apart = [abs(descent[k] / flow[k] - 1) for k in common if k[2] == smallest]
    yield Finding(
        f"final sharpness of descent at eta = {rate:.3g} and of flow from the same weights of "
        f"scale {smallest:g}: largest relative difference of {len(apart)} runs",
        "at most 1 %",
        f"{max(apart):.2e}",
        max(apart) <= 0.01,
    )


def _same_path(runs: Runs) -> Iterator[Finding]:
    """Find up to which learning rate descent follows the flow all along."""
    deviations = {
        rate: float(np.median(values)) for rate, values in deviation_from_flow(runs).items()
    }
    if len(deviations) < 2:
        return
    close = [rate for rate, value in deviations.items() if value <= 0.1]
    peak = 2 / float(np.nanmax(runs.flow.records("sharpness")))
    # Where the deviation is of first order in the learning rate, the path converges to the flow's.
    first, second = sorted(deviations)[:2]
    order = np.log(deviations[second] / deviations[first]) / np.log(second / first)
    yield Finding(
        "largest learning rate whose sharpness stays within 10 % of the flow's along training, in "
        "the median run; the power of eta that the deviation falls with, at the smallest two",
        f"at most 2 / max S of the flow = {peak:.3g}; 1 (within 0.2)",
        f"{max(close, default=0.0):.3g}; {order:.2f}",
        bool(close) and max(close) <= peak and abs(order - 1) <= 0.2,
    )


def _findings(runs: Runs) -> Iterator[Finding]:
    if not runs.linear:
        return
    if runs.flow.count and runs.descent.count:
        yield from _follows_flow(runs)
        if "flow-and-descent" in runs.figures:
            yield from _same_path(runs)
    if not runs.few_samples:
        yield from where_descent_ends(runs.descent)


CLAIM = Claim(
    5,
    "From small weights the final sharpness of descent does not depend on the learning rate; from "
    "larger ones it grows to 2/eta, and no further; then runs diverge.",
    _findings,
)
