"""Fixtures of the benchmarks; the table of ratios is printed when they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deeplinear import build_config
from deeplinear.bench.baselines import Technique, Unavailable
from deeplinear.bench.machine import Limits
from deeplinear.bench.runner import Clock, Timing, measure_limits, share_of_limit
from deeplinear.bench.table import Comparison, Row, to_markdown
from deeplinear.bench.works import Entry, Work

THREADS: int = build_config()["threads"]
TIMING = Timing(seconds=0.2, rounds=7, most=6.0)
ROWS = pytest.StashKey[dict[str, tuple[Work, list[Row]]]]()
LIMITS = pytest.StashKey[Limits]()


def prepare(technique: Technique, *arguments: Any) -> Any:
    """Prepare a technique, or skip the test where its library is absent."""
    try:
        return technique.prepare(*arguments)
    except Unavailable as reason:
        pytest.skip(str(reason))


def each_entry(*works: Work) -> pytest.MarkDecorator:
    """Run a test of (work, entry) for every technique at every work."""
    cases = []
    for work in works:
        for entry in work.entries:
            on = "" if entry.threads is None else f" on {entry.threads}"
            cases.append(pytest.param(work, entry, id=f"{work.title}-{entry.technique}{on}"))
    return pytest.mark.parametrize(("work", "entry"), cases)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = {}
    config.stash[LIMITS] = Limits()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Other people's warnings are no errors here, and without the timer nothing is timed."""
    absent = pytest.mark.skip(
        reason="pytest-benchmark is absent; pip install 'deeplinear[benchmark]' brings it"
    )
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.filterwarnings("default"))
        if "compare" in item.fixturenames and not config.pluginmanager.hasplugin("benchmark"):
            item.add_marker(absent)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.stash[ROWS]:
        return
    terminalreporter.section("deeplinear and what an expert would otherwise write")
    for work, rows in config.stash[ROWS].values():
        notes = _limit_sentences(config.stash[LIMITS], work)
        comparison = Comparison(work.name, work.title, work.unit, rows, notes)
        terminalreporter.write_line(to_markdown(comparison) + "\n")


def _limit_sentences(limits: Limits, work: Work) -> Sequence[str]:
    kinds = dict.fromkeys(entry.limit for entry in work.entries if entry.limit)
    return [limits.sentence(kind, work.limit_of) for kind in kinds]


@pytest.fixture
def compare(benchmark: Any, pytestconfig: pytest.Config) -> Callable[[Work, Entry], None]:
    """Time a technique at a work, and enter its fastest round in the table."""

    def measure_one(work: Work, entry: Entry) -> None:
        try:
            clock = Clock(entry, work, TIMING)
        except Unavailable as reason:
            pytest.skip(str(reason))
        amount = clock.amount + 1 if entry.fixed_cost else clock.amount
        elapsed, units = clock.time(amount)
        rounds = 1 if entry.slow else max(2, min(TIMING.rounds, int(TIMING.most / elapsed)))
        benchmark.group = work.title
        benchmark.pedantic(clock.time, args=(amount,), rounds=rounds)
        if benchmark.stats is None:  # --benchmark-disable: the code ran, and that was all
            return
        seconds = benchmark.stats.stats.min
        if entry.fixed_cost:
            short = [clock.time(1, keep=False) for _ in range(3)]
            seconds, units = seconds - min(time for time, _ in short), units - short[0][1]
        seconds /= units
        limits = pytestconfig.stash[LIMITS]
        measure_limits(limits, work, THREADS)
        share = share_of_limit(limits, work, clock, seconds, THREADS)
        benchmark.extra_info |= {"technique": entry.technique, "threads": entry.threads}
        benchmark.extra_info |= {"unit": work.unit, "microseconds_per_unit": 1e6 * seconds}
        _, rows = pytestconfig.stash[ROWS].setdefault(work.title, (work, []))
        rows.append(Row(entry.technique, entry.threads, (seconds,), share))

    return measure_one
