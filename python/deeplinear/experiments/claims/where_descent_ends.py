"""Where gradient descent ends, by learning rate and scale: the picture of three claims."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Finding
from deeplinear.experiments.results.comparisons import final_sharpness_by_start
from deeplinear.experiments.results.runs import CONVERGED, SETTLED, Runs
from deeplinear.experiments.results.statistics import median_interval

__all__ = ["where_descent_ends"]

#: The least number of runs that a median of a comparison is taken over.
FEWEST = 3


def where_descent_ends(descent: Runs) -> Iterator[Finding]:
    """Look at the ends of descent at several learning rates, from several scales."""
    if not descent.count or len(descent.scales) <= 2 or len(descent.rates) <= 1:
        return
    if descent.gaussian:
        yield from _same_from_small(descent)
    yield from _growth(descent)
    yield from _plateau(descent)
    yield from _beyond_the_edge(descent)
    yield from _divergence(descent)


def _slow(runs: Runs) -> Runs:
    """Keep the learning rates at which a minimizer can be stable."""
    return runs.only(runs.column("learning_rate") <= runs.column("critical_learning_rate"))


def _same_from_small(runs: Runs) -> Iterator[Finding]:
    """Compare, run by run, what learning rates end at from the same small weights."""
    slow = _slow(runs)
    for scale, cell in slow.by("scale"):
        parts = {rate: final_sharpness_by_start(part) for rate, part in cell.by("learning_rate")}
        if len(parts) < 2:
            return
        first = parts[min(parts)]
        limit = 0.9 * 2 / max(parts)
        free = {key for key, value in first.items() if value < limit}
        common = [key for key in free if all(key in part for part in parts.values())]
        if len(common) < FEWEST:
            continue
        ratios = [
            float(np.median([part[key] / first[key] for key in common])) for part in parts.values()
        ]
        yield Finding(
            f"final sharpness from scale {scale:g} at eta = "
            f"{', '.join(f'{rate:g}' for rate in parts)}, over that at the first of them: medians "
            f"over the {len(common)} starts that the first leaves below 0.9 of every 2/eta",
            "1 (within 5 %)",
            ", ".join(f"{ratio:.4f}" for ratio in ratios),
            max(abs(ratio - 1) for ratio in ratios) <= 0.05,
        )
        return


def _growth(runs: Runs) -> Iterator[Finding]:
    """Compare the ends from the smallest and from the largest scale that most arrive from."""
    factors = {}
    for rate, part in _slow(runs).by("learning_rate"):
        cells = [cell for _, cell in part.by("scale") if cell.reached.mean() > 0.5]
        if len(cells) > 1:
            ends = [np.median(cells[i].end("sharpness")[cells[i].reached]) for i in (0, -1)]
            factors[rate] = float(ends[1] / ends[0])
    if factors:
        yield Finding(
            "median final sharpness from the largest scale where most runs reached a minimizer "
            f"over that from the smallest, at eta = {', '.join(f'{rate:g}' for rate in factors)}",
            "above 1",
            ", ".join(f"{factor:.3g}" for factor in factors.values()),
            min(factors.values()) > 1,
        )


def _plateau(runs: Runs) -> Iterator[Finding]:
    """Hold the final sharpness from large weights against 2 / learning rate."""
    for rate, part in _slow(runs).by("learning_rate"):
        cells = [(scale, cell) for scale, cell in part.by("scale") if cell.reached.mean() > 0.5]
        if not cells:
            continue
        scale, cell = cells[-1]
        close = 0.02 if rate >= float(cell.column("critical_learning_rate")[0]) / 2 else 0.1
        edge = cell.edge[cell.reached]
        middle, low, high = median_interval(edge)
        agrees: bool | None = abs(middle - 1) <= close
        note = f"; the sharpest {edge.max():.3f}"
        if not agrees and not part.only(part.column("scale") >= scale).diverged.any():
            agrees, note = None, f"{note}; no run diverged, so the scales end before the edge"
        yield Finding(
            f"median final sharpness over 2/eta at eta = {rate:g}, from the largest scale where "
            f"most runs reached a minimizer, {scale:.4g} ({len(edge)} of {cell.count})",
            f"1 (within {close:.0%}: 2 % from half of 1/(La) on, 10 % below)",
            f"{middle:.4f} (95 % interval {low:.3f} to {high:.3f}){note}",
            agrees,
        )


def _beyond_the_edge(runs: Runs) -> Iterator[Finding]:
    """Hold the final sharpness of those who stay at a minimizer against 2 / learning rate."""
    there = runs.only(runs.converged)
    if not there.count:
        return
    above = int((there.edge > 1).sum())
    what = "excess risk" if runs.linear else "risk"
    text = f"{there.edge.max():.5g}"
    if above:
        text += f"; {above} above, 95 % below {np.quantile(there.edge, 0.95):.3f}"
    if not runs.linear:
        factor = float(np.exp(np.median(there.speed * there.column("steps"))))
        text += (
            f"; at its last speed the median risk falls {factor:.2g}-fold in as many steps again"
        )
    yield Finding(
        f"largest final sharpness over 2/eta, {there.count:,} of {int(runs.reached.sum()):,} runs "
        f"that reached a minimizer, whose {what} no longer rises and is at most "
        f"{CONVERGED if runs.linear else SETTLED:g} of the zero map's",
        "at most 1",
        text,
        above == 0,
    )


def _divergence(runs: Runs) -> Iterator[Finding]:
    """Compare how many diverge from the smallest and from the largest scale."""
    slow = _slow(runs)
    if not slow.count:
        return
    scale = slow.column("scale")
    low, high = (float(slow.diverged[scale == x].mean()) for x in (scale.min(), scale.max()))
    yield Finding(
        f"share of runs that diverged from scale {scale.min():g} and from {scale.max():g}, with "
        "rates up to 1/(La)",
        "grows",
        f"{low:.0%}, {high:.0%}",
        high > low if slow.diverged.any() else None,
    )
