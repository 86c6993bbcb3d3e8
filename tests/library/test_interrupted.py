"""Ctrl-C during long runs of large networks: what had been done by then is kept."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from engines import DTYPES
from strategies import Problem, bent, make_problem, relative_error, some_runs

STEPS = 10_000_000  # more than will be taken


def problem_of(widths: tuple[int, ...] = (65, 64, 129, 1)) -> Problem:
    return make_problem(widths, "plain", 50, seed=1)


def interrupt(after: int) -> Any:
    """A progress function that does as Ctrl-C would, when it is called the given time."""
    calls = []

    def progress(share: float) -> None:
        calls.append(share)
        assert 0 <= share <= 1
        if len(calls) >= after and share > 0:  # a busy machine may not have begun
            raise KeyboardInterrupt

    return progress


def interrupted(problem: Problem, dynamics: Any, weights: Any = None, **options: Any) -> xr.Dataset:
    arguments: dict[str, Any] = {"engine": "wide", "progress": interrupt(2), "threads": 2}
    with pytest.raises(dl.Interrupted) as caught:
        dl.simulate(
            problem.landscape,
            problem.weights if weights is None else weights,
            dynamics,
            **(arguments | options),
        )
    return caught.value.dataset


DYNAMICS: dict[str, tuple[Any, dict[str, Any]]] = {
    "descent": (dl.GradientDescent(1e-6), {"steps": STEPS, "every": 2**11}),
    "rk4": (dl.GradientFlow("rk4", step=1e-6), {"time": 10.0, "every": 2**10}),
    "dopri5": (dl.GradientFlow("dopri5", step=1e-6, rtol=1e-13, atol=1e-13), {"time": 1e5}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", DYNAMICS)
def test_a_run_on_its_way(method: str, dtype: str) -> None:
    problem = problem_of()
    dynamics, length = DYNAMICS[method]
    if method == "dopri5":
        length = length | {"every": None}
        if dtype == "float32":
            dynamics = dl.GradientFlow("dopri5", step=1e-6, rtol=1e-6, atol=1e-7)
    dataset = interrupted(problem, dynamics, dtype=dtype, **length)
    assert dataset.sizes["run"] == 1
    assert dataset.status.item() == "unfinished"
    last = dataset.last_step.item()
    assert last > 0
    risk = dataset["risk"].values[0]
    assert np.isfinite(risk[0])
    assert np.isnan(risk[-1])
    if method == "dopri5":
        return
    # all records until then, and none of later ones
    every = int(length["every"])
    assert np.flatnonzero(np.isfinite(risk)).tolist() in (
        list(range(last // every + 1)),
        list(range(last // every)),  # stopped before the record of its last step
    )
    steps: dict[str, Any] = {"steps": last} if method == "descent" else {"time": last * 1e-6}
    again = dl.simulate(
        problem.landscape,
        problem.weights,
        dynamics,
        dtype=dtype,
        engine="wide",
        every=None,
        **steps,
    )
    assert again.last_step.item() == last
    # The last updates may be folded at another step: a rounding of the weights.
    error = relative_error(dataset.weights.values[0], again.weights.values[0])
    assert error <= (1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("method", DYNAMICS)
def test_a_run_over_many_samples(method: str) -> None:
    """Its gradients end on their way; what is left is the last whole step, to the bit."""
    problem = bent(make_problem((9, 60, 60, 1), "plain", 4001, seed=1), "tanh")
    dynamics, length = DYNAMICS[method]
    dataset = interrupted(problem, dynamics, **length | {"every": None})
    assert dataset.status.item() == "unfinished"
    assert np.isfinite(dataset.weights.values).all()
    last = dataset.last_step.item()
    if method == "dopri5":
        return
    steps: dict[str, Any] = {"steps": last} if method == "descent" else {"time": last * 1e-6}
    again = dl.simulate(
        problem.landscape, problem.weights, dynamics, engine="wide", every=None, **steps
    )
    assert again.last_step.item() == last
    np.testing.assert_array_equal(dataset.weights.values, again.weights.values)


def test_runs_before_and_after() -> None:
    """Those that had finished are complete; the one on its way is there; the others are not."""
    problem = problem_of()
    weights = [np.stack([layer] * 4) for layer in problem.weights]
    wanted = interrupted(
        problem, dl.GradientFlow("rk4", step=1e-6), weights, time=10.0, every=None, threads=1
    )
    assert wanted.run.values.tolist() == [0]
    quick = some_runs(weights, slice(0, 4))
    full = interrupted(problem, dl.GradientDescent(1e-6), quick, steps=STEPS, every=None)
    assert set(full.status.values.tolist()) == {"unfinished"}
    assert 1 <= full.sizes["run"] <= 2


@pytest.mark.parametrize("record", ["lowest_eigenvalue"])
def test_no_record_of_half_an_iteration(record: str) -> None:
    """A value that a recording was interrupted at is not taken for an eigenvalue."""
    network = dl.Network((64,) * 300 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=100, d=64, noise=1.0, seed=0))
    weights = dl.init.Residual(0.5).sample(network, 0)
    for after in (1, 2, 3):
        try:
            dl.simulate(
                landscape,
                weights,
                dl.GradientDescent(1e-9),
                steps=1000,
                record=(record,),
                progress=interrupt(after),
            )
        except dl.Interrupted as stopped:
            dataset = stopped.dataset
        if dataset.sizes["run"] == 0:
            continue
        values = dataset[record].values[0]
        first = landscape.sharpness(
            weights, which="largest" if record == "sharpness" else "lowest"
        ).value
        # at this learning rate nothing changes in a few steps
        taken = values[np.isfinite(values)]
        np.testing.assert_allclose(taken, first, rtol=1e-4)


SCRIPT = """
import deeplinear as dl, numpy as np
network = dl.Network((300,) * 4 + (1,))
regression = dl.gaussian_regression(n=50, d=300, noise=1.0, seed=0)
landscape = dl.Landscape(network, regression)
weights = dl.init.Residual(0.5).sample(network, 0)
curved = dl.Landscape(dl.Network((300,) * 4 + (1,), activation="gelu"), regression)
narrow = dl.Landscape(
    dl.Network((60,) * 60 + (1,)), dl.gaussian_regression(n=50, d=60, noise=1.0, seed=0)
)
small = dl.Landscape(
    dl.Network((40,) * 6 + (1,), activation="gelu"),
    dl.gaussian_regression(n=1000, d=40, noise=1.0, seed=0),
)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt as stopped:
    data = getattr(stopped, "dataset", None)
    if data is None:
        print("stopped")
    else:
        print("stopped", data.status.item(), data.last_step.item() > 0)
