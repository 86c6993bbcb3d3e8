"""How much memory large networks take, and networks that are too large for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deeplinear as dl

# The level after the imports and the data, and the peak of all, in bytes; by the name of the work.
PROGRAM = """
import sys
import numpy as np
import deeplinear as dl

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])

network = dl.Network((512,) * 50 + (1,))
regression = dl.gaussian_regression(n=100, d=512, noise=1.0, seed=0)
landscape = dl.Landscape(network, regression, threads=2)
before = peak()
weights = dl.init.Residual(0.5).sample(network, 0)
options = {"overwrite_weights": True, "threads": 2}
work = sys.argv[1]
if work == "descent":
    dl.simulate(landscape, weights, dl.GradientDescent(1e-5), steps=5, **options)
elif work == "sharpness":
    assert landscape.sharpness(weights, tolerance=1e-4).converged
elif work == "trace":
    landscape.hessian_trace(weights)
else:
    flow = dl.GradientFlow(work, step=1e-5)
    dl.simulate(landscape, weights, flow, time=2e-5, every=None, **options)
print((peak() - before) / (8 * network.parameters))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what was used")
@pytest.mark.parametrize("work", ["descent", "rk4", "dopri5", "sharpness", "trace"])
def test_weights_are_held_once(work: str) -> None:
    """102.8 MB of weights. Beside them there are vectors of the chain, which are 1/512 of them
    each, the basis of Lanczos, 1/8, and what the allocator and the threads take."""
    command = [sys.executable, "-c", PROGRAM, work]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert 1 <= float(result.stdout) < 1.25


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_begin_at_a_cache_line(dtype: str) -> None:
    """Wherever they come from: 16 bytes beyond, where NumPy begins, every wide load takes two."""
    network = dl.Network((64,) * 20 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=9, d=64, noise=1.0, seed=0))
    sampled = dl.init.Residual(0.5).sample(network, 0)
    foreign = np.zeros(network.parameters + 1)[1:]
    foreign[:] = network.flatten(sampled)
    copied = network.flatten(network.unflatten(foreign))
    gathered = network.flatten([layer.copy() for layer in sampled])
    run = dl.simulate(landscape, sampled, dl.GradientDescent(1e-5), steps=1, dtype=dtype)
    for weights in (sampled[0], copied, gathered, run.weights.values):
        assert weights.ctypes.data % 64 == 0
    np.testing.assert_array_equal(copied, foreign)
    np.testing.assert_array_equal(gathered, foreign)


HUGE = dl.Network((1_000_000,) * 5 + (1,))  # 4e12 parameters, 32 TB


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(MemoryError) as caught:
        call()
    message = str(caught.value)
    assert "network must fit the memory" in message
    assert "TB" in message
    assert "are available" in message
    assert "\n" not in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    "init",
    [dl.init.Gaussian(1.0), dl.init.Residual(1.0), dl.init.Identity(), dl.init.Orthogonal(1.0)],
)
def test_initial_weights_that_cannot_fit(init: Any) -> None:
    refused(lambda: init.sample(HUGE, 0))


def test_a_sweep_that_cannot_fit() -> None:
    """All its runs together, even where one of them could."""
    network = dl.Network((1000, 1000, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=1000, noise=1.0, seed=0))
    calls: list[float] = []
    refused(
        lambda: dl.sweep(
            landscape,
            dl.init.Gaussian(0.5),
            dl.GradientDescent(0.1),
            seeds=range(200_000),
            steps=1,
            progress=calls.append,
        )
    )
    assert calls == []


def test_a_copy_that_cannot_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With so little memory left that the weights fit once: in place, but not beside a copy."""
    from deeplinear._support import memory

    network = dl.Network((40, 40, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=40, noise=1.0, seed=0))
    weights = dl.init.Residual(0.5).sample(network, 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 8.0 * network.parameters - 1)
    dynamics = dl.GradientDescent(1e-6)
    with pytest.raises(MemoryError, match="network must fit the memory: a copy of the weights"):
        dl.simulate(landscape, weights, dynamics, steps=1)
    apart = [layer.copy() for layer in weights]
    with pytest.raises(MemoryError, match="a copy of the weights"):
        landscape.risk(apart)
    with pytest.raises(MemoryError, match="an eigenvector"):
        _ = landscape.sharpness(weights).vector
    before = np.concatenate([layer.ravel() for layer in weights])
    result = dl.simulate(landscape, weights, dynamics, steps=1, overwrite_weights=True)
    assert np.shares_memory(result.weights.values, weights[0])
    assert np.max(np.abs(result.weights.values[0] - before)) > 0


def test_a_hessian_that_cannot_fit() -> None:
    network = dl.Network((1000, 1000, 1))  # 8 TB
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=1000, noise=1.0, seed=0))
    refused(lambda: landscape.hessian(dl.init.Identity().sample(network, 0)))


def test_more_seeds_than_can_be_counted_one_by_one() -> None:
    network = dl.Network((3, 3, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=3, noise=1.0, seed=0))
    descent = dl.GradientDescent(0.1)
    refused(lambda: dl.sweep(landscape, dl.init.Identity(), descent, seeds=10**13, steps=1))


@pytest.mark.parametrize(
    ("dynamics", "length"),
    [
        (dl.GradientDescent(0.1), {"steps": 10**13}),
        (dl.GradientFlow("rk4", step=1e-3), {"time": 1e10}),
        (dl.GradientFlow("dopri5"), {"time": 1e10, "every": 1e-3}),
    ],
)
def test_records_that_cannot_fit(dynamics: Any, length: dict[str, Any]) -> None:
    network = dl.Network((3, 3, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=3, noise=1.0, seed=0))
    weights = dl.init.Identity().sample(network, 0)
    refused(lambda: dl.simulate(landscape, weights, dynamics, **length))


def test_spectra_that_cannot_fit() -> None:
    network = dl.Network((1000,) * 300 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=1000, noise=1.0, seed=0))
    views = network.unflatten(np.broadcast_to(0.0, network.parameters))
    refused(lambda: landscape.compressed_hessian(views))
    refused(lambda: landscape.spectral_density(views, vectors=10**6, steps=10**6))
