"""One sharpness of one small network."""

from __future__ import annotations

import pytest

from .baselines import SHARPNESS
from .problems import SINGLE

TOLERANCE = 1e-6
WORK = {
    "work": f"sharpness to {TOLERANCE}, {SINGLE.name}",
    "dtype": "float64",
    "unit": "network",
    "units": 1,
}


def test_ours(compare, deeplinear):
    X, y = SINGLE.data()
    landscape = deeplinear.Landscape(
        deeplinear.Network(widths=SINGLE.widths), deeplinear.Regression(X, y)
    )
    weights = [layer[0] for layer in SINGLE.weights("float64")]
    assert landscape.sharpness(weights, tolerance=TOLERANCE).converged
    compare(repeated(lambda: landscape.sharpness(weights, tolerance=TOLERANCE)), threads=1, **WORK)


@pytest.mark.parametrize("technique", SHARPNESS)
def test_baseline(compare, technique):
    compute = SHARPNESS[technique].prepare(SINGLE, TOLERANCE)
    compare(repeated(compute), technique=technique, **WORK)


def repeated(compute):
    def run(times):
        for _ in range(times):
            compute()

    return run
