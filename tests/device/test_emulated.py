"""The kernels of graphics processors, played by this one, have the bits of "ensemble"."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import deeplinear as dl
from random_runs import Call, assert_same, calls, family
from strategies import PROPERTY

pytestmark = pytest.mark.core


@given(calls())
@PROPERTY
def test_random_runs(call: Call) -> None:
    assert_same(call.train(engine="ensemble"), call.train(engine="emulated", threads=1))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", ["descent", "nesterov", "dopri5"])
def test_more_runs_than_slots(kind: str, threads: int) -> None:
    call = family(kind=kind, every=None)
    expected = call.train(engine="ensemble")
    assert len(np.unique(expected["last_step"])) > 20
    assert len(np.unique(expected["status"])) > 1
    assert_same(expected, call.train(engine="emulated", threads=threads))


def test_all_records() -> None:
    names = tuple(name for name in dl.RECORDABLE if not name.startswith(("test", "eigenvalues")))
    call = family(record=names, runs=40, every=20)
    assert_same(call.train(engine="ensemble"), call.train(engine="emulated"))


def test_momentum_goes_on_from_its_state() -> None:
    landscape = dl.Landscape(dl.Network((3, 3, 3, 1)), dl.gaussian_regression(n=12, d=3))
    weights = dl.init.Gaussian(0.5).sample(landscape.network, seed=0)
    descent = dl.GradientDescent(0.01, momentum=0.9)
    options = {"every": 10, "engine": "emulated"}
    half = dl.simulate(landscape, weights, descent, steps=50, **options)
    whole = dl.simulate(landscape, weights, descent, steps=100, **options)
    again = dl.resume(landscape, half, steps=50)
    np.testing.assert_array_equal(again["weights"], whole["weights"])
    np.testing.assert_array_equal(again["risk"], whole["risk"])


def test_ctrl_c_leaves_what_is_finished() -> None:
    call = family(steps=10**8, every=None, tolerance=0.0, runs=64)

    def interrupt(share: float) -> None:
        if share > 0.01:
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted) as stopped:
        call.train(engine="emulated", progress=interrupt)
    ended = stopped.value.dataset
    assert 0 < ended.sizes["run"] < 64
    assert "unfinished" not in ended["status"].values
