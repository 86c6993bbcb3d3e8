"""Threads that cannot start, stacks that are too small, and other interpreters of a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import deeplinear as dl
from deeplinear import _core

THREADS = 6
SPARE = 2  # that a look leaves to the rest of the process

openmp = pytest.mark.skipif(not _core.build_config()["openmp"], reason="built without threads")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


# ---- A process in which few threads run ----------------------------------------------------------

# Fails like a system of so many threads: by those that run at a time, not by those ever started.
SHIM = """
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <dlfcn.h>
#include <pthread.h>

static std::atomic<int> running{0}, asked_for{0};

struct Call {
  void* (*run)(void*);
  void* argument;
};

struct End {
  ~End() { --running; }
};

static void* count(void* given) {
  const Call call = *static_cast<Call*>(given);
  delete static_cast<Call*>(given);
  const End end;
  return call.run(call.argument);
}

extern "C" int threads_asked_for() { return asked_for; }

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) {
  static const auto create =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  static const int most = std::atoi(std::getenv("MOST_THREADS"));
  ++asked_for;
  if (++running > most) {
    --running;
    return EAGAIN;
  }
  const int error = create(thread, attributes, count, new Call{run, argument});
  if (error) --running;
  return error;
}
"""

# Everything in the core that takes threads; `numbers` depend on them to no bit.
SCRIPT = """
import ctypes, json, sys, warnings
import numpy as np
import deeplinear as dl
from deeplinear import _core

def problem(widths, threads, **options):
    network = dl.Network(widths, **options)
    data = dl.gaussian_regression(n=300, d=widths[0], noise=1.0, seed=0)
    return dl.Landscape(network, data, threads=threads)

def numbers(threads):
    small, large = (problem(w, threads) for w in ((5, 5, 5, 1), (400, 400, 400, 400, 1)))
    curved = problem((20, 30, 1), threads, activation="gelu")
    weights = dl.init.Residual(0.5).sample(large.network, 0)
    descent = dl.GradientDescent(1e-3)
    yield dl.sweep(
        small, dl.init.Gaussian(0.3), descent, seeds=300, steps=20, threads=threads, progress=False
    ).risk.values
    for dtype in ("float64", "float32"):
        yield dl.simulate(
            large, weights, descent, steps=2, record=("risk", "sharpness"), threads=threads,
            dtype=dtype,
        ).weights.values
    yield large.sharpness(weights).value, large.risk(weights)
    yield large.hessian_vector_product(weights, weights)[0]
    yield curved.sharpness(dl.init.Gaussian(0.5).sample(curved.network, 0)).value
    yield _core.all_finite(np.ones(1 << 21), threads)
    rates = _core.multiply_add_rate("float64", threads, 0.01), _core.memory_bandwidth(
        threads, 1 << 20, 3
    )
    yield rates[0] > 0 and min(rates[1]) > 0

threads = int(sys.argv[1])
shim = ctypes.CDLL(None)
count = getattr(shim, "threads_asked_for", lambda: 0)
before = count()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    alone = [np.asarray(x) for x in numbers(1)]
    by_one = count() - before
    together = [np.asarray(x) for x in numbers(threads)]
print(json.dumps({
    "same": [np.array_equal(a, b) for a, b in zip(alone, together, strict=True)],
    "by_one": by_one,
    "by_all": count() - before,
    "warnings": [[w.category.__name__, str(w.message)] for w in caught],
}))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    if (compiler := shutil.which("g++")) is None:
        pytest.skip("g++ is not there")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.cpp").write_text(SHIM)
    library = str(folder / "shim.so")
    command = [compiler, "-shared", "-fPIC", str(folder / "shim.cpp"), "-o", library, "-ldl"]
    subprocess.run(command, check=True)
    return library