"""


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            "dl.simulate(landscape, weights, dl.GradientDescent(1e-6), steps=10**9, every=None,"
            " overwrite_weights=True)",
            "stopped unfinished True",
        ),
        ("[landscape.sharpness(weights, 1e-12) for _ in range(10**9)]", "stopped"),
        ("landscape.spectral_density(weights, vectors=10**6, steps=50)", "stopped"),
        ("landscape.eigenvalues(weights, 3000)", "stopped"),
        ("curved.hessian_trace(weights)", "stopped"),
        ("narrow.compressed_hessian(dl.init.Identity().sample(narrow.network, 0))", "stopped"),
        ("small.hessian(dl.init.Identity().sample(small.network, 0))", "stopped"),
    ],
)
def test_ctrl_c(call: str, says: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(call=call)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        # so long that the core is at work; a signal before is a KeyboardInterrupt as well
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert output.strip() == says


def test_what_was_kept_passes_between_processes() -> None:
    """A KeyboardInterrupt that lost its dataset on the way would lose the finished runs."""
    dataset = xr.Dataset({"risk": ("run", [1.0, 2.0])})
    again = pickle.loads(pickle.dumps(dl.Interrupted(dataset)))
    assert str(again) == "stopped; 2 runs are in .dataset"
    xr.testing.assert_identical(again.dataset, dataset)


def test_of_one_network_nothing_is_copied() -> None:
    """It may fit the memory once."""
    problem = problem_of()
    weights = dl.init.Residual(0.5).sample(problem.network, 0)
    dataset = interrupted(
        problem, dl.GradientDescent(1e-6), weights, steps=STEPS, every=None, overwrite_weights=True
    )
    assert np.shares_memory(dataset.weights.values, weights[0])


def test_a_record_that_was_cut_short_is_of_no_finished_run() -> None:
    problem = problem_of((20, 300, 300, 300, 300, 1))
    shares: list[float] = []

    def progress(share: float) -> None:
        shares.append(share)
        if share > 0.9:
            raise KeyboardInterrupt

    names = ("risk", "layer_norm", "balancedness", "sharpness")
    try:
        dataset = dl.simulate(
            problem.landscape,
            problem.weights,
            dl.GradientDescent(1e-6),
            steps=300,
            every=100,
            record=names,
            threads=2,
            progress=progress,
        )
    except dl.Interrupted as stopped:
        dataset = stopped.dataset
    complete = all(np.isfinite(dataset[name].values).all() for name in names)
    assert complete or dataset.status.values.tolist() == ["unfinished"]


FORKED = """
import os, sys
import numpy as np
import deeplinear as dl
network = dl.Network((5,) * 5 + (1,))
landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=5, noise=1.0, seed=0))
def risks():
    descent = dl.GradientDescent(0.01)
    runs = dl.sweep(
        landscape, dl.init.Gaussian(0.3), descent, seeds=100, steps=5, threads=2, progress=False
    )
    return runs.risk.values
before = risks()
if os.fork() == 0:
    os._exit(0 if np.array_equal(risks(), before) else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork() -> None:
    """Of the parent's threads none is there; the default of multiprocessing up to Python 3.13."""
    result = subprocess.run([sys.executable, "-c", FORKED], timeout=60, check=False)
    assert result.returncode == 0
