"""What is pickled and sent between processes and machines, by any protocol."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear import _core
from strategies import flat, make_problem

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PROBLEM = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
LANDSCAPE, NETWORK, WEIGHTS = PROBLEM.landscape, PROBLEM.network, PROBLEM.weights


def sent(value: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


# Old code ends the process at the protocols 0 and 1: it has one of its own.
def test_no_protocol_ends_the_process() -> None:
    code = """
import pickle, numpy as np, deeplinear as dl
from deeplinear import _core
landscape = dl.Landscape(dl.Network((3, 4, 1)), dl.gaussian_regression(n=9, d=3))
weights = dl.init.Gaussian(0.5).sample(landscape.network, 0)
one = np.ones(1)
fixed = _core.Fixed("euler", one, one, np.ones(1, np.int64), 0.0, {}, None, None, False)
plan = _core.Plan(fixed, 0.0, 1)
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    for inner in (landscape.sharpness(weights), landscape.sharpness(weights)._direction):
        pickle.loads(pickle.dumps(inner, protocol))
    for private in (landscape._problem, _core.Problem.__new__(_core.Problem), plan):
        try:
            pickle.dumps(private, protocol)
        except TypeError as error:
            print(error)
    try:
        pickle.dumps(_core.Direction.__new__(_core.Direction), protocol)
    except TypeError as error:
        print("Direction")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines.count("a Problem cannot be pickled; its Landscape can.") == 2 * len(PROTOCOLS)
    assert lines.count("a Plan cannot be pickled; its dynamics can.") == len(PROTOCOLS)
    assert lines.count("Direction") == len(PROTOCOLS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_sharpness(protocol: int) -> None:
    """Of no SIMD level: the other machine's may be another."""
    found = LANDSCAPE.sharpness(WEIGHTS)
    for one in (found, *LANDSCAPE.eigenvalues(WEIGHTS, 2)):
        again = sent(one, protocol)
        assert again == one
        np.testing.assert_array_equal(flat(again.vector), flat(one.vector))
        assert sent(again, protocol) == one  # with its vector
    assert b"_core_" not in pickle.dumps(found, protocol)
    same, warm = (LANDSCAPE.sharpness(WEIGHTS, start=s) for s in (found, sent(found, protocol)))
    assert (same.value, same.products) == (warm.value, warm.products)


def test_copies_of_a_sharpness() -> None:
    found = LANDSCAPE.sharpness(WEIGHTS)
    for again in (copy.copy(found), copy.deepcopy(found)):
        assert again == found
        np.testing.assert_array_equal(flat(again.vector), flat(found.vector))
    direction = copy.deepcopy(found._direction)
    assert isinstance(direction, _core.Direction)
    np.testing.assert_array_equal(direction.expand(NETWORK.widths), flat(found.vector))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_else_that_is_public(protocol: int) -> None:
    network = sent(NETWORK, protocol)
    assert network == NETWORK
    regression = sent(LANDSCAPE.regression, protocol)
    np.testing.assert_array_equal(regression.minimizer, LANDSCAPE.regression.minimizer)
    landscape = sent(LANDSCAPE, protocol)
    assert landscape.risk(WEIGHTS) == LANDSCAPE.risk(WEIGHTS)
    density = LANDSCAPE.spectral_density(WEIGHTS, steps=5)
    assert sent(density, protocol).moment(2) == density.moment(2)
    if protocol >= 2:  # below, xarray pickles no dataset
        dataset = xr.Dataset({"risk": ("run", [1.0, 2.0])})
        xr.testing.assert_identical(sent(dl.Interrupted(dataset), protocol).dataset, dataset)
