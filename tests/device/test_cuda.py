"""Runs on a graphics processor; without one these tests are skipped."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given

import deeplinear as dl
from deeplinear import _core
from random_runs import Call, assert_same, calls, family
from strategies import PROPERTY

PROCESSORS = [device.name for device in dl.devices() if device and device.name != "cpu"]
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not PROCESSORS, reason=dl.devices()[-1].reason),
    # Without, the processor rounds a product and a sum twice, and the other one once.
    pytest.mark.skipif(not _core.build_config()["fma"], reason="this level has no multiply-add"),
]


@given(calls())
@PROPERTY
def test_random_runs_have_the_bits_of_the_processor(call: Call) -> None:
    assert_same(call.train(engine="ensemble"), call.train(device="cuda"))


@pytest.mark.parametrize("name", PROCESSORS)
def test_many_runs(name: str) -> None:
    call = family(runs=40_000, every=None)
    assert_same(call.train(engine="ensemble"), call.train(device=name))


def test_a_sweep_in_a_store(tmp_path) -> None:
    landscape = dl.Landscape(dl.Network((4, 4, 4, 1)), dl.gaussian_regression(n=12, d=4))
    options = {"seeds": 50, "steps": 100, "progress": False}
    laws = dl.init.Gaussian([0.3, 0.6]), dl.GradientDescent([0.01, 0.1])
    expected = dl.sweep(landscape, *laws, **options)
    found = dl.sweep(landscape, *laws, **options, store=tmp_path / "runs.zarr", device="cuda")
    np.testing.assert_array_equal(found["risk"].values, expected["risk"].values)


def test_ctrl_c_within_a_second() -> None:
    call = family(steps=10**9, every=None, tolerance=0.0, runs=4096)
    asked = []

    def interrupt(share: float) -> None:
        if share > 1e-6:
            asked.append(time.monotonic())
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted):
        call.train(device="cuda", progress=interrupt)
    assert time.monotonic() - asked[0] < 1
