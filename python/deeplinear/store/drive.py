"""What is left of a store, handed to those who work, until nothing is or time is up."""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace

from deeplinear.store.blocks import Index
from deeplinear.store.errors import NoWorkers, StoreError
from deeplinear.store.executors import Here, Workers
from deeplinear.store.opened_store import Store
from deeplinear.store.repair import sweep_litter
from deeplinear.store.work import Worked, give_up, work

__all__ = ["Progress", "drive"]

#: Tasks in flight for each worker: the next is there when one ends, and few are lost with a driver.
_WINDOW = 3
#: How often a block is tried, and how often its worker may die.
_ATTEMPTS, _DEATHS = 3, 10
#: Seconds without any worker after which nobody is waited for: where there were some, and where the
#: first are still to come, from the queue of a cluster.
PATIENCE, PATIENCE_AT_START = 50.0, 3600.0
_TICK = 1.0


@dataclass
class Progress:
    """Where a drive stands.

    Attributes
    ----------
    blocks, done : int
        Blocks in all, and those that are finished.
    runs, steps : int
        What this drive has trained.
    seconds : float
        How long it has worked.
    failed : dict
        What failed blocks said.
    left : str
        Why it ended before all was done: "budget", or nothing.
    """

    blocks: int
    done: int
    runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    writing: float = 0.0
    failed: dict[Index, str] = field(default_factory=dict)
    left: str = ""

    @property
    def complete(self) -> bool:
        """Whether every block is finished."""
        return self.done == self.blocks


def drive(
    store: Store,
    workers: Workers,
    *,
    budget: float | None = None,
    order: int | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    finished: Callable[[Worked], None] = lambda worked: None,
) -> Progress:
    """Finish the blocks that are left.

    Parameters
    ----------
    store : Store
        The store.
    workers : Workers
        Who works.
    budget : float, optional
        Seconds after which no block is begun.
    order : int, optional
        What the order of those that are left is drawn from, so that several drivers meet seldom;
        by default the number of this process.
    report : callable
        Called when a block has ended, and every second at least.
    finished : callable
        Called with what became of every block that a worker of this drive has finished.

    Returns
    -------
    Progress
        Where it ended.

    Raises
    ------
    StoreError
        If the store cannot be used: nothing more is tried.
    NoWorkers
        If all are gone for a minute, or the first do not come within an hour.
    KeyboardInterrupt
        On Ctrl-C; blocks that were begun are given up, and run again another time.
    """
    driver = _Drive(store, workers, budget, report, finished)
    return driver.run(os.getpid() if order is None else order)


@dataclass(frozen=True)
class _Task:
    """A block, how often it was tried, and how often its worker died."""

    index: Index
    again: bool
    attempt: int = 0
    deaths: int = 0


class _Drive:
    def __init__(
        self,
        store: Store,
        workers: Workers,
        budget: float | None,
        report: Callable[[Progress], None],
        finished: Callable[[Worked], None],
    ) -> None:
        self._finished = finished
        self._store, self._workers, self._budget, self._report = store, workers, budget, report
        self._start = time.monotonic()
        self._queue: deque[_Task] = deque()
        self._running: dict[Future[Worked], _Task] = {}
        self._seen, self._patience = self._start, PATIENCE_AT_START
        self.progress = Progress(store.blocks.count, 0)

    def run(self, order: int) -> Progress:
        sweep_litter(self._store)
        done, failed = self._store.done(), self._store.failed()
        self.progress.done = len(done - failed.keys())
        left = [
            _Task(index, index in failed)
            for index in self._store.blocks
            if index not in done or index in failed
        ]
        # Drivers that begin elsewhere and go on in one order would meet, and then train the same.
        random.Random(order).shuffle(left)
        self._queue.extend(left)
        self._report(self.progress)
        try:
            while self._queue or self._running:
                self._hand_over()
                if not self._running:
                    break
                self._collect()
        except BaseException:
            for future in self._running:
                future.cancel()
            raise
        return self.progress

    def _over(self) -> bool:
        self.progress.seconds = time.monotonic() - self._start
        over = self._budget is not None and self.progress.seconds >= self._budget
        if over and self._queue:
            self.progress.left = "budget"
        return over

    def _hand_over(self) -> None:
        """Keep a few tasks in flight for every worker."""
        window = 1 if isinstance(self._workers, Here) else max(_WINDOW * self._workers.count(), 1)
        while self._queue and len(self._running) < window and not self._over():
            task = self._queue.popleft()
            tried = task.attempt + task.deaths
            arguments = (self._store.path, task.index, tried, self._workers.machine, task.again)
            try:
                future = self._workers.submit(work, *arguments)
            except Exception as error:
                self._queue.appendleft(task)
                if not self._workers.died(error) or not self._workers.mend():
                    raise
                return
            self._running[future] = task

    def _collect(self) -> None:
        ready, _ = wait_for(self._running, timeout=_TICK, return_when=FIRST_COMPLETED)
        now = time.monotonic()
        if ready or self._workers.count() > 0:
            self._seen, self._patience = now, PATIENCE
        elif now - self._seen > self._patience:
            raise NoWorkers(
                "all workers are gone; what is finished is in the store, and the same command goes "
                "on with the rest."
            )
        deaths = [self._take(future, self._running.pop(future)) for future in ready]
        if any(deaths):
            self._mend()
        self.progress.seconds = now - self._start
        self._report(self.progress)

    def _take(self, future: Future[Worked], task: _Task) -> bool:
        """Take what became of a block; True where its worker died."""
        error = _Cancelled() if future.cancelled() else future.exception()
        if error is None:
            worked = future.result()
            self.progress.done += 1
            self.progress.runs += worked.runs
            self.progress.steps += worked.steps
            self.progress.writing += worked.writing
            self._finished(worked)
            return False
        if isinstance(error, (StoreError, KeyboardInterrupt)):
            raise error
        died = isinstance(error, _Cancelled) or self._workers.died(error)
        task = replace(task, attempt=task.attempt + (not died), deaths=task.deaths + died)
        if task.attempt < _ATTEMPTS and task.deaths < _DEATHS:
            self._queue.append(task)
        else:
            text = f"{type(error).__name__}: {error}"
            if died:
                text = f"the worker died {task.deaths} times, killed or out of memory ({text})"
            give_up(self._store.path, task.index, text)
            self.progress.failed[task.index] = text
        return died

    def _mend(self) -> None:
        """Replace workers that died, where they are ours, and hand over anew what they had."""
        if not self._workers.mend():
            return
        for future, task in self._running.items():
            future.cancel()
            self._queue.append(replace(task, deaths=task.deaths + 1))
        self._running.clear()


class _Cancelled(RuntimeError):
    """A task that was called off with its worker."""
