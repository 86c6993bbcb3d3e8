"""Who works on blocks: this process, processes of its own, or an executor that a person brings."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from deeplinear._support.checks import describe, number_of_threads
from deeplinear._support.files import require
from deeplinear.device import check_device
from deeplinear.machine import ALL_THREADS, ONE_THREAD, Machine

__all__ = ["Here", "Workers", "on", "workers_of"]

#: Seconds in which a client takes leave of its scheduler.
_CLOSING = 0.5


class Workers(ABC):
    """What `drive` asks of those who work."""

    #: Where a block is trained.
    machine = ONE_THREAD

    @abstractmethod
    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand a task to one of them."""

    @abstractmethod
    def count(self) -> int:
        """Count those that are there now."""

    def died(self, error: BaseException) -> bool:
        """Say whether a task ended since its worker did, which is no fault of the task."""
        return isinstance(error, BrokenExecutor)

    def mend(self) -> bool:
        """Replace workers that died; False where that is not ours to do."""
        return False

    def close(self) -> None:  # noqa: B027  (those that a person brings stay open)
        """Let go of them at once."""


class Here(Workers):
    """The driver itself, with all processors: a task is done when it is handed over."""

    def __init__(self, machine: Machine = ALL_THREADS) -> None:
        check_device(machine.device)
        self.machine = machine

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:  # noqa: D102
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # of the task, as of one elsewhere
            future.set_exception(error)
        return future

    def count(self) -> int:  # noqa: D102
        return 1


class Processes(Workers):
    """Spawned processes of our own, one to a processor; they have the devices of this machine."""

    def __init__(self, count: int | None = None, device: str = "cpu") -> None:
        check_device(device)
        self._count = number_of_threads(None) if count is None else count
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._pool.submit(function, *arguments)

    def count(self) -> int:
        return self._count

    def mend(self) -> bool:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._started()
        return True

    def close(self) -> None:
        workers = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:  # a block that is cut short leaves no mark
            worker.kill()


def _begin() -> None:
    """Leave Ctrl-C to the driver, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: Any) -> None:
    wait([sentinel])
    os._exit(1)


class Pool(Workers):
    """An executor that a person brings, as of `concurrent.futures`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._executor.submit(function, *arguments)

    def count(self) -> int:
        for name in ("num_workers", "_max_workers"):  # of mpi4py, and of the standard library
            found = getattr(self._executor, name, None)
            if isinstance(found, int) and found > 0:
                return found
        return number_of_threads(None)


class Cluster(Workers):
    """The workers of a Dask cluster, which come and go.

    Parameters
    ----------
    client : distributed.Client
        The client.
    ours : bool
        Whether nobody else has it.
    """

    def __init__(self, client: Any, ours: bool = False) -> None:
        self._client, self._ours = client, ours
        # The same task is handed over again where its worker died, and must run again.
        self._executor = client.get_executor(pure=False)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(function, *arguments)
        return future

    def count(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError):  # the scheduler is gone, too
            return 0

    def died(self, error: BaseException) -> bool:
        return type(error).__name__ in ("KilledWorker", "CancelledError", "FutureCancelledError")

    def close(self) -> None:
        if self._ours:
            self._client.close(timeout=_CLOSING)


def _ranks() -> Executor:
    """Take the other ranks of the program's own job: what is not there is never waited for."""
    require("An executor of MPI", "mpi4py", extra="mpi")
    from mpi4py.futures import MPIPoolExecutor, _core

    if getattr(_core, "SharedPool", None) is None:
        raise ValueError(
            "MPI must start the program, by 'mpiexec -n N python -m mpi4py.futures'; got one that "
            "was started otherwise."
        )
    ranks: Executor = MPIPoolExecutor()
    return ranks


def workers_of(executor: Any, machine: Machine = ALL_THREADS) -> Workers:
    """Take what `sweep` takes as its executor.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    ImportError
        If what it needs is missing.
    """
    takes = (
        "executor must be None, 'processes', 'mpi', the address of a Dask scheduler, a Dask client "
        "or an executor as of concurrent.futures"
    )
    workers: Workers
    if isinstance(executor, Workers):  # made by a command
        return executor
    if executor is None:
        return Here(machine)
    if isinstance(executor, Executor):
        workers = Pool(executor)
    elif isinstance(executor, str) and executor == "processes":
        workers = Processes(device=machine.device)
    elif isinstance(executor, str) and executor == "mpi":
        workers = Pool(_ranks())
    elif isinstance(executor, str) and "://" in executor:
        require("A Dask cluster", "distributed", extra="cluster")
        from distributed import Client

        workers = Cluster(Client(executor), ours=True)  # type: ignore[no-untyped-call]
    elif isinstance(executor, str):
        raise ValueError(f"{takes}; got {describe(executor)}.")
    elif hasattr(executor, "get_executor"):
        workers = Cluster(executor)
    else:
        raise TypeError(f"{takes}; got {describe(executor)}.")
    return on(workers, machine)


def on(workers: Workers, machine: Machine) -> Workers:
    """Say where blocks are trained: each by one thread where nothing else is said."""
    workers.machine = machine if machine.threads is not None else replace(machine, threads=1)
    return workers
