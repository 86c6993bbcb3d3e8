"""Times the techniques of a work in turns, so that what else the machine does meets all of them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter, sleep
from typing import Any

from deeplinear._support.progress import Update
from deeplinear.bench.baselines import Unavailable
from deeplinear.bench.machine import Limits
from deeplinear.bench.table import OURS, Comparison, Row
from deeplinear.bench.works import Entry, Work, thread_counts

__all__ = ["FULL", "QUICK", "Clock", "Race", "Timing", "measure_limits", "share_of_limit"]

#: Threads of one library go on turning for a while before they sleep, on the cores of the next.
SETTLE = 0.25


@dataclass(frozen=True)
class Timing:
    """How long things are timed.

    Parameters
    ----------
    seconds : float
        Of a technique in a round, about.
    rounds : int
        How many of them.
    most : float
        Seconds after which a technique takes no further part.
    """

    seconds: float
    rounds: int
    most: float


FULL = Timing(seconds=0.4, rounds=7, most=6.0)
QUICK = Timing(seconds=0.01, rounds=3, most=0.5)


class Clock:
    """Times one technique: prepared, compiled, and with an amount that fills a round.

    Parameters
    ----------
    entry : Entry
        The technique.
    work : Work
        At which it is timed.
    timing : Timing
        How long.

    Raises
    ------
    Unavailable
        If it cannot be used here.
    """

    def __init__(self, entry: Entry, work: Work, timing: Timing) -> None:
        self.entry = entry
        self._units = work.units
        self._timing = timing
        self._run = entry.prepare()
        self.seconds: list[float] = []  # of a unit, by round
        self.call_seconds: list[float] = []  # of a call beside its units
        self.shares: list[float] = []  # of the limit, by round
        self.result: Any = None
        self.spent = 0.0
        self.amount: Any = work.amount or (1 if entry.slow else self._choose_amount())

    @property
    def done(self) -> bool:
        """Whether it has been timed enough."""
        return len(self.seconds) >= (1 if self.entry.slow else self._timing.rounds) or (
            bool(self.seconds) and self.spent >= self._timing.most
        )

    @property
    def left(self) -> float:
        """Seconds that it will still take, about."""
        if self.done:
            return 0.0
        each = self.spent / len(self.seconds) if self.seconds else self._timing.seconds
        rounds = self._timing.rounds - len(self.seconds)
        return min(each * rounds, max(self._timing.most - self.spent, each))

    def round(self) -> None:
        """Time it once."""
        start = perf_counter()
        if self.entry.fixed_cost:
            # A virtual machine may have given back the memory that the call before left free: the
            # first call after a while fetches it again.
            self.time(1, keep=False)
        elapsed, units = self.time(self.amount + 1 if self.entry.fixed_cost else self.amount)
        if self.entry.fixed_cost:
            # A call of one unit has the same cost of its own: copies, checks, the result.
            short, few = self.time(1, keep=False)
            if elapsed > short and units > few:
                each = (elapsed - short) / (units - few)
                self.call_seconds.append(short - few * each)
                elapsed, units = elapsed - short, units - few
        self.seconds.append(elapsed / units)
        self.spent += perf_counter() - start

    def _choose_amount(self) -> int:
        self.time(1)  # compiles
        first, _ = self.time(1)
        cost = first if self.entry.fixed_cost else 0.0
        amount, elapsed, units = 1, first, 1.0
        while elapsed - cost < self._timing.seconds / 4 or units < 3 * self._units:
            if elapsed - cost > self._timing.seconds:
                break
            amount *= 4
            elapsed, units = self.time(amount)
        per_amount = (elapsed - cost) / amount if elapsed > cost else elapsed / amount
        return max(1, round(self._timing.seconds / per_amount))

    def time(self, amount: Any, keep: bool = True) -> tuple[float, float]:
        """Return the seconds of an amount, and the units of work done in them."""
        start = perf_counter()
        result = self._run(amount)
        elapsed = perf_counter() - start
        if keep:
            self.result = result
        units = self.entry.units
        return elapsed, amount * self._units if units is None else units(result)


class Race:
    """All techniques of one work.

    Parameters
    ----------
    work : Work
        What is done.
    limits : Limits
        Those of the machine; what this work needs takes turns with the techniques.
    threads : int
        All that this package takes.
    timing : Timing
        How long.
    full : bool
        Whether techniques that take minutes take part.
    """

    def __init__(
        self, work: Work, limits: Limits, threads: int, timing: Timing, *, full: bool
    ) -> None:
        self.work, self.limits, self.threads, self.timing = work, limits, threads, timing
        self._entries = [entry for entry in work.entries if full or not entry.slow]
        self._slow = [entry.technique for entry in work.entries if entry.slow and not full]
        self._clocks: list[Clock] = []
        self._left_out: dict[str, list[str]] = {}

    def run(self, update: Update) -> None:
        """Time everything; on Ctrl-C what was measured until then stays."""
        measure_limits(self.limits, self.work, self.threads)
        for entry in self._entries:
            self._prepare(entry)
        while any(not clock.done for clock in self._clocks):
            for clock in self._clocks:
                if clock.done:
                    continue
                sleep(min(SETTLE, self.timing.seconds))
                clock.round()
                self._compare_with_limit(clock)
                spent = sum(clock.spent for clock in self._clocks)
                update(spent / (spent + sum(clock.left for clock in self._clocks)))

    def _compare_with_limit(self, clock: Clock) -> None:
        """Hold a round against the limit as it was just then: on a shared machine it changes."""
        entry, work = clock.entry, self.work
        if entry.limit is None:
            return
        if entry.threads is not None:
            self.limits.measure(entry.limit, work.limit_of, entry.threads)
        share = share_of_limit(self.limits, work, clock, clock.seconds[-1], self.threads)
        if share is not None:
            clock.shares.append(share)

    def _prepare(self, entry: Entry) -> None:
        try:
            self._clocks.append(Clock(entry, self.work, self.timing))
        except Unavailable as reason:
            self._left_out.setdefault(str(reason), []).append(entry.technique)
        except Exception as error:
            if entry.own:
                raise
            sentence = f"{type(error).__name__}: {error}".splitlines()[0]
            self._left_out.setdefault(sentence, []).append(entry.technique)

    def comparison(self) -> Comparison | None:
        """Make the table of what was measured; None where nothing was."""
        timed = [clock for clock in self._clocks if clock.seconds]
        if not timed:
            return None
        work = self.work
        rows = []
        for clock in timed:
            entry, share = clock.entry, median(clock.shares) if clock.shares else None
            rows.append(Row(entry.technique, entry.threads, tuple(clock.seconds), share))
        notes = [*self._limit_notes(), *self._call_notes(timed), *_agreement(timed)]
        if self._slow:
            notes.append(f"Takes minutes, and runs with --full alone: {'; '.join(self._slow)}.")
        notes += [f"Left out: {'; '.join(who)}: {why}" for why, who in self._left_out.items()]
        return Comparison(work.name, work.title, work.unit, rows, notes)

    def _limit_notes(self) -> list[str]:
        kinds = dict.fromkeys(entry.limit for entry in self.work.entries if entry.limit)
        return [self.limits.sentence(kind, self.work.limit_of) for kind in kinds]

    def _call_notes(self, timed: list[Clock]) -> list[str]:
        costs = [clock.call_seconds for clock in timed if clock.call_seconds]
        if not costs:
            return []
        cost = max(median(seconds) for seconds in costs)
        return [
            f"A call of {OURS} takes {max(cost, 0.0):.2g} s beside its steps, for copies of the "
            "weights, checks and the labelled result."
        ]


def measure_limits(limits: Limits, work: Work, threads: int) -> None:
    """Measure what the techniques of a work are held against, on one and on all threads."""
    kinds = {entry.limit for entry in work.entries if entry.limit is not None}
    for count in thread_counts(threads):
        for kind in sorted(kinds)[:1]:  # one measurement gives both patterns of memory
            limits.measure(kind, work.limit_of, count)


def share_of_limit(
    limits: Limits, work: Work, clock: Clock, seconds: float, threads: int
) -> float | None:
    """Compute the share of the limit, as last measured, that a unit in so many seconds reaches."""
    entry = clock.entry
    if entry.limit is None or entry.quantity is None:
        return None
    limit = limits.latest(entry.limit, work.limit_of, entry.threads or threads)
    return entry.quantity(clock.result) / seconds / limit


def _agreement(timed: list[Clock]) -> list[str]:
    """Say how far the values of the techniques lie apart."""
    values = [clock.entry.value(clock.result) for clock in timed if clock.entry.value]
    if len(values) < 2:
        return []
    apart = (max(values) - min(values)) / abs(values[0])
    return [f"The values {values[0]:.6g} agree within {apart:.1g} of each other."]
