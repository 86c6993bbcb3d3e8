"""How much memory large networks take, and networks that are too large for it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from deeplinear._support import memory

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
# xarray loads dask, where it is installed, for the first result.
small = dl.Landscape(dl.Network((512, 1)), regression)
dl.simulate(small, small.network.unflatten(np.ones(512)), dl.GradientDescent(1e-5), steps=1)
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
    each, the basis of Lanczos, 1/8, and what the allocator and the threads take. Some 0.5 MB that
    the imports had at their peak are free again, and are taken first."""
    command = [sys.executable, "-c", PROGRAM, work]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert 0.98 <= float(result.stdout) < 1.25


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


@pytest.fixture(params=["psutil", "without psutil"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Free memory as psutil tells it, and as it is read where psutil is not installed."""
    if request.param == "psutil":
        pytest.importorskip("psutil")
    else:
        monkeypatch.setitem(sys.modules, "psutil", None)  # to import it is an error
    memory._psutil.cache_clear()
    yield request.param
    memory._psutil.cache_clear()


each_way = pytest.mark.usefixtures("either")

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


@each_way
@pytest.mark.parametrize(
    "init",
    [dl.init.Gaussian(1.0), dl.init.Residual(1.0), dl.init.Identity(), dl.init.Orthogonal(1.0)],
)
def test_initial_weights_that_cannot_fit(init: Any) -> None:
    refused(lambda: init.sample(HUGE, 0))


@each_way
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


def test_momentum_and_functions_that_cannot_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the weights move in place, but what a step or a function needs does not fit."""
    network = dl.Network((60, 60, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=60, noise=1.0, seed=0))
    weights = dl.init.Residual(0.5).sample(network, 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 8.0 * network.parameters - 1)
    called: list[Any] = []

    def run(momentum: float, record: Any) -> Any:
        descent = dl.GradientDescent(1e-6, momentum=momentum)
        options: dict[str, Any] = {"overwrite_weights": True, "record": record}
        return dl.simulate(landscape, weights, descent, steps=1, **options)

    assert (run(0.0, "risk").status == "completed").all()
    for momentum, record in ((0.9, "risk"), (0.0, called.append)):
        with pytest.raises(MemoryError, match="what a run has beside its weights of 2 layers"):
            run(momentum, record)
    assert called == []


def test_a_copy_in_single_precision_that_cannot_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = dl.Network((60, 60, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=60, noise=1.0, seed=0))
    available = iter([1e9, 4.0 * network.parameters - 1])  # after the one for a vector
    monkeypatch.setattr(memory, "available_memory", lambda: next(available))
    apart = [np.array(layer) for layer in dl.init.Residual(0.5).sample(network, 0)]
    with pytest.raises(MemoryError, match="a copy of the weights"):
        dl.simulate(landscape, apart, dl.GradientDescent(1e-6), steps=1, dtype="float32")


@each_way
def test_a_hessian_that_cannot_fit() -> None:
    network = dl.Network((1000, 1000, 1))  # 8 TB
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=1000, noise=1.0, seed=0))
    refused(lambda: landscape.hessian(dl.init.Identity().sample(network, 0)))


@each_way
def test_more_seeds_than_can_be_counted_one_by_one() -> None:
    network = dl.Network((3, 3, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=3, noise=1.0, seed=0))
    descent = dl.GradientDescent(0.1)
    refused(lambda: dl.sweep(landscape, dl.init.Identity(), descent, seeds=10**13, steps=1))


@each_way
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


@each_way
def test_spectra_that_cannot_fit() -> None:
    network = dl.Network((1000,) * 300 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=5, d=1000, noise=1.0, seed=0))
    views = network.unflatten(np.broadcast_to(0.0, network.parameters))
    refused(lambda: landscape.compressed_hessian(views))
    refused(lambda: landscape.spectral_density(views, vectors=10**6, steps=10**6))


def test_what_is_free_in_the_machine(
    either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if either == "psutil":
        psutil = memory._psutil()
        assert 0 < memory._free_in_machine() <= psutil.virtual_memory().total
        return
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory._free_in_machine() == float("inf")
    text = "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:    4096 kB\nHugePages_Total:   0\n"
    (tmp_path / "meminfo").write_text(text, encoding="ascii")
    assert memory._free_in_machine() == 4096 * 1024


def write_group(
    folder: Path, names: tuple[str, str, str], most: object, used: int, idle: int
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    limit, usage, inactive = names
    (folder / limit).write_text(f"{most}\n", encoding="ascii")
    (folder / usage).write_text(f"{used}\n", encoding="ascii")
    (folder / "memory.stat").write_text(f"anon 5\n{inactive} {idle}\nslab 7\n", encoding="ascii")


@pytest.mark.parametrize(
    ("line", "root", "names", "unlimited"),
    [
        ("0::", "", ("memory.max", "memory.current", "inactive_file"), "max"),
        (
            "4:memory:",
            "memory",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            2**63 - 4096,
        ),
    ],
    ids=["second version", "first version"],
)
def test_limits_of_control_groups(
    line: str,
    root: str,
    names: tuple[str, str, str],
    unlimited: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The least of what the group and those above it leave, wherever a container shows them."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    monkeypatch.setattr(memory, "_PROC", proc)
    monkeypatch.setattr(memory, "_GROUPS", groups)
    (proc / "self").mkdir(parents=True)

    def free(path: str) -> float:
        text = f"9:name=systemd:/other\n3:cpu,cpuacct:/\n{line}{path}\n"
        (proc / "self/cgroup").write_text(text, encoding="ascii")
        memory._limited_groups.cache_clear()
        return memory._free_in_groups()

    try:
        assert free("/user/job") == float("inf")  # no files
        write_group(groups / root, names, unlimited, 10**9, 0)
        write_group(groups / root / "user", names, 5000, 3000, 700)
        write_group(groups / root / "user/job", names, 10**6, 400, 0)
        assert free("/user/job") == 5000 - 3000 + 700
        write_group(groups / root / "user/job", names, 2000, 400, 1)
        assert free("/user/job") == 1601
        write_group(groups / root / "user/job", names, 2000, 500, 1)  # of now
        assert memory._free_in_groups() == 1501
        assert free("/user") == 2700
        assert free("/") == float("inf")
        write_group(groups / root, names, 800, 300, 0)
        assert free("/../../elsewhere") == 500
    finally:
        memory._limited_groups.cache_clear()


LIMITED = """
import resource, sys
import deeplinear as dl

small, large = dl.Network((2000, 2000, 1)), dl.Network((8000, 8000, 1))  # 32 and 512 MB
dl.init.Gaussian(1.0).sample(dl.Network((3, 3, 1)), 0)
kind = getattr(resource, sys.argv[1])
name = "VmSize:" if kind == resource.RLIMIT_AS else "VmData:"
lines = (line.split() for line in open("/proc/self/status"))
used = 1024 * next(int(words[1]) for words in lines if words[0] == name)
resource.setrlimit(kind, (used + 200_000_000, resource.getrlimit(kind)[1]))
assert dl.init.Gaussian(1.0).sample(small, 0)[0].shape == (2000, 2000)
try:
    dl.init.Gaussian(1.0).sample(large, 0)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says what a process has taken")
@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process(kind: str) -> None:
    command = [sys.executable, "-c", LIMITED, kind]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(
        r"network must fit the memory: weights of 2 layers, widths up to 8000, 64,008,000 "
        r"parameters need 512\.1 MB; \d+(\.\d+)? MB are available\.\n",
        result.stdout,
    )
