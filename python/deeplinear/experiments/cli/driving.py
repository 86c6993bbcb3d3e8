"""What ``deeplinear sweep`` and ``deeplinear work`` do: finish blocks, and say where that ended."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deeplinear._support.checks import number_of_threads, positive_integer
from deeplinear._support.memory import size_of
from deeplinear._support.progress import progress_text
from deeplinear.description import Sweep
from deeplinear.experiments.cli import (
    FAILED_BLOCKS,
    INTERRUPTED,
    NO_STORE,
    NO_WORKERS,
    RESUMABLE,
)
from deeplinear.experiments.cli.described import described
from deeplinear.experiments.cli.endings import one_sentence, stop
from deeplinear.machine import Machine
from deeplinear.store.blocks import seconds_of
from deeplinear.store.drive import Progress, drive
from deeplinear.store.errors import NoWorkers, StoreError
from deeplinear.store.executors import Here, Processes, Workers, on, workers_of
from deeplinear.store.layout import create
from deeplinear.store.log import BlockLog
from deeplinear.store.opened_store import Store, opened
from deeplinear.store.run import seconds_of_budget
from deeplinear.store.work import Worked

__all__ = [
    "Work",
    "check_engine",
    "duration",
    "store_endings",
    "sweep_file",
    "work_on",
    "workers_by",
]

#: What batch systems call the number of a task of an array, and of a process of a task.
_TASKS = ("SLURM_ARRAY_TASK_ID", "PBS_ARRAY_INDEX", "SGE_TASK_ID", "LSB_JOBINDEX")
_PROCESS = "SLURM_PROCID"


@dataclass(frozen=True)
class Work:
    """What both commands take.

    Attributes
    ----------
    budget : str or None
        When to begin no more blocks.
    threads : int or None
        The threads of a block.
    log : Path or None
        Where a line for every block goes.
    device : str
        Who takes the steps, as of `deeplinear.simulate`.
    """

    budget: str | None
    threads: int | None
    log: Path | None
    device: str = "cpu"

    @property
    def seconds(self) -> float | None:
        """The budget in seconds."""
        return seconds_of_budget(self.budget)

    @property
    def machine(self) -> Machine:
        """Where blocks are trained."""
        return Machine(self.threads, self.device)

    def check(self) -> None:
        """Check the arguments before anything is made."""
        if self.threads is not None:
            positive_integer("--threads", self.threads)
        _ = self.machine
        _ = self.seconds


@contextmanager
def store_endings() -> Iterator[None]:
    """End with a sentence, and the status that says what it is about."""
    try:
        with one_sentence():
            yield
    except StoreError as error:
        stop(str(error), NO_STORE)
    except NoWorkers as error:
        stop(str(error), NO_WORKERS)


def sweep_file(
    file: Path,
    where: str | None,
    work: Work,
    *,
    processes: int | None,
    dask: str | None,
    mpi: bool,
    dry_run: bool,
    part: int | None,
) -> None:
    """Make the store of a sweep where it is not there, and finish what is left of it."""
    with store_endings():
        check_engine(processes, dask, mpi)
        work.check()
        sweep = described(file, part)
        if dry_run:
            _print_plan(sweep)
            return
        if where is None:
            raise ValueError("--store must say where the runs are kept; got nothing.")
        workers = workers_by(processes, dask, mpi, work.machine)
        try:
            _finish(create(where, sweep), workers, work)
        finally:
            workers.close()


def work_on(where: str, work: Work) -> None:
    """Finish what is left of a store, beside others that do the same."""
    with store_endings():
        work.check()
        _finish(opened(where), Here(work.machine), work)


def check_engine(processes: int | None, dask: str | None, mpi: bool) -> None:
    """Check who is to work, before anything is made."""
    if sum((processes is not None, dask is not None, mpi)) > 1:
        raise ValueError("one of --processes, --dask and --mpi must be given; got several.")
    if processes is not None:
        positive_integer("--processes", processes)


def workers_by(processes: int | None, dask: str | None, mpi: bool, machine: Machine) -> Workers:
    """Return who is to work."""
    if processes is None and dask is None:
        return workers_of("mpi" if mpi else None, machine)
    if dask is not None:
        if "://" not in dask:
            raise ValueError(
                "--dask must be the address of a scheduler, such as tcp://10.0.0.1:8786; "
                f"got {dask!r}."
            )
        try:
            return workers_of(dask, machine)
        except OSError as error:
            reason = str(error).partition("\n")[0].removesuffix(".")
            stop(f"--dask {dask} could not be reached: {reason}.", NO_WORKERS)
    workers = Processes(processes, machine.device)
    return on(workers, machine)


def _place() -> int:
    """Return a number that differs between the tasks of an array, or else between processes."""
    for name in _TASKS:
        task, process = os.environ.get(name, ""), os.environ.get(_PROCESS, "")
        if task.isdecimal():
            return zlib.crc32(f"{task} {process}".encode())
    return zlib.crc32(f"{socket.gethostname()} {os.getpid()}".encode())


def _finish(store: Store, workers: Workers, work: Work) -> None:
    """Finish what is left, show how far it is, and say how it ended."""
    log = None if work.log is None else BlockLog("--log", work.log, store)
    shown = _Shown(Progress(store.blocks.count, 0))
    try:
        with progress_text() as show:

            def report(progress: Progress) -> None:
                shown.take(progress)
                show(progress.done / progress.blocks, shown.text)
                if log is not None:
                    log.report(progress)

            def finished(worked: Worked) -> None:
                if log is not None:
                    log.finished(worked)

            ended = drive(
                store,
                workers,
                budget=work.seconds,
                order=_place(),
                report=report,
                finished=finished,
            )
    except KeyboardInterrupt:
        stop(f"stopped; {shown.there}, and the same command goes on with the rest.", INTERRUPTED)
    except (StoreError, BrokenPipeError):
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        stop(f"{error.filename or 'a file'} could not be written: {reason}; {shown.there}.", 1)
    _say_end(shown, ended)


def _say_end(shown: _Shown, ended: Progress) -> None:
    failed = f", {len(ended.failed):,} failed" if ended.failed else ""
    if ended.left == "budget":
        stop(
            f"the budget is over; {shown.there}{failed}, and the same command goes on with the "
            "rest.",
            RESUMABLE,
        )
    if ended.failed:
        index, text = next(iter(ended.failed.items()))
        stop(
            f"{shown.there}{failed}; the first, {index}, said: {text.splitlines()[0]}; 'deeplinear "
            "status' lists them, and the same command tries them again.",
            FAILED_BLOCKS,
        )
    took = f"; {ended.runs:,} runs in {duration(ended.seconds)}" if ended.runs else ""
    print(f"{shown.there}{took}.")


class _Shown:
    """What is shown of a drive."""

    def __init__(self, progress: Progress) -> None:
        self._first: int | None = None
        self._progress = progress

    def take(self, progress: Progress) -> None:
        self._first = progress.done if self._first is None else self._first
        self._progress = progress

    @property
    def there(self) -> str:
        """How many blocks are done."""
        return f"{self._progress.done:,} of {self._progress.blocks:,} blocks are done"

    @property
    def text(self) -> str:
        """Blocks, runs, steps a second, and the time that is left."""
        p = self._progress
        text = f"{p.done:,} of {p.blocks:,} blocks, {p.runs:,} runs"
        new = p.done - (self._first or 0)
        if new and p.seconds > 0:
            left = (p.blocks - p.done) * p.seconds / new
            text += f", {p.steps / p.seconds:.2g} steps/s, {duration(left)} left"
        return text


def duration(seconds: float) -> str:
    """Write seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if minutes < 100:
        return f"{minutes:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{days:.0f} days"


def _print_plan(sweep: Sweep) -> None:
    """Say what a sweep would take, and make nothing."""
    from zarr.storage import MemoryStore

    store = create(MemoryStore(), sweep)
    outer = [seconds_of(sweep, landscape) for _, landscape in sweep.landscapes()]
    seconds = sweep.runs * sum(outer) / len(outer)
    count = number_of_threads(None)
    stored = sum(store.group[name].nbytes for name in store.variables)
    sizes = ", ".join(f"{name} {size:,}" for name, size in sweep.sizes.items())
    shape = " x ".join(map(str, store.blocks.shape))
    print(f"dimensions  {sizes}")
    print(f"runs        {sweep.runs:,}")
    print(f"blocks      {store.blocks.count:,}, of {shape} runs")
    print(f"time        about {duration(seconds)} of one processor, ", end="")
    print(f"{duration(seconds / count)} of the {count} here")
    print(f"store       at most {size_of(stored)}")
