"""Claims 5, 6 and 7: where gradient descent ends, by learning rate and scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.runs import CONVERGED, SETTLED, Row, Runs
from deeplinear.experiments.figures.generalization import gap_and_sharpness
from deeplinear.experiments.figures.statistics import median_interval, regression_line
from deeplinear.experiments.figures.training import deviation_from_flow

__all__ = [
    "beyond_the_edge",
    "divergence",
    "follows_flow",
    "gap",
    "growth",
    "plateau",
    "same_from_small",
    "same_path",
]

#: The least number of runs that a median of a comparison is taken over.
FEWEST = 3


def _slow(runs: Runs) -> Runs:
    """Keep the learning rates at which a minimizer can be stable."""
    return runs.only(runs.column("learning_rate") <= runs.column("critical_learning_rate"))


def _sharpness_by_start(runs: Runs) -> dict[tuple[float, ...], float]:
    """Return the final sharpness, at a minimizer, by problem, depth, scale and seed."""
    there = runs.only(runs.reached)
    keys = [there.column(name).tolist() for name in ("problem", "depth", "scale", "seed")]
    return dict(zip(zip(*keys, strict=True), there.end("sharpness").tolist(), strict=True))


def same_from_small(claim: int, runs: Runs) -> Iterator[Row]:
    """Compare, run by run, what learning rates end at from the same small weights."""
    slow = _slow(runs)
    for scale, cell in slow.by("scale"):
        parts = {rate: _sharpness_by_start(part) for rate, part in cell.by("learning_rate")}
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
        yield runs.row(
            claim,
            f"final sharpness from scale {scale:g} at eta = "
            f"{', '.join(f'{rate:g}' for rate in parts)}, over that at the first of them: medians "
            f"over the {len(common)} starts that the first leaves below 0.9 of every 2/eta",
            "1 (within 5 %)",
            ", ".join(f"{ratio:.4f}" for ratio in ratios),
            max(abs(ratio - 1) for ratio in ratios) <= 0.05,
        )
        return


def growth(claim: int, runs: Runs) -> Iterator[Row]:
    """Compare the ends from the smallest and from the largest scale that most arrive from."""
    factors = {}
    for rate, part in _slow(runs).by("learning_rate"):
        cells = [cell for _, cell in part.by("scale") if cell.reached.mean() > 0.5]
        if len(cells) > 1:
            ends = [np.median(cells[i].end("sharpness")[cells[i].reached]) for i in (0, -1)]
            factors[rate] = float(ends[1] / ends[0])
    if factors:
        yield runs.row(
            claim,
            "median final sharpness from the largest scale where most runs reached a minimizer "
            f"over that from the smallest, at eta = {', '.join(f'{rate:g}' for rate in factors)}",
            "above 1",
            ", ".join(f"{factor:.3g}" for factor in factors.values()),
            min(factors.values()) > 1,
        )


def plateau(claim: int, runs: Runs) -> Iterator[Row]:
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
        yield runs.row(
            claim,
            f"median final sharpness over 2/eta at eta = {rate:g}, from the largest scale where "
            f"most runs reached a minimizer, {scale:.4g} ({len(edge)} of {cell.count})",
            f"1 (within {close:.0%}: 2 % from half of 1/(La) on, 10 % below)",
            f"{middle:.4f} (95 % interval {low:.3f} to {high:.3f}){note}",
            agrees,
        )


def beyond_the_edge(claim: int, runs: Runs) -> Iterator[Row]:
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
    yield runs.row(
        claim,
        f"largest final sharpness over 2/eta, {there.count:,} of {int(runs.reached.sum()):,} runs "
        f"that reached a minimizer, whose {what} no longer rises and is at most "
        f"{CONVERGED if runs.linear else SETTLED:g} of the zero map's",
        "at most 1",
        text,
        above == 0,
    )


def divergence(claim: int, runs: Runs) -> Iterator[Row]:
    """Compare how many diverge from the smallest and from the largest scale."""
    slow = _slow(runs)
    scale = slow.column("scale")
    low, high = (float(slow.diverged[scale == x].mean()) for x in (scale.min(), scale.max()))
    yield runs.row(
        claim,
        f"share of runs that diverged from scale {scale.min():g} and from {scale.max():g}, with "
        "rates up to 1/(La)",
        "grows",
        f"{low:.0%}, {high:.0%}",
        high > low if slow.diverged.any() else None,
    )


def gap(runs: Runs) -> Iterator[Row]:
    """Test the regression of the generalization gap on the sharpness."""
    sharpness, gaps, left_out, rate = gap_and_sharpness(runs.data)
    line = regression_line(np.log(sharpness), np.log(gaps))
    quantity = f"slope of log generalization gap on log sharpness at eta = {rate:g}"
    expected = "above 0 with p < 0.05"
    if line is None:
        yield runs.row(6, quantity, expected, "too few runs", None)
        return
    yield runs.row(
        6,
        f"{quantity} ({line.n:,} runs, {left_out} without a gap)",
        expected,
        f"{line.slope:.3f}, r^2 = {line.r_squared:.3f}, p = {line.p:.1e}",
        line.slope > 0 and line.p < 0.05,
    )


def follows_flow(runs: Runs) -> Iterator[Row]:
    """Compare the ends of flow and of descent with the smallest rate from the same weights."""
    flow = _sharpness_by_start(runs.only(runs.flow))
    rate = min(runs.rates)
    descent = _sharpness_by_start(runs.only(runs.column("learning_rate") == rate))
    common = sorted(key for key in descent if key in flow)
    if not common:
        return
    smallest = min(k[2] for k in common)
    apart = [abs(descent[k] / flow[k] - 1) for k in common if k[2] == smallest]
    yield runs.row(
        5,
        f"final sharpness of descent at eta = {rate:.3g} and of flow from the same weights of "
        f"scale {smallest:g}: largest relative difference of {len(apart)} runs",
        "at most 1 %",
        f"{max(apart):.2e}",
        max(apart) <= 0.01,
    )


def same_path(runs: Runs) -> Iterator[Row]:
    """Find up to which learning rate descent follows the flow all along."""
    deviations = {
        rate: float(np.median(values)) for rate, values in deviation_from_flow(runs.data).items()
    }
    close = [rate for rate, value in deviations.items() if value <= 0.1]
    peak = 2 / float(np.nanmax(runs.data["sharpness"].values[runs.flow]))
    # Where the deviation is of first order in the learning rate, the path converges to the flow's.
    first, second = sorted(deviations)[:2]
    order = np.log(deviations[second] / deviations[first]) / np.log(second / first)
    yield runs.row(
        5,
        "largest learning rate whose sharpness stays within 10 % of the flow's along training, in "
        "the median run; the power of eta that the deviation falls with, at the smallest two",
        f"at most 2 / max S of the flow = {peak:.3g}; 1 (within 0.2)",
        f"{max(close, default=0.0):.3g}; {order:.2f}",
        bool(close) and max(close) <= peak and abs(order - 1) <= 0.2,
    )
