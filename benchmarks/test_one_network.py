"""Steps of one large network."""

from __future__ import annotations

from deeplinear.bench.works import make_works

from .conftest import THREADS, each_entry


@each_entry(*make_works(("deep", "wide"), THREADS, quick=False))
def test_descent(compare, work, entry):
    compare(work, entry)


@each_entry(*make_works(("deep-flow", "wide-flow"), THREADS, quick=False))
def test_flow_of_one_network(compare, work, entry):
    compare(work, entry)
