"""What fits the memory of this machine, said before work starts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from deeplinear.network import Network

_CGROUP = Path("/sys/fs/cgroup")
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
    return min(_free_in_machine(), _free_in_group())


def _free_in_machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    free = fields.get("MemAvailable")
    return float("inf") if free is None else 1024.0 * int(free.split()[0])


def _free_in_group() -> float:
    """Return what the limit of the process's control group leaves; its caches can be given back."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return float("inf")
    if limit == "max":
        return float("inf")
    inactive = dict(line.split() for line in lines).get("inactive_file", "0")
    return int(limit) - used + float(inactive)


def require_memory(what: str, network: Network, numbers: float, itemsize: int = 8) -> None:
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
        raise MemoryError(f"{takes}: {what} need {_size(needed)}; {_size(free)} are available.")


def _size(count: float) -> str:
    units = ("bytes", "KB", "MB", "GB", "TB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{count / 1000**power:.4g} {units[power]}"
