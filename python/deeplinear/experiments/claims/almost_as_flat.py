"""How near minimizers come to the lower bound of the sharpness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.results.runs import Runs

__all__ = ["CLAIM"]

#: How far above a limit of scale zero a run from a small scale may end.
NEAR = 0.1


def _depth_limit(runs: Runs) -> Iterator[Finding]:
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
    yield Finding(
        f"sharpness of the aligned minimizer over 2La, less 1, at L = {depths[0]:g} and "
        f"{depths[-1]:g}",
        "falls to 0 with L, at least as fast as 2/L",
        f"{values[0]:.3g}, {values[-1]:.3g}",
        falls and values[-1] <= 2 * values[0] * depths[0] / depths[-1],
    )


def _flattest(flow: Runs) -> Iterator[Finding]:
    """Compare where flow from the smallest scale ends with the flattest minimizer known."""
    runs = flow.only(flow.reached & (flow.column("scale") == min(flow.scales)))
    if not runs.count:
        return
    ratio = np.median(runs.end("sharpness") / runs.column("aligned_sharpness"))
    upper = np.median(runs.end("sharpness") / runs.column("sharpness_upper_bound"))
    yield Finding(
        f"median final sharpness of flow from scale {min(flow.scales):g}, over the aligned "
        "minimizer's and over the upper bound of the flattest",
        f"1 (within {NEAR:.0%}), and at most {1 + NEAR:g}",
        f"{ratio:.4g}, {upper:.4g}",
        bool(abs(ratio - 1) <= NEAR and upper <= 1 + NEAR),
    )


def _spectrum(flow: Runs) -> Iterator[Finding]:
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
        yield Finding(
            f"final sharpness over 2La, and over the upper bound of the flattest minimizer, with "
            f"w* along the {along} eigenvector, conditions {conditions.min():g} to "
            f"{conditions.max():g}",
            f"at least 1, and at most {1 + NEAR:g}",
            f"{ratio.min():.4g} to {ratio.max():.4g} (the aligned minimizer's {aligned.min():.4g} "
            f"to {aligned.max():.4g}; {flatter} of {runs.count} runs end flatter), and {upper:.4g}",
            ratio.min() >= 1 - 1e-3 and upper <= 1 + NEAR,
        )


def _findings(runs: Runs) -> Iterator[Finding]:
    if runs.linear:
        yield from _depth_limit(runs)
        if "condition" in runs.data.coords:
            yield from _spectrum(runs.flow)
        elif runs.gaussian and len(runs.flow.scales) > 2:
            yield from _flattest(runs.flow)


CLAIM = Claim(
    2,
    "There are minimizers almost as flat: the aligned ones, whose ratio to 2La goes to 1 with L.",
    _findings,
)
