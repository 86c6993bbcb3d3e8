"""Comparisons of runs with one another, which both a claim and a figure show."""

from __future__ import annotations

import numpy as np

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.results.runs import Runs

__all__ = ["deviation_from_flow", "final_sharpness_by_start", "gap_and_sharpness"]

#: What the initial weights of a run follow from: problem, depth, scale and seed.
Start = tuple[float, ...]


def final_sharpness_by_start(runs: Runs) -> dict[Start, float]:
    """Return the final sharpness of the runs that reached a minimizer, by where they started."""
    there = runs.only(runs.reached)
    keys = [there.column(name).tolist() for name in ("problem", "depth", "scale", "seed")]
    return dict(zip(zip(*keys, strict=True), there.end("sharpness").tolist(), strict=True))


def gap_and_sharpness(descent: Runs) -> tuple[FloatArray, FloatArray, int, float]:
    """Take the runs at the smallest learning rate that reached a minimizer.

    Parameters
    ----------
    descent : Runs
        Runs of gradient descent; at least one.

    Returns
    -------
    sharpness, gap : ndarray, shape (m,)
        At the end, of the runs whose gap, test risk minus risk, is positive.
    left_out : int
        Runs whose gap is not.
    learning_rate : float
        The learning rate.
    """
    rate = min(descent.rates)
    runs = descent.only((descent.column("learning_rate") == rate) & descent.reached)
    gap = runs.end("test_risk") - runs.end("risk")
    good = gap > 0
    return runs.end("sharpness")[good], gap[good], int((~good).sum()), rate


def deviation_from_flow(runs: Runs) -> dict[float, FloatArray]:
    """Compare the sharpness of descent with that of gradient flow from the same weights.

    Parameters
    ----------
    runs : Runs
        Of both, with records at the same times. A run without a flow of its seed is left out.

    Returns
    -------
    dict of float to ndarray, shape (runs,)
        By learning rate: the largest ``|S_descent(t) / S_flow(t) - 1|`` over the records of each
        run, infinite where the run diverged.
    """
    flow = runs.flow
    by_seed = {int(seed): i for i, seed in enumerate(flow.seeds)}
    result = {}
    beside_flow = runs.descent.only(np.isin(runs.descent.seeds, flow.seeds))
    for rate, descent in beside_flow.by("learning_rate"):
        beside = [by_seed[int(seed)] for seed in descent.seeds]
        ratio = descent.records("sharpness") / flow.records("sharpness")[beside]
        result[rate] = np.nan_to_num(np.abs(ratio - 1), nan=np.inf).max(axis=1)
    return result
