"""Networks with layers that threads share, on the wide engine."""

from __future__ import annotations

from typing import Any

import xarray as xr

import deeplinear as dl
import engines
from strategies import Problem, make_problem

METHODS = {method.name: method for method in engines.FIXED}


def problem_of(widths: tuple[int, ...], readout: str = "plain") -> Problem:
    """n below d where d is large: the covariance is singular there."""
    last = widths[-1] if readout == "plain" else 5
    return make_problem((*widths[:-1], last), readout, min(2 * widths[0] + 3, 50), seed=1)


def gentle_step(problem: Problem) -> float:
    return engines.gentle_step(problem, [layer[None] for layer in problem.weights])


def simulate(
    problem: Problem, method: str, step: float, steps: int, weights: Any = None, **options: Any
) -> xr.Dataset:
    arguments = {"engine": "wide", **METHODS[method].length(step, steps)}
    return dl.simulate(
        problem.landscape,
        problem.weights if weights is None else weights,
        METHODS[method].dynamics(step),
        **(arguments | options),
    )
