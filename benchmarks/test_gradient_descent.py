"""Gradient steps of an ensemble."""

from __future__ import annotations

from deeplinear.bench.problems import DEEP, SMALL, WIDE
from deeplinear.bench.works import ensemble

from .conftest import THREADS, each_entry


@each_entry(
    *(
        ensemble(problem, THREADS, dtype)
        for problem in (SMALL, WIDE, DEEP)
        for dtype in ("float64", "float32")
    )
)
def test_ensemble(compare, work, entry):
    compare(work, entry)