def python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    alone = "import sys; sys.modules['pyarrow'] = None\n"  # pandas' pyarrow starts a thread
    return subprocess.run(
        [sys.executable, "-c", alone + script, *arguments],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def numbers(**environment: str) -> dict[str, Any]:
    result = python(SCRIPT, str(THREADS), **environment)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert all(found["same"]), found["same"]
    return found


@openmp
@linux
@pytest.mark.parametrize("most", [0, 1, SPARE + 1, SPARE + THREADS - 2, SPARE + THREADS - 1])
def test_the_work_goes_on_with_those_that_start(shim: str, most: int) -> None:
    found = numbers(LD_PRELOAD=shim, MOST_THREADS=str(most))
    can_run = 1 + max(0, most - SPARE)
    if can_run == THREADS:
        assert not found["warnings"]
        return
    category, sentence = found["warnings"][0]
    assert category == "RuntimeWarning"
    assert sentence.startswith(f"Of {THREADS} threads {can_run} can run here, ")
    assert sentence.endswith(f"the work goes on with {can_run}, to the same result.")


@openmp
@linux
def test_one_thread_starts_none(shim: str) -> None:
    found = numbers(LD_PRELOAD=shim, MOST_THREADS="100")
    assert found["by_one"] == 0
    assert found["by_all"] >= THREADS - 1


@openmp
@linux
@pytest.mark.parametrize(
    ("stack", "kib"), [("16K", 16), ("32", 32), (" 64 k ", 64), ("1 M", None), ("junk", None)]
)
def test_a_stack_that_is_too_small(stack: str, kib: int | None) -> None:
    found = numbers(OMP_STACKSIZE=stack)
    if kib is None:
        assert not found["warnings"]
        return
    category, sentence = found["warnings"][0]
    assert category == "RuntimeWarning"
    assert sentence.startswith("OMP_STACKSIZE, or the limit of the stack (ulimit -s), gives ")
    assert f" a thread {kib} KiB, and the work needs 512: it goes on with one thread, " in sentence


# ---- A warning that is an error ------------------------------------------------------------------

STOPPED = """
import warnings
import deeplinear as dl
network = dl.Network((300, 300, 300, 1))
landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=300, noise=1.0, seed=0), threads=1)
weights = dl.init.Residual(0.5).sample(network, 0)
before = [layer.copy() for layer in weights]
def train(threads):
    return dl.simulate(
        landscape, weights, dl.GradientDescent(1e-3), steps=2, threads=threads,
        overwrite_weights=True,
    )
warnings.simplefilter("error")
try:
    train(4)
except RuntimeWarning as warning:
    print(warning, [(a == b).all().item() for a, b in zip(weights, before)])
print(train(1).status.values)
"""


@openmp
@linux
def test_a_warning_that_is_an_error_comes_before_the_work(shim: str) -> None:
    result = python(STOPPED, LD_PRELOAD=shim, MOST_THREADS="0")
    assert result.returncode == 0, result.stderr
    first, last = result.stdout.splitlines()
    assert first.startswith("Of 4 threads 1 can run here, ")
    assert first.endswith("[True, True, True]")
    assert last == "['completed']"


# ---- Limits of the system ------------------------------------------------------------------------

# In a process of its own for each limit, forked from one that has no threads yet.
LIMITED = """
import os, resource, sys, warnings
import deeplinear as dl
network = dl.Network((300, 300, 300, 1))
data = dl.gaussian_regression(n=600, d=300, noise=1.0, seed=0)
landscape = dl.Landscape(network, data, threads=8)
weights = dl.init.Residual(0.5).sample(network, 0)
expected = dl.Landscape(network, data, threads=1).risk(weights)
dl.simulate(landscape, weights, dl.GradientDescent(1e-4), steps=1, threads=1)  # xarray loads dask
warnings.simplefilter("ignore")

def train():
    try:
        dataset = dl.simulate(landscape, weights, dl.GradientDescent(1e-4), steps=2, threads=8)
    except MemoryError as error:
        return str(error).endswith(("is not enough for this call.", " are available."))
    return dataset.risk.values[0, 0] == expected == landscape.risk(weights)

def limit_processes(count):
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1 + count, 1 + count))

def limit_memory(mebibytes):
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (mebibytes << 20),) * 2)

limit = {"processes": limit_processes, "memory": limit_memory}[sys.argv[1]]
for most in map(int, sys.argv[2:]):
    if os.fork() == 0:
        code = 2
        try:
            limit(most)
            code = 0 if train() else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.wait()[1])
    if code:
        print(most, "ended with", code)
"""


@openmp
@linux
def test_a_limit_of_processes() -> None:
    if os.geteuid() != 0:
        pytest.skip("not root, who alone may become another user")
    result = python(LIMITED, "processes", *map(str, range(10)))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


@openmp
@linux
def test_a_limit_of_memory() -> None:
    """Each ends in whole data, or in a sentence where not even one thread has the memory."""
    sizes = (0, 2, 5, 9, 14, 20, 27, 35, 44, 54, 65, 80, 120, 200)
    result = python(LIMITED, "memory", *map(str, sizes))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


# ---- Other threads and interpreters of the process -----------------------------------------------


@pytest.mark.core
def test_callers_that_change_their_number_of_threads() -> None:
    network = dl.Network((260, 260, 1))
    data = dl.gaussian_regression(n=20, d=260, noise=1.0, seed=0)
    landscapes = [dl.Landscape(network, data, threads=threads) for threads in (1, 2, 4, 3)]
    weights = dl.init.Residual(0.5).sample(network, 0)
    expected = landscapes[0].risk(weights)
    found: list[float] = []

    def call() -> None:
        found.extend(landscape.risk(weights) for _ in range(3) for landscape in landscapes)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 36


@pytest.mark.core
def test_a_call_within_a_call_has_one_thread() -> None:
    network = dl.Network((260, 260, 1))
    data = dl.gaussian_regression(n=20, d=260, noise=1.0, seed=0)
    landscape = dl.Landscape(network, data, threads=3)
    weights = dl.init.Residual(0.5).sample(network, 0)
    found: list[float] = []

    def progress(share: float) -> None:
        found.append(landscape.risk(weights))

    dl.simulate(
        landscape, weights, dl.GradientDescent(1e-6), steps=400, every=None, threads=2,
        progress=progress,
    )  # fmt: skip
    assert set(found) == {landscape.risk(weights)}


POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import deeplinear as dl
network = dl.Network((260, 260, 1))
data = dl.gaussian_regression(n=20, d=260, noise=1.0, seed=0)
landscape = dl.Landscape(network, data, threads=2)
weights = dl.init.Residual(0.5).sample(network, 0)
if __name__ == "__main__":
    risk = landscape.risk(weights)
    with ProcessPoolExecutor(2, mp_context=get_context(sys.argv[1])) as pool:
        print([pool.submit(landscape.risk, weights).result() == risk for _ in range(4)])
"""


@linux
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes(tmp_path: Path, method: str) -> None:
    """Forked ones have lost the parent's threads and take one, others their own."""
    (tmp_path / "pool.py").write_text(POOL)
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(tmp_path / "pool.py"), method],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.stdout.strip() == "[True, True, True, True]", result.stderr


