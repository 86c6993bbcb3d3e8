"""Where runs are trained: what their results do not depend on."""

from __future__ import annotations

from dataclasses import dataclass

from deeplinear._support.checks import number_of_threads
from deeplinear.device import number_of_device

__all__ = ["ALL_THREADS", "ONE_THREAD", "Machine"]


@dataclass(frozen=True)
class Machine:
    """The threads and the device of runs, as of `deeplinear.simulate`."""

    threads: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        # That the device is there is for the machine to say, which may be another one.
        number_of_device(self.device)
        if self.threads is not None:
            number_of_threads(self.threads)


ALL_THREADS = Machine()
ONE_THREAD = Machine(threads=1)
