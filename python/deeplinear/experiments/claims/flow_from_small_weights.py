"""Gradient flow from small weights: where it ends, and how the layers align on the way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.results.runs import Runs

__all__ = ["CLAIM"]


def _by_scale(flow: Runs) -> list[tuple[float, Runs]]:
    return list(flow.only(flow.reached).by("scale"))


def _small_scale_bound(flow: Runs) -> Iterator[Finding]:
    """Hold the final sharpness against ``8 L Lambda |w*|^(2-2/L)``, scale by scale."""
    largest = {
        scale: float((runs.end("sharpness") / runs.column("small_scale_sharpness_bound")).max())
        for scale, runs in _by_scale(flow)
    }
    if not largest:
        return
    scales, values = list(largest), list(largest.values())
    above = [scale for scale, value in largest.items() if value > 1]
    yield Finding(
        f"largest final sharpness of flow over 8L Lambda, from scale {scales[0]:g} and from "
        f"{scales[-1]:g}",
        "at most 1 from the smallest scale",
        f"{values[0]:.3g}, {values[-1]:.3g}"
        + (f"; above 1 from {above[0]:g} on" if above else "; at most 1 from all"),
        values[0] <= 1,
    )


def _alignment(flow: Runs) -> Iterator[Finding]:
    """Follow the rank-one gap and the misalignment at the end as the scale falls.

    Flow conserves ``W_{k+1}^T W_{k+1} - W_k W_k^T``, of the order of the scale squared, so that the
    second singular value is of the order of the scale while the first tends to ``|w*|^(1/L)``.
    """
    cells = _by_scale(flow)
    if len(cells) < 2:
        return
    (small, low), (next_scale, high), (large, last) = cells[0], cells[1], cells[-1]

    def medians(of: Runs) -> tuple[float, float]:
        gap = np.nanmax(of.end("rank_one_gap"), axis=1)
        return float(np.median(gap)), 1 - float(np.median(np.nanmin(of.end("alignment"), axis=1)))

    names = ("rank-one gap of the worst layer", "1 - alignment of the worst pair of layers")
    for name, a, b, c in zip(names, medians(low), medians(high), medians(last), strict=True):
        slope = float(np.log(b / a) / np.log(next_scale / small))
        yield Finding(
            f"{name} at the end, median from scale {small:g} and from {large:g}; its power of the "
            f"scale between {small:g} and {next_scale:g}",
            "tends to 0 with the scale: a power of at least 0.5",
            f"{a:.3g}, {c:.3g}; {slope:.2f}",
            slope >= 0.5,
        )


def _rise(flow: Runs) -> Iterator[Finding]:
    """Count whose sharpness rose, and by how much."""
    cells = _by_scale(flow)
    if not cells:
        return
    factors = [runs.end("sharpness") / runs.start("sharpness") for _, runs in cells]
    small, large = float(np.median(factors[0])), float(np.median(factors[-1]))
    yield Finding(
        f"runs from scale {cells[0][0]:g} whose sharpness rose; the median factor from there and "
        f"from {cells[-1][0]:g}",
        "all, and more from the smaller scale",
        f"{int((factors[0] > 1).sum())} of {len(factors[0])}; {small:.3g}, {large:.3g}",
        bool((factors[0] > 1).all()) and small > large,
    )


def _findings(runs: Runs) -> Iterator[Finding]:
    flow = runs.flow
    several = runs.gaussian and len(flow.scales) > 2 and "condition" not in runs.data.coords
    if runs.linear and several:
        yield from _small_scale_bound(flow)
        yield from _rise(flow)
        if {"rank_one_gap", "alignment"} <= runs.recorded:
            yield from _alignment(flow)


CLAIM = Claim(
    3,
    "Flow from small weights ends below 8L Lambda, with layers that become rank one and align; "
    "the sharpness rises on the way.",
    _findings,
)