INTERPRETERS = next(
    (name for name in ("_interpreters", "_xxsubinterpreters") if find_spec(name)), None
)
IMPORT = """
import os, sys
import {interpreters} as interpreters
{first}
for _ in range(2):
    interpreters.run_string(interpreters.create(), '''
import os
try:
    import deeplinear
except ImportError as error:
    os.write(1, str(error).encode())
os.write(1, bytes([10]))
''')
import deeplinear
os.write(1, repr(deeplinear.Network((2, 1)).widths).encode())
os._exit(0)
"""


@pytest.mark.skipif(INTERPRETERS is None, reason="this Python has no module of interpreters")
@pytest.mark.parametrize("first", ["", "import deeplinear"])
def test_a_subinterpreter_is_told(first: str) -> None:
    """It hung: the core waited for the main interpreter, which waited for this one."""
    result = python(IMPORT.format(interpreters=INTERPRETERS, first=first))
    sentence = (
        "deeplinear can't be imported in a subinterpreter; import it in the main one, or in a "
        "process of its own."
    )
    assert result.stdout.splitlines() == [sentence, sentence, "(2, 1)"], result.stderr


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python always has its lock"
)
def test_the_global_lock_stays_off() -> None:
    script = "import sys, deeplinear; print(sys._is_gil_enabled())"
    assert python(script, PYTHON_GIL="").stdout == "False\n"
