"""Where runs are trained: what their results do not depend on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALL_THREADS", "ONE_THREAD", "Machine"]


@dataclass(frozen=True)
class Machine:
    """The threads and the device of runs, as of `deeplinear.simulate`."""

    threads: int | None = None
    device: str = "cpu"


ALL_THREADS = Machine()
ONE_THREAD = Machine(threads=1)
