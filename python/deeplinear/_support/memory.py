"""What fits the memory of this machine, said before work starts."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
# of the second and the first version: the limit, what is used, and of that what can be given back
_GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_NO_LIMIT = 2.0**60  # the first version writes 2^63 less a page
_LINE = 64  # bytes of a cache
_ALWAYS_THERE = 1 << 13  # bytes; to ask the system takes longer than to fill them


def aligned_empty(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return what `numpy.empty` does, beginning at a cache line.

    NumPy's large arrays begin 16 bytes beyond one, so that every wide load takes two.
    """
    size, item = math.prod(shape), np.dtype(dtype).itemsize
    memory = np.empty(size + _LINE // item, dtype)
    skip = -memory.ctypes.data % _LINE // item
    return memory[skip : skip + size].reshape(shape)


def aligned_copy(array: npt.NDArray[Any], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return what `astype` does, beginning at a cache line."""
    copy = aligned_empty(array.shape, dtype)
    with np.errstate(all="ignore"):  # beyond float32 it becomes inf, or zero
        copy[...] = array
    return copy


def available_memory() -> float:
    """Return the bytes that this process can still take; infinite where the system doesn't say."""
    return max(0.0, min(_free_in_machine(), _free_in_groups(), _free_in_limits()))


def _free_in_machine() -> float:
    """Return what can be had without swapping: by psutil, or from where it reads it on Linux."""
    if (known := _psutil()) is not None:
        return float(known.virtual_memory().available)
    return 1024.0 * float(_fields(_PROC / "meminfo").get("MemAvailable:", "inf"))


@cache
def _psutil() -> Any:
    try:
        import psutil
    except ImportError:  # which takes as long every time
        return None
    return psutil


def _free_in_groups() -> float:
    """Return the least that the process's control group and those above it leave.

    Their caches can be given back. psutil knows nothing of groups.
    """
    return min((_free_in_group(*group) for group in _limited_groups()), default=float("inf"))


@cache
def _limited_groups() -> list[tuple[Path, str]]:
    """Return the groups that have a limit, and their controllers: looked for once."""
    found = []
    for line in _lines(_PROC / "self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in _GROUP_FILES:
            continue
        # A container may be shown its group's path outside, where it is the root inside.
        names = [name for name in path.split("/") if name not in ("", "..")]
        groups = (_GROUPS.joinpath(controllers, *names[:i]) for i in range(len(names) + 1))
        found += [(g, controllers) for g in groups if _free_in_group(g, controllers) < _NO_LIMIT]
    return found


def _free_in_group(group: Path, controllers: str) -> float:
    limit, used, inactive = _GROUP_FILES[controllers]
    try:
        most, taken = (float((group / name).read_text(encoding="ascii")) for name in (limit, used))
    except (OSError, ValueError):  # no such group, or "max"
        return float("inf")
    return most - taken + float(_fields(group / "memory.stat").get(inactive, "0"))


def _free_in_limits() -> float:
    """Return what `resource.setrlimit`, or ``ulimit``, leaves of addresses and of data, on Linux.

    From the standard library, as psutil has no more of it.
    """
    taken = [int(pages) for line in _lines(_PROC / "self/statm") for pages in line.split()]
    if not taken:
        return float("inf")
    import resource

    free = float("inf")
    for kind, pages in ((resource.RLIMIT_AS, taken[0]), (resource.RLIMIT_DATA, taken[5])):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, float(limit - pages * resource.getpagesize()))
    return free


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _fields(file: Path) -> dict[str, str]:
    """Read lines of a name and a number, and perhaps a unit."""
    return dict(line.split()[:2] for line in _lines(file))


class _Sized(Protocol):
    """What the sentence of a refusal says of a network."""

    @property
    def widths(self) -> tuple[int, ...]: ...
    @property
    def depth(self) -> int: ...
    @property
    def parameters(self) -> int: ...


def require_memory(what: str, network: _Sized, numbers: float, itemsize: int = 8) -> None:
    """Refuse work that cannot fit.

    Parameters
    ----------
    what : str
        What the numbers are, such as ``"weights"``; the network follows in the sentence.
    network : Network
        The network.
    numbers : float
        How many numbers are about to be allocated.
    itemsize : int, default 8
        The bytes of each.

    Raises
    ------
    MemoryError
        If there is less memory.
    """
    widths = network.widths
    shape = f"{network.depth} layers, widths up to {max(widths)}, {network.parameters:,} parameters"
    require_free("network must fit the memory", f"{what} of {shape}", numbers, itemsize)


def require_free(takes: str, what: str, numbers: float, itemsize: int = 8) -> None:
    """Refuse work that cannot fit, by the sentence ``takes: what need ...``.

    Parameters
    ----------
    takes : str
        Which argument must fit.
    what : str
        What the numbers are.
    numbers, itemsize
        As of `require_memory`.

    Raises
    ------
    MemoryError
        If there is less memory.
    """
    needed = numbers * itemsize
    if needed < _ALWAYS_THERE:
        return
    if needed > (free := available_memory()):
        raise MemoryError(f"{takes}: {what} need {size_of(needed)}; {size_of(free)} are available.")


def size_of(count: float) -> str:
    """Write a number of bytes as people say it."""
    units = ("bytes", "KB", "MB", "GB", "TB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{count / 1000**power:.4g} {units[power]}"
