"""What each record is, by the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from reference import Weights
from strategies import Problem

EIGENVALUES = ("sharpness", "lowest_eigenvalue")


def distance(problem: Problem, weights: Weights) -> Any:
    w = problem.reference.end_to_end(weights)
    return np.sum((w - reference.minimizer(problem.X, problem.y)) ** 2)


# What each record is, of (the problem, that of its test data) at some weights: a new one is a line.
MEANING: dict[str, Callable[[Problem, Problem, Weights], Any]] = {
    "risk": lambda problem, tests, weights: problem.objective.risk(weights),
    "test_risk": lambda problem, tests, weights: tests.objective.risk(weights),
    "distance": lambda problem, tests, weights: distance(problem, weights),
    "sharpness": lambda problem, tests, weights: problem.objective.spectrum(weights)[-1],
    "lowest_eigenvalue": lambda problem, tests, weights: problem.objective.spectrum(weights)[0],
    "layer_norm": lambda problem, tests, weights: reference.layer_norm(weights),
    "rank_one_gap": lambda problem, tests, weights: reference.rank_one_gap(weights),
    "alignment": lambda problem, tests, weights: reference.alignment(weights),
    "balancedness": lambda problem, tests, weights: reference.balancedness(weights),
}
