"""Fixtures of the benchmarks; the table of ratios is printed when they end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from .peak import Peak, measure
from .table import OURS, Measurement, render

MEASUREMENTS = pytest.StashKey[list[Measurement]]()
PEAK = pytest.StashKey[Peak | None]()
SECONDS_PER_ROUND = 0.2
ROUNDS = 7


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASUREMENTS] = []
    config.stash[PEAK] = None


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
    if config.stash[MEASUREMENTS]:
        terminalreporter.section("deeplinear and what an expert would otherwise write")
        terminalreporter.write_line(render(config.stash[MEASUREMENTS], config.stash[PEAK]))


@pytest.fixture(scope="session")
def peak(pytestconfig: pytest.Config) -> Iterator[None]:
    """The machine's limits before and after the measurements; the larger of each counts."""
    before = measure()
    yield
    after = measure() if pytestconfig.stash[MEASUREMENTS] else None
    if before is None or after is None:
        return
    pytestconfig.stash[PEAK] = Peak(
        {key: max(rate, after.arithmetic[key]) for key, rate in before.arithmetic.items()},
        {key: max(rate, after.bandwidth[key]) for key, rate in before.bandwidth.items()},
    )


@pytest.fixture(params=sorted({1, os.cpu_count() or 1}), ids="threads={}".format)
def threads(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def deeplinear() -> Any:
    return pytest.importorskip("deeplinear", reason="install the package: pip install .")


@pytest.fixture
def compare(benchmark: Any, peak: None, pytestconfig: pytest.Config) -> Callable[..., None]:
    """Time ``run(amount)`` and enter it in the table, per unit; an amount of one has ``units``."""

    def measure_one(
        run: Callable[[Any], Any],
        *,
        work: str,
        dtype: str,
        technique: str = OURS,
        threads: int | None = None,
        unit: str,
        units: float,
        amount: float | None = None,
        flops: int | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        if amount is None:
            amount = _steps_per_round(run)
        else:
            units /= amount
        benchmark.group = f"{work}, {dtype}"
        benchmark.pedantic(run, args=(amount,), rounds=rounds)
        if benchmark.stats is None:  # --benchmark-disable: the code ran, and that was all
            return
        seconds = benchmark.stats.stats.min / (units * amount)
        benchmark.extra_info |= {"technique": technique, "threads": threads, "unit": unit}
        benchmark.extra_info |= {"microseconds_per_unit": 1e6 * seconds}
        if flops is not None:
            benchmark.extra_info["gflops"] = flops / seconds / 1e9
        pytestconfig.stash[MEASUREMENTS].append(
            Measurement(work, dtype, technique, threads, seconds, unit, flops)
        )

    return measure_one


def _steps_per_round(run: Callable[[int], Any]) -> int:
    """As many steps as take about the time of a round; what has to be compiled is compiled here."""
    run(2)
    steps, elapsed = 1, 0.0
    while elapsed < SECONDS_PER_ROUND / 10:
        steps *= 4
        start = perf_counter()
        run(steps)
        elapsed = perf_counter() - start
    return max(1, round(steps * SECONDS_PER_ROUND / elapsed))
