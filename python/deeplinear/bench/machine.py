"""What this machine is, and what it can do at most."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from deeplinear import _core
from deeplinear.bench.baselines import processors

__all__ = ["ARITHMETIC", "READ", "READ_READ_WRITE", "Limits", "describe_machine", "use_processors"]

#: The kinds of limit: operations per second, and bytes per second of two patterns.
ARITHMETIC, READ, READ_READ_WRITE = "arithmetic", "read", "read-read-write"

PACKAGES = ("numpy", "scipy", "numba", "jax", "diffrax", "torch")
SECONDS = 0.1  # of one measurement


@dataclass
class Limits:
    """The rates that were measured so far, per second, one after another.

    Attributes
    ----------
    arithmetic : dict
        Floating-point operations, by (dtype, threads).
    read, read_read_write : dict
        Bytes, by (bytes of the array, threads).
    """

    arithmetic: dict[tuple[str | int, int], list[float]] = field(default_factory=dict)
    read: dict[tuple[str | int, int], list[float]] = field(default_factory=dict)
    read_read_write: dict[tuple[str | int, int], list[float]] = field(default_factory=dict)

    def measure(self, kind: str, of: str | int, threads: int) -> None:
        """Measure once more.

        Parameters
        ----------
        kind : str
            The kind of limit.
        of : str or int
            The dtype of the arithmetic, or the bytes of the array.
        threads : int
            On how many threads.
        """
        key = of, threads
        if kind == ARITHMETIC:
            rate = _core.multiply_add_rate(str(of), threads, SECONDS)
            self.arithmetic.setdefault(key, []).append(rate)
            return
        repetitions = min(max(int(1e9) // int(of), 3), 1000)
        read, step = _core.memory_bandwidth(threads, int(of), repetitions)
        self.read.setdefault(key, []).append(read)
        self.read_read_write.setdefault(key, []).append(step)

    def latest(self, kind: str, of: str | int, threads: int) -> float:
        """Look up what was measured last."""
        return self._rates(kind)[of, threads][-1]

    def sentence(self, kind: str, of: str | int) -> str:
        """Say what was measured, by threads: the median, and the largest."""
        by_threads = ", ".join(
            f"{median(rates) / 1e9:.3g} (at most {max(rates) / 1e9:.3g}) on {threads}"
            for (what, threads), rates in sorted(self._rates(kind).items(), key=lambda x: x[0][1])
            if what == of
        )
        if kind == ARITHMETIC:
            return f"Arithmetic peak, {of}, GFLOP/s by threads: {by_threads}."
        return f"Memory, {kind}, {int(of) / 1e6:.3g} MB, GB/s by threads: {by_threads}."

    def _rates(self, kind: str) -> dict[tuple[str | int, int], list[float]]:
        if kind == ARITHMETIC:
            return self.arithmetic
        return self.read if kind == READ else self.read_read_write

    def to_json(self) -> dict[str, Any]:
        """Give all rates, per second, as JSON takes them."""
        return {
            "arithmetic": [
                {"dtype": dtype, "threads": threads, "flops": rates}
                for (dtype, threads), rates in self.arithmetic.items()
            ],
            "memory": [
                {
                    "array_bytes": size,
                    "threads": threads,
                    "read": rates,
                    "read_read_write": self.read_read_write[size, threads],
                }
                for (size, threads), rates in self.read.items()
            ],
        }


def describe_machine() -> dict[str, Any]:
    """Describe the processor, the system, this package and what it is compared with."""
    config = _core.build_config()
    return {
        "processor": _processor(),
        "processors": processors(),
        "caches": _caches(),
        "system": platform.platform(aliased=True, terse=True),
        "python": platform.python_version(),
        "deeplinear": config["version"],
        "simd": config["simd"],
        "compiler": config["compiler"],
        "packages": {name: version(name) for name in PACKAGES if find_spec(name) is not None},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _caches() -> list[str]:
    """Sizes by level, of instructions left out, such as "L2 512K"."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = (
                (folder / name).read_text(encoding="utf-8").strip()
                for name in ("type", "level", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return found


def use_processors(count: int) -> None:
    """Keep this process, and the libraries that it has yet to load, on so many processors.

    Parameters
    ----------
    count : int
        Where the system can't, or there are less, it stays as it is. The BLAS of NumPy is there
        already; threadpoolctl, where installed, tells it.
    """
    if hasattr(os, "sched_setaffinity") and count < processors():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        return
    threadpool_limits(limits=min(count, processors()), user_api="blas")
