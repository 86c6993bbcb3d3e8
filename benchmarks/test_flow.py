"""Gradient flow: Runge-Kutta steps of an ensemble, and adaptive flows to a fixed time."""

from __future__ import annotations

from functools import partial

from deeplinear.bench import ours
from deeplinear.bench.baselines import ADAPTIVE_FLOW, RUNGE_KUTTA
from deeplinear.bench.problems import BATCH, SMALL
from deeplinear.bench.table import OURS
from deeplinear.bench.works import Entry, Work, run_of, thread_counts

from .conftest import THREADS, each_entry

TIME = 200.0


def runge_kutta(dtype):
    entries = [
        Entry(OURS, partial(ours.flow, SMALL, dtype, n, "rk4"), n) for n in thread_counts(THREADS)
    ]
    entries += [Entry(name, run_of(found, SMALL, dtype)) for name, found in RUNGE_KUTTA.items()]
    title = f"Runge-Kutta step, ensemble, {SMALL.name}, {dtype}"
    return Work("runge-kutta", title, "run and step", tuple(entries), dtype, SMALL.runs)


def adaptive():
    entries = [Entry(OURS, partial(until, n), n) for n in thread_counts(THREADS)]
    entries += [
        Entry(name, run_of(found, BATCH, ours.RTOL, ours.ATOL))
        for name, found in ADAPTIVE_FLOW.items()
    ]
    title = f"Adaptive flow to time {TIME:.0f}, {BATCH.name}, batch of {BATCH.runs}, float64"
    units = BATCH.runs / TIME
    return Work("adaptive-flow", title, "run", tuple(entries), "float64", units, amount=TIME)


def until(threads):
    run = ours.flow(BATCH, "float64", threads, "dopri5")
    return lambda time: run(time / BATCH.learning_rate)


@each_entry(runge_kutta("float64"), runge_kutta("float32"), adaptive())
def test_flow(compare, work, entry):
    compare(work, entry)
