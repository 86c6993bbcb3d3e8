"""How flat a minimizer can be, and which learning rates can stay at one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.results.runs import Runs

__all__ = ["CLAIM"]


def _bound(runs: Runs) -> Iterator[Finding]:
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
    yield Finding(
        f"smallest final sharpness over 2La, {there.count:,} runs that reached a minimizer",
        "at least 1 - 2 sqrt(e), where the excess risk is a share e of the zero map's",
        f"{ratio.min():.4g}",
        not below.any(),
    )


def _too_fast(runs: Runs) -> Iterator[Finding]:
    """Count who reached a minimizer with a learning rate above the critical one."""
    above = runs.column("learning_rate") > runs.column("critical_learning_rate")
    if above.any():
        count = int(runs.reached[above].sum())
        yield Finding(
            f"runs that reached a minimizer, of {int(above.sum()):,} with a rate above 1/(La)",
            "0",
            f"{count:,}",
            count == 0,
        )


def _thresholds(runs: Runs) -> Iterator[Finding]:
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
        yield Finding(
            f"L = {depth:g}: the largest learning rate that most runs reach a minimizer with, and "
            "the next on the grid",
            f"1/(La) = {critical:.4g} between them, or at most one step of the grid above",
            f"{low:.4g}, {high:.4g}",
            agrees,
        )


def _findings(runs: Runs) -> Iterator[Finding]:
    if runs.linear:
        yield from _bound(runs)
        yield from _too_fast(runs.descent)
        yield from _thresholds(runs.descent)


CLAIM = Claim(
    1,
    "No minimizer is flatter than 2La, so descent with a rate above 1/(La) settles on none.",
    _findings,
)
