"""One sharpness: of a small network, and of large ones."""

from __future__ import annotations

from functools import partial

from deeplinear.bench import ours
from deeplinear.bench.baselines import SHARPNESS
from deeplinear.bench.problems import SINGLE
from deeplinear.bench.table import OURS
from deeplinear.bench.works import TOLERANCE, Entry, Work, compute_of, make_works

from .conftest import THREADS, each_entry

SMALL_NETWORK = Work(
    "small-sharpness",
    f"Sharpness to {TOLERANCE:g}, {SINGLE.name}, float64",
    "network",
    (
        Entry(OURS, partial(ours.sharpness, SINGLE, TOLERANCE, 1), 1),
        *(Entry(name, compute_of(found, SINGLE)) for name, found in SHARPNESS.items()),
    ),
    "float64",
)
LARGE_NETWORKS = make_works(("sharpness", "deep-sharpness", "warm-sharpness"), THREADS, quick=False)


@each_entry(SMALL_NETWORK, *LARGE_NETWORKS)
def test_sharpness(compare, work, entry):
    compare(work, entry)
