"""The function that is called with the weights of every record: on any thread, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deeplinear import _core
from private_world import OTHER, Visit, World, fixed_steps

pytestmark = pytest.mark.core

RUNS = 40
WORLD = World(OTHER)


def arguments(
    steps: int, threads: int, visit: Callable[..., Any] | None, every: int = 1
) -> dict[str, Any]:
    """Return those of many runs, so that every thread has some."""
    fixed = fixed_steps("euler", np.full(RUNS, 1e-3), steps, float(every))
    return {
        "problem": WORLD.problem,
        "weights": np.random.default_rng(1).standard_normal((RUNS, WORLD.parameters)),
        "plan": _core.Plan(fixed, 0.0, threads),
        "engine": "ensemble",
        "record": [("weights", 1)] if every == 1 else [],
        "slots": steps // every + 1,
        "visit": visit,
        "progress": None,
    }


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_record_is_visited_once_by_one_thread_at_a_time(threads: int) -> None:
    visit = Visit(lambda: time.sleep(1e-4))  # without the lock of Python
    found = _core.simulate(**arguments(3, threads, visit))
    assert len(visit.seen) == RUNS * 4
    for (run, slot), weights in visit.seen.items():
        assert found.records["weights"][run, slot].tobytes() == weights


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_what_a_visit_raises_ends_all_runs(threads: int) -> None:
    calls: list[int] = []

    def visit(run: int, slot: int, weights: Any) -> None:
        calls.append(run)
        if len(calls) == 7:
            raise KeyError(f"at {run}")

    with pytest.raises(KeyError, match="at "):
        _core.simulate(**arguments(2**30, threads, visit, every=2**10))
    assert len(calls) == 7


def test_an_error_beside_one_of_the_progress() -> None:
    def progress(share: float) -> None:
        raise OSError("progress")

    def visit(run: int, slot: int, weights: Any) -> None:
        raise KeyError("visit")

    for threads in (1, 2):
        with pytest.raises((KeyError, OSError), match=r"visit|progress"):
            _core.simulate(**arguments(9, threads, visit) | {"progress": progress})


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_visit_that_is_interrupted_stops_the_runs(threads: int) -> None:
    calls: list[int] = []

    def visit(run: int, slot: int, weights: Any) -> None:
        calls.append(run)
        if len(calls) == 7:
            raise KeyboardInterrupt

    found = _core.simulate(**arguments(2**30, threads, visit, every=2**10))
    assert found.interrupted
    assert (found.status == list(_core.statuses()).index("unfinished")).all()
    assert len(calls) == 7


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_visits_may_simulate_on_their_threads(threads: int) -> None:
    inner = arguments(2, 2, None) | {"weights": None}
    start = np.random.default_rng(1).standard_normal((RUNS, WORLD.parameters))
    ends: set[bytes] = set()
    on: set[int] = set()

    def simulate() -> None:
        weights = start.copy()
        _core.simulate(**inner | {"weights": weights})
        ends.add(weights.tobytes())
        on.add(threading.get_ident())

    _core.simulate(**arguments(2, threads, Visit(simulate)))
    assert len(ends) == 1
    assert len(on) <= threads


def test_visits_see_what_a_large_network_keeps_back() -> None:
    """The updates of the wide engine wait beside its weights."""
    world = World(OTHER | {"widths": [70, 40, 1]})
    fixed = fixed_steps("rk4", np.full(2, 1e-3), 5, 1.0)
    right = arguments(1, 1, None)
    right |= {"problem": world.problem, "plan": _core.Plan(fixed, 0.0, 2)}
    right |= {"engine": "wide", "slots": 6}
    for dtype in (np.float64, np.float32):
        visit, weights = Visit(), 0.1 * np.ones((2, world.parameters), dtype)
        found = _core.simulate(**right | {"visit": visit, "weights": weights})
        for run in range(2):
            assert visit.seen[run, 5] == weights[run].astype(float).tobytes()
            assert visit.seen[run, 3] == found.records["weights"][run, 3].tobytes()
