"""The devices that can train runs: this machine's processor, and NVIDIA's graphics processors."""

from __future__ import annotations

import multiprocessing
import os
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from deeplinear import _core
from deeplinear._support.checks import describe

__all__ = ["Device", "check_device", "device_of_worker", "devices", "number_of_device"]

_MISSING = (
    "deeplinear was built without CUDA: run pip install 'deeplinear[cuda13]', or build it with "
    "--config-settings=cmake.define.DEEPLINEAR_CUDA=ON"
)


@dataclass(frozen=True)
class Device:
    """A device as `devices` finds it.

    Attributes
    ----------
    name : str
        What the argument ``device`` takes: "cpu", "cuda:0", "cuda:1", ...; "cuda" where there is
        none that can be used.
    model : str
        The name that its maker gave it; of the processor, the SIMD level.
    memory : int
        Bytes in all; 0 where that is not known.
    reason : str
        Why it cannot be used; "" where it can.
    """

    name: str
    model: str = ""
    memory: int = 0
    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def devices() -> list[Device]:
    """Find the devices that can train runs.

    Returns
    -------
    list of Device
        The processor first, then the graphics processors; where none of those can be used, one
        entry says why. A device is true where it can be used.

    Examples
    --------
    >>> import deeplinear as dl
    >>> [device.name for device in dl.devices() if device][0]
    'cpu'
    """
    processor = Device("cpu", _core.SIMD_LEVEL)
    module, reason = _module()
    if module is None:
        return [processor, Device("cuda", reason=reason)]
    return [
        processor,
        *(
            Device(f"cuda:{number}", one["name"], one["memory"])
            for number, one in enumerate(module.devices())
        ),
    ]


def number_of_device(device: object) -> int | None:
    """Check the name of a device, which need not be on this machine; None is the processor's.

    Raises
    ------
    TypeError, ValueError
        If it is no name of a device.
    """
    if not isinstance(device, str):
        raise TypeError(f"device must be a string; got {describe(device)}.")
    found = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", device)
    if not found:
        raise ValueError(
            f"device must be 'cpu', 'cuda' or 'cuda:0', 'cuda:1', ...; got {device!r}."
        )
    return None if device == "cpu" else int(found[1] or 0)


def check_device(device: object) -> Any:
    """Check the name of a device; the core's handle of it, and None for the processor.

    Raises
    ------
    TypeError, ValueError
        If it is no name of a device, or the device cannot be used: what helps.
    """
    number = number_of_device(device)
    if number is None:
        return None
    module, reason = _module()
    if module is None:
        raise ValueError(f"device must be 'cpu' here, since {reason}; got {device!r}.")
    count = len(module.devices())
    if number >= count:
        last = f"cuda:{count - 1}"
        raise ValueError(f"device must be 'cpu' or up to {last!r} on this machine; got {device!r}.")
    return module.table(number)


#: What starts several processes on a machine calls the number of one there.
_RANKS = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")


def device_of_worker(device: str) -> str:
    """Give every worker of a machine a graphics processor of its own, where "cuda" names none.

    Workers beyond the number of processors share them. What counts is the number that a batch
    system or MPI gives a process, or else that of a process of a pool.
    """
    if device != "cuda":
        return device
    module, _ = _module()
    count = 0 if module is None else len(module.devices())
    ranks = [os.environ[name] for name in _RANKS if os.environ.get(name, "").isdecimal()]
    pooled = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    rank = int(ranks[0]) if ranks else int(pooled[1]) - 1 if pooled else 0
    return f"cuda:{rank % count}" if count else device


def _module() -> tuple[ModuleType | None, str]:
    """Import the module for graphics processors; None, and why, where none can be used."""
    module = _imported()
    if isinstance(module, str):
        return None, module
    if _core.device_table_version() != module.TABLE_VERSION:
        version = _core.build_config()["version"]
        return None, f"deeplinear is {version}, and its part for CUDA is {module.VERSION}"
    if failure := module.failure():
        return None, failure
    return module, ""


def _imported() -> ModuleType | str:
    """Import the module for graphics processors, or say why that cannot be done."""
    found = _core.cuda_modules()
    modules = [one for one in found if isinstance(one, ModuleType)]
    if modules:
        return modules[0]
    broken = [one for one in found if not isinstance(one, ModuleNotFoundError)]
    return f"its part for CUDA cannot be loaded ({broken[0]})" if broken else _MISSING
