"""Claims 1 and 2: how flat a minimizer can be, and which learning rates can stay at one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.runs import Row, Runs

__all__ = ["bound", "depth_limit", "flattest", "spectrum", "thresholds", "too_fast"]

#: How far above a limit of scale zero a run from a small scale may end.
NEAR = 0.1


def bound(runs: Runs) -> Iterator[Row]:
    """Hold every run that reached a minimizer against ``2 L a |w*|^(2-2/L)``.

    At an excess risk of a share e of the zero map's, ``|C^(1/2) (w - w*)|`` is
    ``sqrt(e) |C^(1/2) w*|``. So the bound of the run's own map, ``w^T C w`` in place of
    ``w*^T C w*``, differs by at most ``2 sqrt(e)``, relatively and to first order.
    """
    there = runs.only(runs.reached)
    if not there.count:
        return
    ratio = there.end("sharpness") / there.column("sharpness_lower_bound")
    below = ratio < 1 - 2 * np.sqrt(np.maximum(there.excess, 0)) - 1e-9
    yield runs.row(
        1,
        f"smallest final sharpness over 2La, {there.count:,} runs that reached a minimizer",
        "at least 1 - 2 sqrt(e), where the excess risk is a share e of the zero map's",
        f"{ratio.min():.4g}",
        not below.any(),
    )


def too_fast(runs: Runs) -> Iterator[Row]:
    """Count who reached a minimizer with a learning rate above the critical one."""
    above = runs.column("learning_rate") > runs.column("critical_learning_rate")
    if above.any():
        count = int(runs.reached[above].sum())
        yield runs.row(
            1,
            f"runs that reached a minimizer, of {int(above.sum()):,} with a rate above 1/(La)",
            "0",
            f"{count:,}",
            count == 0,
        )


def thresholds(runs: Runs) -> Iterator[Row]:
    """Find, per depth, between which two learning rates most runs cease to reach a minimizer."""
    if len(runs.rates) < 3:
        return
    small = runs.only(runs.column("scale") == min(runs.scales))
    for depth, here in small.by("depth"):
        critical = float(here.column("critical_learning_rate")[0])
        most = [bool(cell.reached.mean() > 0.5) for _, cell in here.by("learning_rate")]
        rates = here.rates
        if rates[-1] <= critical or not any(most):
            continue
        last = int(np.flatnonzero(most)[-1])
        if last + 1 == len(rates):
            low, high, agrees = rates[last], np.inf, False
        else:
            low, high = rates[last : last + 2]
            agrees = low <= critical <= high * (high / low)
        yield runs.row(
            1,
            f"L = {depth:g}: the largest learning rate that most runs reach a minimizer with, and "
            "the next on the grid",
            f"1/(La) = {critical:.4g} between them, or at most one step of the grid above",
            f"{low:.4g}, {high:.4g}",
            agrees,
        )


def depth_limit(runs: Runs) -> Iterator[Row]:
    """Compare the aligned minimizer with the lower bound over depth."""
    excess = {
        depth: float((here.column("aligned_sharpness") / here.column("sharpness_lower_bound"))[0])
        - 1
        for depth, here in runs.by("depth")
    }
    if len(excess) < 2:
        return
    depths, values = list(excess), list(excess.values())
    falls = all(np.diff(values) < 0)
    yield runs.row(
        2,
        f"sharpness of the aligned minimizer over 2La, less 1, at L = {depths[0]:g} and "
        f"{depths[-1]:g}",
        "falls to 0 with L, at least as fast as 2/L",
        f"{values[0]:.3g}, {values[-1]:.3g}",
        falls and values[-1] <= 2 * values[0] * depths[0] / depths[-1],
    )


def flattest(flow: Runs) -> Iterator[Row]:
    """Compare where flow from the smallest scale ends with the flattest minimizer known."""
    runs = flow.only(flow.reached & (flow.column("scale") == min(flow.scales)))
    if not runs.count:
        return
    ratio = np.median(runs.end("sharpness") / runs.column("aligned_sharpness"))
    upper = np.median(runs.end("sharpness") / runs.column("sharpness_upper_bound"))
    yield flow.row(
        2,
        f"median final sharpness of flow from scale {min(flow.scales):g}, over the aligned "
        "minimizer's and over the upper bound of the flattest",
        f"1 (within {NEAR:.0%}), and at most {1 + NEAR:g}",
        f"{ratio:.4g}, {upper:.4g}",
        bool(abs(ratio - 1) <= NEAR and upper <= 1 + NEAR),
    )


def spectrum(flow: Runs) -> Iterator[Row]:
    """Hold flow from a small scale against both bounds, over the spectrum of the data."""
    for along in np.unique(flow.data["along"].values):
        runs = flow.only((flow.data["along"].values == along) & flow.reached)
        if not runs.count:
            continue
        end, lower = runs.end("sharpness"), runs.column("sharpness_lower_bound")
        upper = float((end / runs.column("sharpness_upper_bound")).max())
        ratio, aligned = end / lower, runs.column("aligned_sharpness") / lower
        conditions = runs.column("condition")
        flatter = int((end < runs.column("aligned_sharpness")).sum())
        yield flow.row(
            2,
            f"final sharpness over 2La, and over the upper bound of the flattest minimizer, with "
            f"w* along the {along} eigenvector, conditions {conditions.min():g} to "
            f"{conditions.max():g}",
            f"at least 1, and at most {1 + NEAR:g}",
            f"{ratio.min():.4g} to {ratio.max():.4g} (the aligned minimizer's {aligned.min():.4g} "
            f"to {aligned.max():.4g}; {flatter} of {runs.count} runs end flatter), and {upper:.4g}",
            ratio.min() >= 1 - 1e-3 and upper <= 1 + NEAR,
        )
