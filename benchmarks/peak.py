"""What this machine can do at most: ``python -m benchmarks.peak``."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-std=c++17", "-shared", "-fPIC")
REPETITIONS = 3


@dataclass(frozen=True)
class Peak:
    """Rates by (dtype, threads), in GFLOP/s, and by threads, in GB/s."""

    arithmetic: dict[tuple[str, int], float]
    bandwidth: dict[int, float]

    def describe(self) -> str:
        flops = ", ".join(f"{d} on {n}: {x:.0f}" for (d, n), x in self.arithmetic.items())
        bytes_ = ", ".join(f"on {n}: {x:.0f}" for n, x in self.bandwidth.items())
        return f"peak GFLOP/s by threads: {flops}; triad GB/s {bytes_}"


def measure(seconds: float = 0.2) -> Peak | None:
    """The best of a few repetitions; None without a C++ compiler."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        source = Path(__file__).with_name("peak.cpp")
        subprocess.run([compiler, *FLAGS, str(source), "-o", str(library)], check=True)
        kernels = ctypes.CDLL(str(library))
    threads = sorted({1, os.cpu_count() or 1})
    arithmetic = {
        (dtype, n): _best(n, _multiply_add(kernels, dtype, seconds)) / 1e9
        for dtype in ("float64", "float32")
        for n in threads
    }
    return Peak(arithmetic, {n: _best(n, _triad(kernels, seconds)) / 1e9 for n in threads})


def _best(threads: int, work: Callable[[int], float]) -> float:
    """Summed over threads that start together; ctypes releases the interpreter's lock."""
    with ThreadPoolExecutor(threads) as pool:
        return max(sum(pool.map(work, range(threads))) for _ in range(REPETITIONS))


def _multiply_add(kernels: ctypes.CDLL, dtype: str, seconds: float) -> Callable[[int], float]:
    kernel = getattr(kernels, f"multiply_add_rate_{dtype}")
    kernel.argtypes, kernel.restype = [ctypes.c_double], ctypes.c_double
    return lambda _: kernel(seconds)


def _triad(kernels: ctypes.CDLL, seconds: float) -> Callable[[int], float]:
    kernel = kernels.triad_rate
    pointer = np.ctypeslib.ndpointer(np.float64, flags="C")
    kernel.argtypes = [pointer, pointer, pointer, ctypes.c_size_t, ctypes.c_double]
    kernel.restype = ctypes.c_double
    size = 8_000_000  # 64 MB per array and thread: beyond the caches
    arrays: dict[int, list[np.ndarray]] = {}

    def work(thread: int) -> float:
        if thread not in arrays:
            arrays[thread] = [np.ones(size) for _ in range(3)]
        return kernel(*arrays[thread], size, seconds)

    return work


if __name__ == "__main__":
    found = measure()
    print("no C++ compiler" if found is None else found.describe())
