"""Sweeps of many short runs: what a run costs beside its steps."""

from __future__ import annotations

from deeplinear.bench.problems import SHORT, SMALL
from deeplinear.bench.works import short_runs

from .conftest import THREADS, each_entry


@each_entry(*(short_runs("sweep", problem, THREADS) for problem in (SHORT, SMALL)))
def test_short_runs(compare, work, entry):
    compare(work, entry)
