"""Claims 3, 4 and 8: gradient flow from small and from residual weights, and what it conserves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.runs import Row, Runs
from deeplinear.experiments.figures.statistics import regression_line

__all__ = ["alignment", "conserved", "residual_constant", "rise", "small_scale_bound"]


def _by_scale(flow: Runs) -> list[tuple[float, Runs]]:
    return list(flow.only(flow.reached).by("scale"))


def small_scale_bound(flow: Runs) -> Iterator[Row]:
    """Hold the final sharpness against ``8 L Lambda |w*|^(2-2/L)``, scale by scale."""
    largest = {
        scale: float((runs.end("sharpness") / runs.column("small_scale_sharpness_bound")).max())
        for scale, runs in _by_scale(flow)
    }
    if not largest:
        return
    scales, values = list(largest), list(largest.values())
    above = [scale for scale, value in largest.items() if value > 1]
    yield flow.row(
        3,
        f"largest final sharpness of flow over 8L Lambda, from scale {scales[0]:g} and from "
        f"{scales[-1]:g}",
        "at most 1 from the smallest scale",
        f"{values[0]:.3g}, {values[-1]:.3g}"
        + (f"; above 1 from {above[0]:g} on" if above else "; at most 1 from all"),
        values[0] <= 1,
    )


def alignment(flow: Runs) -> Iterator[Row]:
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
        yield flow.row(
            3,
            f"{name} at the end, median from scale {small:g} and from {large:g}; its power of the "
            f"scale between {small:g} and {next_scale:g}",
            "tends to 0 with the scale: a power of at least 0.5",
            f"{a:.3g}, {c:.3g}; {slope:.2f}",
            slope >= 0.5,
        )


def rise(flow: Runs) -> Iterator[Row]:
    """Count whose sharpness rose, and by how much."""
    cells = _by_scale(flow)
    if not cells:
        return
    factors = [runs.end("sharpness") / runs.start("sharpness") for _, runs in cells]
    small, large = float(np.median(factors[0])), float(np.median(factors[-1]))
    yield flow.row(
        3,
        f"runs from scale {cells[0][0]:g} whose sharpness rose; the median factor from there and "
        f"from {cells[-1][0]:g}",
        "all, and more from the smaller scale",
        f"{int((factors[0] > 1).sum())} of {len(factors[0])}; {small:.3g}, {large:.3g}",
        bool((factors[0] > 1).all()) and small > large,
    )


def residual_constant(flow: Runs) -> Iterator[Row]:
    """Test, per scale, whether the sharpness over ``L Lambda`` goes on growing with the depth."""
    for scale, cell in flow.by("scale"):
        runs = cell.only(cell.reached)
        depths = np.unique(runs.column("depth"))
        if len(depths) < 2:
            continue
        ratio = runs.end("sharpness") / (runs.column("depth") * runs.column("largest_curvature"))
        medians = [float(np.median(ratio[runs.column("depth") == depth])) for depth in depths]
        deep = runs.column("depth") >= depths[(len(depths) - 1) // 2]
        line = regression_line(np.log(runs.column("depth")[deep]), np.log(ratio[deep]))
        slope = "too few runs" if line is None else f"power {line.slope:.3f} (p = {line.p:.2g})"
        grows = line is not None and line.slope > 0.05 and line.p < 0.05
        yield flow.row(
            4,
            f"S / (L Lambda) from s = {scale:g}: medians over L = {depths[0]:g} to {depths[-1]:g}, "
            f"largest of {runs.count} runs, and its power of L in the deeper half",
            "all reach a minimizer; a power of at most 0.05, or none at the 5 % level",
            f"{min(medians):.3g} to {max(medians):.3g}, {ratio.max():.3g}, {slope}",
            None if line is None else bool(cell.reached.all()) and not grows,
        )


def conserved(runs: Runs) -> Iterator[Row]:
    """Compare how far neighbouring layers drifted apart under flow and under descent."""
    kept = runs.only(runs.arrived)
    moved = np.abs(kept.end("balancedness") / kept.start("balancedness") - 1)
    of_flow, descent = float(moved[kept.flow].max()), ~kept.flow
    by_rate = [
        float(np.median(moved[descent & (kept.column("learning_rate") == rate)]))
        for rate in kept.rates
    ]
    text = f"{by_rate[0]:.1e} at eta = {kept.rates[0]:.3g}"
    if len(by_rate) > 1:
        text += f" to {by_rate[-1]:.1e} at {kept.rates[-1]:.3g}"
    yield runs.row(
        8,
        "relative change of |W_k+1^T W_k+1 - W_k W_k^T|, the largest over k: largest of flow, "
        "median of descent",
        "below 1e-6 (the integrator's error), and above 100 times the flow's, more at larger rates",
        f"{of_flow:.1e}, {text}",
        of_flow < 1e-6 and min(by_rate) > 100 * of_flow and by_rate[-1] >= by_rate[0],
    )
