"""Nonlinear networks: where gradient descent ends, beside the bounds of linear ones."""

from __future__ import annotations

from collections.abc import Iterator

from deeplinear.experiments.claims.claim import Claim, Finding
from deeplinear.experiments.claims.where_descent_ends import where_descent_ends
from deeplinear.experiments.results.runs import Runs

__all__ = ["CLAIM"]


def _findings(runs: Runs) -> Iterator[Finding]:
    if not runs.linear:
        yield from where_descent_ends(runs.descent)


CLAIM = Claim(
    7,
    "Nonlinear networks show the same picture, with the bounds of linear ones as guides.",
    _findings,
)
